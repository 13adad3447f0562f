"""Helpers for every stage: checks of arguments, labels, files written in one step, text tables."""
