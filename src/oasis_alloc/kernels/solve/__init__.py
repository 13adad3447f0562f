"""Kernels of plain slates, and of checks."""
