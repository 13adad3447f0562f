"""Kernels of ticks: what is due, what caps leave, and prices, for all goals of a plan."""
