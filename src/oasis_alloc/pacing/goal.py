"""One goal: what one group of one measure is to reach in a flight, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.curves import Mode, curve_of

Terms = tuple[tuple[str | None, tuple[str, ...], float], ...]
"""(column or None for exposure, keys, coefficient) of every total that a measure adds up."""


@dataclass(frozen=True, eq=False)
class Goal(ByFields):
    """What `Plan` holds, one per group; made by it, so parameters are checked here and named as they are there."""

    terms: Terms
    label: Any  # of the group; None where the measure has no keys
    floor: float = -math.inf
    cap: float = math.inf
    start: float = 0.0
    end: float = math.inf
    per_request: bool = False  # limits are amounts per request: a guard or a share
    soft: bool = False  # a cap that prices hold, and nothing stops
    daily: float = math.inf
    hourly: float = math.inf
    mode: Mode = "even"
    penalty: float = 1.0
    price: float | None = None  # to start from; None for the policy's

    @property
    def by(self) -> tuple[str, ...]:
        """Keys of the group."""
        return max((keys for _, keys, _ in self.terms), key=len)

    @property
    def name(self) -> tuple[Any, ...]:
        """What a goal is found by in another plan and in a saved state."""
        return (self.terms, self.label)

    def __str__(self) -> str:
        return "all" if self.label is None else shown(self.label)

    def checked(self) -> Goal:
        """The goal, or `InputError` for numbers that cannot be."""
        where = f"plan: the goal of {self}"
        for name in ("floor", "cap", "start", "end", "daily", "hourly", "penalty"):
            if as_real(getattr(self, name)) is None or math.isnan(getattr(self, name)):
                raise InputError(f"{where}: {name} is {shown(getattr(self, name))}; expected a number.")
        if self.floor > self.cap:
            raise InputError(f"{where}: the floor of {self.floor:g} is above the cap of {self.cap:g}.")
        if self.floor == math.inf:
            raise InputError(f"{where}: the floor is {self.floor:g}; expected a finite number, or no floor.")
        if not self.per_request:
            for name in ("cap", "daily", "hourly"):
                if getattr(self, name) < 0:
                    raise InputError(f"{where}: {name} is {getattr(self, name):g}; expected a number >= 0.")
        if not self.start < self.end or math.isinf(self.start) or math.isinf(self.end):
            raise InputError(
                f"{where}: the flight is [{self.start:g}, {self.end:g}); expected a finite start before a finite end, "
                "in UNIX seconds."
            )
        if not 0 < self.penalty < math.inf:
            raise InputError(f"{where}: penalty is {self.penalty:g}; expected a finite number above 0.")
        if self.price is not None and not math.isfinite(self.price):
            raise InputError(f"{where}: the price is {self.price}; expected a finite number.")
        curve_of(self.mode)
        return self
