"""Numbers whose value the compiler does not see in their type."""

from __future__ import annotations

from oasis_alloc.kernels._jit import jit


@jit(allocates=False)
def not_literal(number: int) -> int:
    """The number as a plain integer; of True and False, 1 and 0.

    A literal that one kernel passes to another is a type of its own to numba: the other is compiled once more for it,
    and so is all that it calls.
    """
    return number + 0
