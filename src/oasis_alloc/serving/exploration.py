"""Exploration: how far drawn slates may be from the best slate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError
from oasis_alloc.serving.schema import shown


@suggesting
@dataclass(frozen=True)
class Exploration:
    """A rule of randomized delivery: how far drawn slates may be from the best slate.

    Parameters
    ----------
    share
        The share of the slots, in [0, 1], that is spread evenly over all candidates. Every candidate then has a
        propensity of at least `share * size / n`, or less if caps require it.
    smoothing
        gamma >= 0, in units of scores: items whose scores are within gamma of the last item shown share its
        slots, `x = clip((score - t) / gamma, 0, 1)`. It is the smoothing of the program itself: x maximizes
        `score x - gamma/2 |x|^2`. 0 shows only the best slate.

    Raises
    ------
    InputError
        For a share outside [0, 1], and a smoothing that is negative or not finite.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.Exploration(share=0.05, smoothing=0.1)
    Exploration(share=0.05, smoothing=0.1)
    """

    share: float = 0.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name, largest in (("share", 1.0), ("smoothing", np.finfo(np.float64).max)):
            given = getattr(self, name)
            number = as_real(given)
            if number is None or not 0 <= number <= largest:
                expected = "a number from 0 to 1" if name == "share" else "a finite number >= 0"
                raise InputError(f"Exploration({name}={shown(given)}): expected {expected}.")
            object.__setattr__(self, name, number)

    @classmethod
    def of(cls, given: Exploration | Mapping[str, float] | None) -> Exploration:
        """Convert an exploration, its numbers by name, or None for no exploration."""
        if given is None or isinstance(given, Exploration):
            return given or cls()
        if not isinstance(given, Mapping):
            raise InputError(f"exploration={shown(given)}: expected oa.Exploration(...), its numbers by name, or None.")
        for name in given:
            if not isinstance(name, str) or name not in ("share", "smoothing"):
                raise InputError(f"exploration: there is no {shown(name)}.{did_you_mean(name, ('share', 'smoothing'))}")
        return cls(**given)

    def numbers(self) -> dict[str, float]:
        """The numbers by name, as policies store them."""
        return {"share": self.share, "smoothing": self.smoothing}
