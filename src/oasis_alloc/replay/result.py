"""What a replay found: one frame of metrics, means with paired intervals, and a page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.remote_path import AnyPath
from oasis_alloc.common.text_tables import TextTable, as_text
from oasis_alloc.data.named import frame_of
from oasis_alloc.errors import InputError

_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09)
_SHOWN = (
    "delivery ratio",
    "within 5 %",
    "above hard caps",
    "error against plan",
    "share of hindsight",
    "relevance loss",
)


@dataclass(frozen=True, eq=False)
class Replay(ByFields):
    """What `oa.replay` returns; printing it shows means over the seeds.

    Attributes
    ----------
    rows
        One `{metric: number}` per contender, scenario and seed.
    goals
        One dictionary per goal of each: limits, what was delivered, and over time what was planned, served and priced.
    contenders, scenarios, seeds
        What was played.

    >>> import oasis_alloc as oa
    >>> row = {"contender": "a", "scenario": "s", "seed": 0, "value": 2.0}
    >>> oa.Replay((row,), (), ("a",), ("s",), (0,)).mean("value")
    {('s', 'a'): 2.0}
    """

    rows: tuple[dict[str, Any], ...]
    goals: tuple[dict[str, Any], ...]
    contenders: tuple[str, ...]
    scenarios: tuple[str, ...]
    seeds: tuple[int, ...]

    def frame(self, backend: str = "pandas") -> Any:
        """Metrics as a frame, one row per contender, scenario and seed."""
        return _frame(list(self.rows), backend)

    def campaigns(self, backend: str = "pandas") -> Any:
        """Delivery by goal as a frame: limits, target, delivered and the time when nothing was left."""
        wanted = ("contender", "scenario", "seed", "goal", "floor", "cap", "target", "delivered", "exhausted")
        return _frame([{name: goal[name] for name in wanted} for goal in self.goals], backend)

    def values(self, metric: str, scenario: str, contender: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(n_seeds,) one metric by seed; `InputError` for names that this replay does not have."""
        metrics = sorted({name for row in self.rows for name in row})
        asked = (
            ("metric", metric, metrics),
            ("scenario", scenario, self.scenarios),
            ("contender", contender, self.contenders),
        )
        for what, name, known in asked:
            if name not in known:
                raise InputError(f"replay: there is no {what} {shown(name)}.{did_you_mean(name, known)}")
        found = [
            row.get(metric, math.nan)
            for row in self.rows
            if row["scenario"] == scenario and row["contender"] == contender
        ]
        return np.array(found, np.float64)

    def mean(self, metric: str) -> dict[tuple[str, str], float]:
        """{(scenario, contender): mean over the seeds}."""
        return {(s, c): float(self.values(metric, s, c).mean()) for s in self.scenarios for c in self.contenders}

    def difference(self, metric: str, scenario: str, first: str, second: str) -> tuple[float, float, float]:
        """(mean, low, high) of first minus second over the seeds: a paired 95 % interval of Student's t."""
        apart = self.values(metric, scenario, first) - self.values(metric, scenario, second)
        n = apart.size
        mean = float(apart.mean())
        if n < 2:
            return mean, -math.inf, math.inf
        t = _T[n - 2] if n - 2 < len(_T) else 1.96 + 2.4 / (n - 1)
        half = t * float(apart.std(ddof=1)) / math.sqrt(n)
        return mean, mean - half, mean + half

    def summary(self) -> str:
        """A table of the main metrics, means over the seeds."""
        present = [name for name in _SHOWN if any(name in row for row in self.rows)]
        lines = [
            (s, c, *(f"{self.mean(name)[s, c]:.4g}" for name in present))
            for s in self.scenarios
            for c in self.contenders
        ]
        return as_text(TextTable(("scenario", "contender", *present), "ll" + "r" * len(present), lines))

    def page(self, path: AnyPath) -> None:
        """Write one HTML page without dependencies: a sortable table, and delivery and prices over time per goal."""
        from oasis_alloc.replay.page import write_page

        write_page(self, path)

    def __str__(self) -> str:
        return self.summary()


def _frame(rows: list[dict[str, Any]], backend: str) -> Any:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return frame_of({name: [row.get(name) for row in rows] for name in names}, backend)
