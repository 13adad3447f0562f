"""Kernels that users under rules run through count no references to arrays: a count is an atomic operation."""

import importlib
import pkgutil
from typing import Any

import numpy as np
import pytest
from numba.core.errors import NumbaError

import oasis_alloc.kernels.rules as rules_package
from oasis_alloc.kernels import _compiling, _jit
from oasis_alloc.kernels.rules.stairs import level

# makes the arrays of a call; curvature products, slates for quotes and repairs are made once per chunk, per call and
# where a rule is broken
MAKE_ARRAYS = {"rules.scratch", "joint.solve_joint", "mend.mend", "mend.scale_down"}
MAKE_ARRAYS |= {"curvature.curvature_product", "mend.fill_up", "insertions.best_slates", "insertions.insertions"}


def kernels() -> dict[str, Any]:
    """Every kernel of the rules of slates, by its module and name."""
    found = {}
    for info in pkgutil.iter_modules(rules_package.__path__):
        module = importlib.import_module(f"{rules_package.__name__}.{info.name}")
        for name, value in vars(module).items():
            if hasattr(value, "targetoptions") and value.py_func.__module__ == module.__name__:
                found[f"{info.name}.{name}"] = value
    return found


def test_only_kernels_that_make_arrays_count_references() -> None:
    counting = {name for name, kernel in kernels().items() if kernel.targetoptions["_nrt"]}
    assert counting == MAKE_ARRAYS


def test_a_kernel_without_counts_refuses_to_make_arrays() -> None:
    @_jit.jit(allocates=False)
    def make(n: int) -> float:
        return float(np.zeros(n).sum())

    with pytest.raises(NumbaError, match="function zeros"):
        make(3)
    _compiling._thread.begun.clear()  # what fails to compile does not end


def test_slices_are_no_new_arrays() -> None:
    @_jit.jit(allocates=False)
    def mass(c: np.ndarray, member: np.ndarray, ceil: np.ndarray) -> float:
        return float(level(1.0, member[1:], 0, 2, 2.0, c[:3], ceil)[0])

    c, member, ceil = np.array([5.0, 2.0, 1.5]), np.array([0, 1, 2]), np.ones(3)
    assert mass(c, member, ceil) == 0.75
