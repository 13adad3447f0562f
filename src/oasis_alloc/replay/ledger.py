"""What a ledger would say: deliveries that are confirmed late, or never."""

from __future__ import annotations

import math

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.replay.scenario import Scenario

_GIVEN_UP = 900.0  # seconds after which what is not confirmed counts as lost
_BUCKETS = 400  # intervals that deliveries wait in, at most


class Repeats:
    """A real ledger between the servers and the totals, to which some events come twice, in any order."""

    def __init__(self, n: int, share: float, seed: int) -> None:
        self._ledger = Ledger(clock=float, skew=1e9)
        self._rng, self._share = np.random.default_rng([seed, 17]), share
        self._n, self._batch = n, 0
        self._again: list[tuple[str, int, float]] = []
        self._total = np.zeros(n)

    def counted(self, amounts: Floats) -> Floats:
        """What the totals of the ledger grow by when an interval's events are sent."""
        self._batch += 1
        rows = np.flatnonzero(amounts > 0).tolist()
        events = [(f"{self._batch}-{row}", row, float(amounts[row])) for row in rows]
        sent = events + self._again
        repeated = [event for event in events if self._rng.random() < self._share]
        late = [bool(self._rng.random() < 0.5) for _ in repeated]  # the others come in the same batch
        sent += [event for event, is_late in zip(repeated, late, strict=True) if not is_late]
        self._again = [event for event, is_late in zip(repeated, late, strict=True) if is_late]
        if sent:
            names, keys, parts = (list(column) for column in zip(*sent, strict=True))
            self._ledger.record_columns(names, keys, 0.0, parts, "confirmed")
        before, found = self._total, self._ledger.delivered()
        self._total = np.array([found.get(row, 0.0) for row in range(self._n)])
        out: Floats = self._total - before
        return out


class Confirmations:
    """Totals by goal. Delays are lognormal with the scenario's median and 99th percentile."""

    def __init__(self, scenario: Scenario, n: int, seed: int, step: float | None = None) -> None:
        self.served, self.confirmed, self.unheard = np.zeros((3, n))
        self.good = self.lost = 0.0
        self._certain = not scenario.is_confirmed_late
        self._rng = np.random.default_rng([seed, 13])
        self._share_lost = scenario.lost
        step = scenario.sync if step is None else step
        count = 1 if self._certain else max(1, min(_BUCKETS, math.ceil(_GIVEN_UP / step)))
        median, p99 = max(scenario.confirm_median, 1e-3), max(scenario.confirm_p99, scenario.confirm_median, 1e-3)
        sigma = max(math.log(p99 / median) / 2.3263478740408408, 1e-6)
        edges = (np.arange(1, count + 1)) * step
        cdf = np.array([0.5 * (1 + math.erf(math.log(e / median) / (sigma * math.sqrt(2.0)))) for e in edges])
        self._part = np.diff(np.concatenate([[0.0], cdf]))
        self._due: Floats = np.zeros((count + 1, n))  # confirmations by intervals from now
        self._wait: Floats = np.zeros((count + 1, n))  # given up by intervals from now
        self._pending = np.zeros(n)
        self._now: float | None = None
        self.lost_now = np.zeros(n)  # what was given up in the last interval
        self._twice = Repeats(n, scenario.duplicates, seed) if scenario.duplicates > 0 else None

    def serve(self, amounts: Floats, time: float) -> None:
        """Take in what was served in an interval that ends now."""
        if self._twice is not None:
            amounts = self._twice.counted(amounts)
        self.served += amounts
        if self._certain:
            self.confirmed += amounts
            return
        # binomial thinning of whole showings; amounts of columns are thinned as a whole
        whole = np.maximum(np.round(amounts), 0).astype(np.int64)
        kept = self._rng.binomial(whole, 1.0 - self._share_lost)
        scale = np.where(whole > 0, amounts / np.maximum(whole, 1), 0.0)
        never = max(0.0, 1.0 - float(self._part.sum()))
        spread = self._rng.multinomial(kept, [*self._part, never])
        self._due[: self._part.size] += (spread[:, : self._part.size] * scale[:, None]).T
        late = spread[:, -1] * scale
        self._due[-1] += late  # after they were given up; they count all the same
        self._wait[-1] += (whole - kept) * scale
        self._pending += amounts

    def advance(self, now: float) -> None:
        """An interval has passed: what was due in it is confirmed or given up."""
        if self._certain:
            return
        if self._now is not None:
            came, gone = self._due[0].copy(), self._wait[0].copy()
            self._due[:-1], self._wait[:-1] = self._due[1:].copy(), self._wait[1:].copy()
            self._due[-1], self._wait[-1] = 0.0, 0.0
            self.confirmed += came
            self._pending = np.maximum(self._pending - came - gone, 0.0)
            self.lost_now = gone
            self.good += float(came.sum())
            self.lost += float(gone.sum())
        self._now = now

    def pending(self) -> Floats:
        """(n,) what waits."""
        return self._pending.copy()

    def finish(self) -> None:
        """After the last request: whatever was to be confirmed is."""
        if not self._certain:
            self.confirmed += self._due.sum(axis=0)
