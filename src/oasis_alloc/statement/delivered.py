"""Amounts that groups delivered before the plan begins: the constants of a measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.labels import is_none
from oasis_alloc.data.by_group import Numbers, as_number, numbers_of, spread, text_of
from oasis_alloc.errors import ProblemError


@dataclass(frozen=True, eq=False, slots=True)
class Delivered:
    """One constant summand of a measure: `coefficient * given`, a number for every group of the keys `by`."""

    coefficient: float
    by: tuple[str, ...]
    given: Numbers

    @classmethod
    def of(cls, measure: object, by: tuple[str, ...], given: object) -> Delivered:
        """Check the numbers as far as possible without the groups, and copy mutable input."""
        what = f"({measure}).delivered_so_far({'...' if hasattr(given, '__array__') else given!r})"
        if is_none(given) and as_number(given) is None:  # None, NA, NaT
            raise ProblemError(
                f"{what}: {given!r} is not a delivered amount; expected a number, an array with one number per group, "
                "or {label: number}, finite and >= 0; 0 where nothing was delivered."
            )
        frozen = numbers_of(given, what, "amount delivered")
        numbers = np.array(list(frozen.values()) if isinstance(frozen, dict) else frozen, dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(numbers) | (numbers < 0))
        if bad.size:
            where = f" of group {list(frozen)[bad[0]]!r}" if isinstance(frozen, dict) else f" at entry {bad[0]}"
            number = numbers.ravel()[bad[0]]
            none = " Where nothing was delivered, say 0, or leave the label out." if np.isnan(number) else ""
            raise ProblemError(
                f"{what}: {number:g}{where if numbers.ndim else ''} is not a delivered amount; "
                f"expected finite numbers >= 0.{none}"
            )
        return cls(1.0, by, frozen)

    def times(self, factor: float) -> Delivered:
        """The same, multiplied by a number."""
        return replace(self, coefficient=factor * self.coefficient)

    def over(self, by: tuple[str, ...], labels: Sequence[Any]) -> npt.NDArray[np.float64]:
        """(n_groups,) of the measure's groups `labels` by the keys `by`; an amount without keys counts in all."""
        own = labels if self.by == by else [None]
        numbers = self.coefficient * spread(self.given, own, str(self), free=0.0, what="the array")
        return np.asarray(np.broadcast_to(numbers, len(labels)) if own is not labels else numbers)

    def __str__(self) -> str:
        return f"delivered({text_of(self.given)})"
