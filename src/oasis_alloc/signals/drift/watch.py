"""Drift of requests against the data that a policy was built from, and alarms that do not flicker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Protocol

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.documents import Document, jsonable
from oasis_alloc.common.text_tables import TextTable, as_text
from oasis_alloc.common.types import ColumnsLike, Floats, Ints, ItemsLike
from oasis_alloc.errors import InputError
from oasis_alloc.serving.request.reader import UserLike
from oasis_alloc.serving.schema import shown
from oasis_alloc.signals.drift.sketch import Sketch

_FLOOR = 1e-4  # share of an empty bin in the index, whose logarithm would be infinite


@dataclass(frozen=True)
class Drift(Document, form="drift"):
    """How far the values of one column, or the labels of one key of users, have moved.

    - `name`: the column or key.
    - `stability`: population stability index, `sum((q - p) * log(q / p))` over bins with shares p before and q now; a
      share below 1e-4 counts as 1e-4. Below 0.1 is usual, above 0.25 is a change (Siddiqi, 2006).
    - `distance`: Kolmogorov's distance of the two distributions at the edges of the bins, 0 to 1. For labels, which
      have no order, their total variation distance.
    - `missing_before`, `missing_now`: shares of values that are NaN or infinite, or of requests without a label.
    - `rows`: values or requests that were looked at.
    - `unseen`: share of requests now whose label the reference does not have; 0 for a column.

    Example
    -------
    >>> sketch = Sketch.of({"r": [0.1, 0.2, 0.3, 0.4]}, bins=2)
    >>> Drift.between(sketch, sketch)[0].distance
    0.0
    """

    name: str
    stability: float
    distance: float
    missing_before: float
    missing_now: float
    rows: int
    unseen: float = 0.0

    @classmethod
    def between(cls, before: Sketch, now: Sketch) -> list[Drift]:
        """The drift of every name that both sketches have; `InputError` where their bins differ.

        >>> before = Sketch.of({"r": [0.1, 0.2, 0.3, 0.4]}, bins=2)
        >>> now = before.empty()
        >>> now.add({"r": [0.3, 0.4, 0.4, 0.2]})
        >>> [(one.name, round(one.stability, 3), one.distance) for one in Drift.between(before, now)]
        [('r', 0.275, 0.25)]
        """
        before.merge(now)  # the same bins
        columns = [_drift(name, before.counts[name], now.counts[name]) for name in before.edges]
        keys = [_drift_of_labels(key, one.counts, now.labels[key].counts) for key, one in before.labels.items()]
        return [*columns, *keys]


def stability_index(before: Floats, now: Floats) -> float:
    """The population stability index of two lists of shares, `sum((q - p) * log(q / p))`; 0 for equal shares.

    >>> round(stability_index(np.array([0.5, 0.5]), np.array([0.25, 0.75])), 3)
    0.275
    """
    p, q = np.maximum(before, _FLOOR), np.maximum(now, _FLOOR)
    return float(((q - p) * np.log(q / p)).sum())


def _drift(name: str, before: Ints, now: Ints) -> Drift:
    p, q = (count[:-1] / max(1, int(count[:-1].sum())) for count in (before, now))
    is_known = bool(now[:-1].sum() and before[:-1].sum())
    return Drift(
        name, stability_index(p, q) if is_known else 0.0,
        float(np.abs(np.cumsum(p - q)).max()) if is_known else 0.0,
        float(before[-1] / max(1, before.sum())), float(now[-1] / max(1, now.sum())), int(now.sum()),
    )  # fmt: skip


def _drift_of_labels(key: str, before: Ints, now: Ints) -> Drift:
    found = _drift(key, before, now)
    p, q = (count[:-1] / max(1, int(count[:-1].sum())) for count in (before, now))
    is_known = bool(now[:-1].sum() and before[:-1].sum())
    distance = 0.5 * float(np.abs(p - q).sum()) if is_known else 0.0
    return replace(found, distance=distance, unseen=float(now[-2] / max(1, now.sum())))


class Detector(Protocol):
    """A detector of river, such as `river.drift.ADWIN()`: it takes one number at a time."""

    @property
    def drift_detected(self) -> bool:
        """Whether the last number showed a drift."""

    def update(self, x: float) -> Any:
        """Take in one number."""


@suggesting
class DriftWatch:
    """Watches the requests of a service: sketches a sample of them, compares, and raises alarms with hysteresis.

    Parameters
    ----------
    reference
        `Sketch.of_candidates(candidates, policy)` of the candidates that the policy was built from, or any sketch.
    every
        One decision of so many is looked at; the others cost a count.
    candidates
        Maximum number of candidates per decision that are counted, evenly spaced.
    start, end
        An alarm for a name begins where its stability index, or ten times the rise of its missing share or the share of
        its unseen labels, is above `start` at a `check`. It ends below `end`, which is lower: values in between change
        nothing.
    rows
        Values that a name needs before it is judged.
    detectors
        `{name: detector}` of river, which get the mean of every request that is looked at.

    Methods may be called from any thread. Raises `InputError` for numbers out of range.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> watch = oa.DriftWatch(oa.Sketch.of({"r": rng.random(10_000)}), every=1, rows=500)
    >>> for _ in range(20):
    ...     watch.seen([1, 2, -1], {"r": rng.random(64) + 0.3})
    >>> watch.check().alarms, round(watch.check().unseen_items, 2)
    (('r',), 0.33)
    """

    def __init__(
        self,
        reference: Sketch,
        *,
        every: int = 256,
        candidates: int = 64,
        start: float = 0.25,
        end: float = 0.1,
        rows: int = 2000,
        detectors: Mapping[str, Detector] | None = None,
    ) -> None:
        if not isinstance(reference, Sketch):
            raise InputError(f"reference: got {shown(reference)}; expected oa.Sketch.of(columns).")
        for name, number in (("every", every), ("candidates", candidates), ("rows", rows)):
            if (whole := as_whole(number)) is None or whole < 1:
                raise InputError(f"{name}={shown(number)}: expected a whole number, 1 or more.")
        high, low = as_real(start), as_real(end)
        if high is None or low is None or not 0 <= low < high < np.inf:
            raise InputError(f"start={shown(start)}, end={shown(end)}: expected 0 <= end < start.")
        unknown = [name for name in detectors or {} if name not in reference.edges]
        if unknown:
            raise InputError(
                f"detectors: {unknown[0]!r} is not in the reference; expected {', '.join(reference.edges)}."
            )
        self.reference, self.every, self.start, self.end = reference, every, high, low
        self._candidates, self._rows, self._detectors = candidates, rows, dict(detectors or {})
        self._lock = Lock()
        self._left = 0
        self._alarms: dict[str, bool] = dict.fromkeys([*reference.edges, *reference.labels], False)
        self._detected: dict[str, int] = dict.fromkeys(self._detectors, 0)
        self._begin()

    def _begin(self) -> None:
        self._now = self.reference.empty()
        self._looked, self._items, self._unseen = 0, 0, 0

    def seen(self, items: ItemsLike, columns: ColumnsLike, user: UserLike = None) -> None:
        """Take in one decision: its items, -1 for unseen ones, its columns, and its user.

        Scores and boosts may be columns too, under the names of the reference. Labels are counted of a user who is
        given as `{key: label}`; None has no labels, and numbers of users and results of `policy.user` are not counted.
        """
        if self._left > 0:
            self._left -= 1  # a lost count of another thread changes the sample by one
            return
        self._left = self.every - 1
        self._look(items, columns, user)

    def _is_due(self) -> bool:
        """Whether the next decision is looked at; if not, it is counted. A store makes scores only then."""
        if self._left > 0:
            self._left -= 1
            return False
        self._left = self.every - 1
        return True

    def _look(self, items: ItemsLike, columns: ColumnsLike, user: UserLike = None) -> None:
        numbers = np.asarray(items)
        known: dict[str, Any] = {}
        for name in self.reference.edges:
            if name in columns:  # type: ignore[operator]
                values = np.asarray(columns[name], np.float64)  # type: ignore[index]
                known[name] = values[:: max(1, -(-values.size // self._candidates))]
        labels = {}
        if user is None or isinstance(user, Mapping):
            labels = {key: [None if user is None else user.get(key)] for key in self.reference.labels}
        with self._lock:
            self._looked += 1
            self._items += numbers.size
            self._unseen += int((numbers < 0).sum())
            self._now.add(known, labels)
            for name, detector in self._detectors.items():
                if name in known and known[name].size:
                    detector.update(float(np.mean(known[name])))
                    self._detected[name] += bool(detector.drift_detected)

    def check(self, restart: bool = False) -> DriftReport:
        """Compare what was seen since the last restart with the reference, and move the alarms.

        `restart` begins to count again afterwards, so that the next check judges what comes then; alarms stay.
        """
        with self._lock:
            found = Drift.between(self.reference, self._now)
            for one in found:
                if one.rows >= self._rows:
                    worst = max(one.stability, 10.0 * (one.missing_now - one.missing_before), 10.0 * one.unseen)
                    if worst > self.start:
                        self._alarms[one.name] = True
                    elif worst < self.end:
                        self._alarms[one.name] = False
            share = self._unseen / self._items if self._items else 0.0
            report = DriftReport(
                tuple(found), tuple(name for name, is_on in self._alarms.items() if is_on), share, self._looked,
                dict(self._detected),
            )  # fmt: skip
            if restart:
                self._begin()
            return report

    def stats(self) -> dict[str, Any]:
        """What a service adds to its statistics: drift by name, alarms, and the sketch to send; plain, for JSON."""
        report = self.check()
        with self._lock:
            sketch = self._now.to_dict()
        return {
            "drift": jsonable(report.drifts), "alarms": list(report.alarms),
            "unseen_items": report.unseen_items, "decisions": report.decisions, "detected": dict(report.detected),
            "sketch": sketch,
        }  # fmt: skip


@dataclass(frozen=True)
class DriftReport(Document, form="drift_report"):
    """The answer of `DriftWatch.check`; print it for a table.

    - `drifts`: one `Drift` per name of the reference, columns before keys of users.
    - `alarms`: names with an alarm.
    - `unseen_items`: share of the candidates that the policy did not know.
    - `decisions`: decisions that were looked at.
    - `detected`: how often each detector of river found a drift.

    Example
    -------
    >>> report = DriftWatch(Sketch.of({"r": [0.1, 0.2, 0.3]}, bins=2)).check()
    >>> report.alarms, report.decisions
    ((), 0)
    """

    drifts: tuple[Drift, ...]
    alarms: tuple[str, ...]
    unseen_items: float
    decisions: int
    detected: Mapping[str, int]

    def __str__(self) -> str:
        rows = [
            [
                one.name, f"{one.stability:.3f}", f"{one.distance:.3f}", f"{one.missing_before:.2%}",
                f"{one.missing_now:.2%}", f"{one.unseen:.2%}", "alarm" if one.name in self.alarms else "",
            ]
            for one in self.drifts
        ]  # fmt: skip
        head = ["", "stability index", "distance", "missing before", "now", "unseen labels", ""]
        said = (
            f"{self.decisions:,} decisions looked at; {self.unseen_items:.2%} of the candidates were not in the solve"
        )
        return f"{said}\n\n{as_text(TextTable(head, 'lrrrrrl', rows))}"
