"""Kernels of requests."""
