"""What a log of decisions says about its own numbers: do predictions come true, and do inputs stay as they were?

Both are computed from what was logged alone, in a few passes over arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.types import Floats
from oasis_alloc.signals.calibration.reliability import Reliability
from oasis_alloc.signals.drift.sketch import Sketch
from oasis_alloc.signals.drift.watch import stability_index

if TYPE_CHECKING:
    from oasis_alloc.publish.decisions.reading import Decisions

_BINS = 10
_SAMPLED = 4_000  # decisions of each half whose candidates are read
WATCH, ALARM = 0.1, 0.25  # of the population stability index: the usual marks of scorecards


@dataclass(frozen=True)
class Predicted:
    """Predictions against outcomes: reliability by bins, and the standard error of what occurred minus expected."""

    reliability: Reliability
    error: float

    @property
    def ratio(self) -> float:
        """What occurred, as a share of what was expected."""
        return self.reliability.occurred / self.reliability.expected if self.reliability.expected else math.nan

    @property
    def is_off(self) -> bool:
        """Whether the totals differ by more than 5 % and by more than four standard errors."""
        expected, apart = self.reliability.expected, abs(self.reliability.occurred - self.reliability.expected)
        return apart > 4.0 * self.error and apart > 0.05 * abs(expected)

    def to_dict(self) -> dict[str, Any]:
        """The numbers in the form of JSON."""
        return dict(jsonable(self.reliability)) | dict(jsonable({"error": self.error, "ratio": self.ratio}))


def predicted_against(predicted: Floats, outcomes: Floats, weights: Floats) -> Predicted:
    """Predictions against outcomes in [0, 1], in ten bins."""
    left = weights * (outcomes - predicted)
    spread = math.sqrt(float(((left - left.mean()) ** 2).sum()))
    return Predicted(Reliability.of(predicted, outcomes, weights=weights, bins=_BINS), spread)


@dataclass(frozen=True)
class Moved:
    """How a column of the candidates differs between the first and the second half of a log."""

    column: str
    index: float
    first_mean: float
    second_mean: float
    first_missing: float
    second_missing: float

    @property
    def level(self) -> str:
        """ "stable", "watch" or "moved"."""
        return "moved" if self.index >= ALARM else "watch" if self.index >= WATCH else "stable"


def stability(first: Floats, second: Floats) -> float:
    """The population stability index of two samples, over tenths of the first; values that are not finite are a bin.

    >>> stability(np.arange(100.0), np.arange(100.0))
    0.0
    >>> mostly_1 = np.repeat([0.0, 1.0], [3, 97])
    >>> stability(mostly_1, np.repeat([0.0, 1.0], [50, 50])) > ALARM
    True
    """
    before = Sketch({"": np.empty(0)}, {"": np.zeros(2, np.int64)})  # of known values, and of others
    if np.isfinite(first).any():
        before = Sketch.of({"": first}, _BINS).empty()
    now = before.empty()
    before.add({"": first})
    now.add({"": second})
    return stability_index(before.counts[""] / first.size, now.counts[""] / second.size)


@dataclass(frozen=True)
class LogDrift:
    """Columns and items in the two halves of a log; `new_items`: the share of candidates that the first half lacks."""

    columns: tuple[Moved, ...]
    new_items: float
    halves: tuple[int, int]


def drift(decisions: Decisions) -> LogDrift:
    """Compare the candidates of the first and the second half of a log, by number of decisions, in time order."""
    half = len(decisions) // 2
    sides = [_candidates(decisions, 0, half), _candidates(decisions, half, len(decisions))]
    names = sorted(set(sides[0][0]) | set(sides[1][0]))
    moved = []
    for name in names:
        one, two = (side[0].get(name, np.empty(0)) for side in sides)
        if not (one.size and two.size):  # a column that one half lacks
            moved.append(Moved(name, math.inf, _mean(one), _mean(two), _missing(one), _missing(two)))
            continue
        moved.append(Moved(name, stability(one, two), _mean(one), _mean(two), _missing(one), _missing(two)))
    known = set(sides[0][1])
    new = [item not in known for item in sides[1][1]]
    share = sum(new) / len(new) if new else 0.0
    return LogDrift(
        tuple(sorted(moved, key=lambda one: (-one.index, one.column))), share, (half, len(decisions) - half)
    )


def _candidates(decisions: Decisions, start: int, stop: int) -> tuple[Mapping[str, Floats], Sequence[object]]:
    """Values of all columns and scores, and items, of evenly chosen decisions of a part of the log."""
    columns: dict[str, list[Floats]] = {}
    items: list[object] = []
    step = max(1, (stop - start) // _SAMPLED)
    for number in range(start, stop, step):
        one = decisions[number]
        items += list(one.items)
        for name, values in one.columns.items():
            columns.setdefault(name, []).append(np.asarray(values, np.float64))
        if one.scores is not None:
            columns.setdefault("(priced score)", []).append(np.asarray(one.scores, np.float64))
    return {name: np.concatenate(parts) for name, parts in columns.items()}, items


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan


def _missing(values: Floats) -> float:
    return float((~np.isfinite(values)).mean()) if values.size else 1.0
