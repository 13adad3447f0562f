"""Kernels of one user whose slate has rules."""
