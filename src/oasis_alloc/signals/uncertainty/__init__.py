"""Allocations whose columns are uncertain: risk, floors, standard errors, the worth of knowing more."""
