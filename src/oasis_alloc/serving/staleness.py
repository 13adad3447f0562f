"""How an old policy is used: four levels, at ages that the caller sets."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.errors import InputError
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.schema import shown

_STEPS = 10_000  # maximum number of decay steps: each makes a policy

FRESH, HOLD, DECAY, ORGANIC = MODES = ("fresh", "hold", "decay", "organic")


class Rung(NamedTuple):
    """The level at some age: the mode, the factor of the prices, and the ages between which they hold."""

    mode: str
    factor: float
    until: float
    since: float = -math.inf


@suggesting
@dataclass(frozen=True, kw_only=True)
class Staleness(ByFields):
    """How a policy is served as it ages.

    Parameters
    ----------
    hold_after
        Age in seconds since the policy was created at which its mode changes from "fresh" to "hold": prices stay the
        same, and statistics and the log report the mode.
    decay_after
        Age at which prices begin to decay to 0, in `steps` equal steps: step j = 1 .. steps multiplies every price by
        `1 - j / (steps + 1)`.
    organic_after
        Age at which only the organic column counts: boosts are 0.
    steps
        Number of steps, from 1 to 10,000. Each makes one policy, at its first use.

    Raises
    ------
    InputError
        If the ages are not finite, not above 0, or do not increase, or there are too many steps.

    Example
    -------
    >>> ladder = Staleness(hold_after=3600, decay_after=7200, organic_after=10800, steps=3)
    >>> [ladder.rung(age)[:2] for age in (0, 3600, 7200, 9000, 10800)]
    [('fresh', 1.0), ('hold', 1.0), ('decay', 0.75), ('decay', 0.5), ('organic', 0.0)]
    """

    hold_after: float = 7200.0
    decay_after: float = 21600.0
    organic_after: float = 86400.0
    steps: int = 8

    def __post_init__(self) -> None:
        last, before = 0.0, "0"
        for name in ("hold_after", "decay_after", "organic_after"):
            age = getattr(self, name)
            seconds = as_real(age)
            if seconds is None or not math.isfinite(seconds) or seconds <= last:
                raise InputError(f"Staleness({name}={shown(age)}): expected a finite number of seconds above {before}.")
            last, before = seconds, f"{name} ({seconds:g})"
            object.__setattr__(self, name, seconds)
        steps = as_whole(self.steps)
        if steps is None or not 1 <= steps <= _STEPS:
            raise InputError(
                f"Staleness(steps={shown(self.steps)}): expected a whole number of at least 1, up to {_STEPS:,}."
            )
        object.__setattr__(self, "steps", steps)

    def rung(self, age: float) -> Rung:
        """The level at this age in seconds; an age below 0 (a slow clock) is fresh."""
        if age < self.hold_after:
            return Rung(FRESH, 1.0, self.hold_after)
        if age < self.decay_after:
            return Rung(HOLD, 1.0, self.decay_after, self.hold_after)
        if age < self.organic_after:
            step = bisect_right(self._ends, age)
            since = self._ends[step - 1] if step else self.decay_after
            return Rung(DECAY, 1.0 - (step + 1) / (self.steps + 1), self._ends[step], since)
        return Rung(ORGANIC, 0.0, math.inf, self.organic_after)

    @cached_property
    def _ends(self) -> list[float]:
        """The ages at which the steps end; `rung` compares with these, so that both agree at the ends."""
        width = (self.organic_after - self.decay_after) / self.steps
        return [*(self.decay_after + step * width for step in range(1, self.steps)), self.organic_after]

    def check_against(self, refresh: float) -> None:
        """Refuse levels of which the first ends before the file is checked again."""
        if refresh >= self.hold_after:
            raise InputError(
                f"Staleness(hold_after={self.hold_after:g}) is not above the refresh interval of {refresh:g} seconds: "
                "every policy would be on hold before its successor could be found. Set hold_after to a few times the "
                "time between two solves, or refresh more often."
            )


def decayed(data: PolicyData, factor: float) -> PolicyData:
    """A policy's data with every price multiplied by a factor in [0, 1]; the id gets `~` and the factor."""
    number = as_real(factor)
    if number is None or not 0.0 <= number <= 1.0:
        raise InputError(f"decayed({shown(factor)}): expected a factor from 0 to 1.")
    return replace(
        data,
        policy_id=f"{data.policy_id}~{factor:.3f}",
        terms=tuple(replace(term, price=term.price * factor) for term in data.terms),
        constraints=tuple(replace(c, price=c.price * factor) for c in data.constraints),
    )


def organic_only(data: PolicyData) -> PolicyData:
    """A policy's data with only the organic column, weighted 1 and as it is; the id gets `~organic`.

    Columns keep their places, so that requests laid out for the policy still fit; columns of the objective have weight
    0.
    """
    named = [column for column, _ in data.weights if column is not None and column != data.organic]
    weights = ((data.organic, 1.0), *((column, 0.0) for column in dict.fromkeys(named)))
    without = decayed(data, 0.0)
    scored = [column for column in data.columns if column in {*data.scored, data.organic}]
    columns = (*scored, *(column for column in data.columns if column not in scored))
    name = f"{data.policy_id}~organic"
    return replace(without, policy_id=name, weights=weights, columns=columns, calibration=())
