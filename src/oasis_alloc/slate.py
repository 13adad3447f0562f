"""What one user's slate may hold."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from oasis_alloc.errors import ProblemError


@dataclass(frozen=True)
class Slate:
    """The slate rule of every user: at most `size` items, each shown with a probability in [0, 1].

    `X_u = {x : 0 <= x <= 1, sum(x) <= size}`. Rules by category, diminishing values and per-user guards
    will stand here too, each lowered to arrays by `program.py` and kept by the kernels.

    Parameters
    ----------
    size
        Number of slots, at least 1.

    Raises
    ------
    ProblemError
        If `size` is not a whole number of at least 1.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.Slate(size=10)
    Slate(size=10)
    """

    size: int

    def __post_init__(self) -> None:
        if not isinstance(self.size, Integral) or isinstance(self.size, bool) or self.size < 1:
            raise ProblemError(f"Slate(size={self.size!r}): size is a whole number of slots, at least 1.")
        object.__setattr__(self, "size", int(self.size))
