"""Kernels of slates that are drawn."""
