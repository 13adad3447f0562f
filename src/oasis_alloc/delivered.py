"""What the groups of a measure have delivered before the plan begins: the constants of a measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.errors import ProblemError


@dataclass(frozen=True, eq=False, slots=True)
class Delivered:
    """One constant summand of a measure: `coefficient * given`, a number for every group of the keys `by`."""

    coefficient: float
    by: tuple[str, ...]
    given: Any  # a float, an array of one entry a group, or {label: float}

    @classmethod
    def of(cls, measure: object, by: tuple[str, ...], given: object) -> Delivered:
        """Check the numbers as far as it can be without the groups, and copy what could change."""
        what = f"({measure}).delivered_so_far({given!r})"
        try:
            frozen: Any = dict(given) if isinstance(given, Mapping) else np.array(given, dtype=np.float64)
            numbers = np.array(list(frozen.values()) if isinstance(frozen, dict) else frozen, dtype=np.float64)
        except (TypeError, ValueError):
            raise ProblemError(
                f"{what}: what was delivered is a number, an array with one number a group, or {{label: number}}."
            ) from None
        if numbers.ndim > 1:
            raise ProblemError(f"{what}: an array of shape {numbers.shape}; expected (n_groups,), one number a group.")
        bad = np.flatnonzero(~np.isfinite(numbers) | (numbers < 0))
        if bad.size:
            where = f" of group {list(frozen)[bad[0]]!r}" if isinstance(frozen, dict) else f" at entry {bad[0]}"
            raise ProblemError(
                f"{what}: {numbers.ravel()[bad[0]]:g}{where if numbers.ndim else ''} is not something delivered; "
                "expected finite numbers >= 0."
            )
        return cls(1.0, by, float(frozen) if not isinstance(frozen, dict) and frozen.ndim == 0 else frozen)

    def times(self, factor: float) -> Delivered:
        """The same, multiplied by a number."""
        return replace(self, coefficient=factor * self.coefficient)

    def over(self, by: tuple[str, ...], labels: Sequence[Any]) -> npt.NDArray[np.float64]:
        """(n_groups,) of the measure's groups `labels` by the keys `by`; one without keys counts in all of them."""
        from oasis_alloc.functions.band import spread

        own = labels if self.by == by else [None]
        numbers = self.coefficient * spread(self.given, own, str(self), free=0.0, what="the array")
        return np.asarray(np.broadcast_to(numbers, len(labels)) if own is not labels else numbers)

    def __str__(self) -> str:
        if isinstance(self.given, dict):
            text = repr(self.given) if len(self.given) <= 3 else f"{{{len(self.given)} labels}}"
        elif isinstance(self.given, float):
            text = f"{self.given:g}"
        else:
            text = f"array of {self.given.size}"
        return f"delivered({text})"
