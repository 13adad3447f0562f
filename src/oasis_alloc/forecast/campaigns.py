"""Results of a forecast: one campaign's final delivery with its interval, by day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from oasis_alloc.common.arrays import objects
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import same
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import Printed, TextTable, cut, number
from oasis_alloc.errors import InputError
from oasis_alloc.forecast.competition import Competitor
from oasis_alloc.forecast.remedies import Remedy
from oasis_alloc.results.documents import SCHEMA

_ROWS = 20  # that are printed


@dataclass(frozen=True)
class ForecastPoint:
    """The total of a campaign by the end of a step of time: certain where the step has passed.

    >>> import oasis_alloc as oa
    >>> oa.ForecastPoint(0.0, 86400.0, 8.0, 10.0, 12.0).mid
    10.0
    """

    start: float
    end: float
    low: float
    mid: float
    high: float


@dataclass(frozen=True, eq=False)
class CampaignForecast(ByFields):
    """What one campaign will have delivered when its flight ends; made by `forecast`.

    Attributes
    ----------
    label
        The campaign.
    floor, cap
        Its limits over the flight; infinite where it has none.
    planned
        What the plan's prices serve of it at the expected traffic.
    delivered
        What the ledger has counted in the flight so far.
    low, mid, high
        The final delivery: the middle of the scenarios, and an interval that holds nine in ten of them.
    points
        The same by the end of each step of time, such as a day.
    risk, deep_risk
        The share of scenarios in which the floor is missed, and in which it is missed by more than 5 %.
    status
        "will fall short" (by more than 5 %, in most scenarios), "at risk" (the floor is missed in a fifth of them or
        more), "will reach its cap", or "on track".
    reasons
        Why it falls short, in sentences.
    competitors
        What is shown in its place, largest first.
    remedies
        What would make up for the shortfall, cheapest first.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> one = oa.CampaignForecast("a", 100.0, float("inf"), 98.0, 40.0, 80.0, 90.0, 99.0, (), 0.97, 0.8, "at risk")
    >>> one.shortfall
    10.0
    """

    label: Any
    floor: float
    cap: float
    planned: float
    delivered: float
    low: float
    mid: float
    high: float
    points: tuple[ForecastPoint, ...]
    risk: float
    deep_risk: float
    status: str
    reasons: tuple[str, ...] = ()
    competitors: tuple[Competitor, ...] = ()
    remedies: tuple[Remedy, ...] = ()

    @property
    def shortfall(self) -> float:
        """Units that are missing at the floor in the middle of the scenarios; 0 where none are."""
        return max(self.floor - self.mid, 0.0) if np.isfinite(self.floor) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The campaign as plain texts and numbers, for JSON; see `docs/json.md`."""
        found = {
            "label": self.label, "floor": self.floor, "cap": self.cap, "planned": self.planned,
            "delivered": self.delivered,
            "points": [
                {"start": one.start, "end": one.end, "metrics": {"impressions": _interval(one)}} for one in self.points
            ],
            "pacing_risk": {"level": _LEVELS[self.status], "probability": self.risk, "deep": self.deep_risk},
            "inventory_shortfall": {
                "impressions": self.shortfall,
                "low": max(self.floor - self.high, 0.0) if np.isfinite(self.floor) else 0.0,
                "high": max(self.floor - self.low, 0.0) if np.isfinite(self.floor) else 0.0,
            },
            "advisories": _ADVISORIES.get(self.status, []),
            "projected_end_state": {"status": self.status, "metrics": {"impressions": _interval(self)}},
            "reasons": list(self.reasons),
            "competitors": [one.to_dict() for one in self.competitors],
            "remedies": [one.to_dict() for one in self.remedies],
        }  # fmt: skip
        document: dict[str, Any] = jsonable(found)
        return document

    def __str__(self) -> str:
        head = (
            f"{self.label}: {number(self.delivered, 6)} delivered, {number(self.mid, 6)} "
            f"({number(self.low, 6)} to {number(self.high, 6)}) at the end: {self.status}"
        )
        short = f" by {number(self.shortfall, 5)}" if self.status == "will fall short" else ""
        said = [*self.reasons, *(f"{one.kind}: {one.sentence}." for one in self.remedies)]
        return "\n".join([head + short, *(f"  {line}" for line in said)])


_ADVISORIES = {"at risk": ["pacing_risk"], "will fall short": ["pacing_risk", "inventory_shortfall_forecast"]}
_LEVELS = {"on track": "low", "will reach its cap": "low", "at risk": "medium", "will fall short": "high"}


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Printed, ByFields):
    """Final deliveries of all campaigns, made by `forecast`: a sequence, in the order of the labels.

    Attributes
    ----------
    by
        The key of the campaigns.
    start, now, end
        The flight, and when the forecast was made, in UNIX seconds.
    traffic, relevance
        (middle, standard deviation) of the factor of all traffic over the schedule's, and of the relative change of
        promoted items' relevance over the flight, as far as deliveries so far tell them.
    campaigns
        One `CampaignForecast` per group.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> one = oa.CampaignForecast("a", 100.0, float("inf"), 98.0, 40.0, 80.0, 90.0, 99.0, (), 0.97, 0.8, "at risk")
    >>> oa.Forecast("campaign", 0.0, 5.0, 9.0, (1.0, 0.1), (0.0, 0.1), (one,))["a"].mid
    90.0
    """

    by: str
    start: float
    now: float
    end: float
    traffic: tuple[float, float]
    relevance: tuple[float, float]
    campaigns: tuple[CampaignForecast, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.campaigns)

    def __iter__(self) -> Iterator[CampaignForecast]:
        return iter(self.campaigns)

    def __getitem__(self, label: Any) -> CampaignForecast:
        """The forecast of a campaign, by its label."""
        place = self._places.get(same(label))
        if place is None:
            hint = did_you_mean(label, [one.label for one in self.campaigns])
            raise InputError(f"forecast: there is no {self.by} {label!r}.{hint}")
        return self.campaigns[place]

    @property
    def shortfalls(self) -> tuple[CampaignForecast, ...]:
        """Campaigns that will fall short by more than 5 %, the largest share first."""
        found = [one for one in self.campaigns if one.status == "will fall short"]
        return tuple(sorted(found, key=lambda one: -one.shortfall / one.floor))

    def to_frame(self, backend: str | None = None) -> Any:
        """One row per campaign: its label as text, and the attributes that are numbers or texts."""
        from oasis_alloc.data.frames import table

        columns: dict[str, Any] = {"label": objects(str(one.label) for one in self.campaigns)}
        columns |= {name: np.array([getattr(one, name) for one in self.campaigns], float) for name in _NUMBERS}
        columns["status"] = objects(one.status for one in self.campaigns)
        return table(columns, backend)

    def days_frame(self, backend: str | None = None) -> Any:
        """One row per campaign and step of time: label as text, start, end, low, mid and high."""
        from oasis_alloc.data.frames import table

        rows = [(one.label, point) for one in self.campaigns for point in one.points]
        columns: dict[str, Any] = {"label": objects(str(label) for label, _ in rows)}
        names = ("start", "end", "low", "mid", "high")
        columns |= {name: np.array([getattr(point, name) for _, point in rows], float) for name in names}
        return table(columns, backend)

    def to_dict(self) -> dict[str, Any]:
        """The forecast as plain texts and numbers, for JSON; see `docs/json.md`."""
        head = {"format": "oasis_alloc.forecast", "schema": SCHEMA, "by": self.by, "method": "modeled"}
        times = {"start": self.start, "now": self.now, "end": self.end, "interval": 0.9, "unit": "impressions"}
        shared = {
            name: {"mid": of[0], "deviation": of[1]}
            for name, of in (("traffic", self.traffic), ("relevance", self.relevance))
        }
        return {**head, **times, **shared, "campaigns": [one.to_dict() for one in self.campaigns]}

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {same(one.label): k for k, one in enumerate(self.campaigns)}

    def _parts(self) -> list[str | TextTable]:
        passed = 100.0 * min(max((self.now - self.start) / (self.end - self.start), 0.0), 1.0)
        head = (
            f"{len(self.campaigns):,} campaigns, {passed:.0f} % of the flight has passed; traffic is at "
            f"{100 * self.traffic[0]:.0f} % (+- {100 * self.traffic[1]:.0f}) of what was expected"
        )
        order = sorted(self.campaigns, key=lambda one: (-one.deep_risk, -one.risk))
        rows = [
            (cut(str(one.label), 32), _limit(one.floor), _limit(one.cap), number(one.delivered, 6), number(one.low, 6),
             number(one.mid, 6), number(one.high, 6), f"{100 * one.risk:.0f} %", one.status)
            for one in order[:_ROWS]
        ]  # fmt: skip
        more = f"... and {len(order) - _ROWS:,} more" if len(order) > _ROWS else ""
        heads = (self.by, "floor", "cap", "so far", "low", "mid", "high", "risk", "")
        parts: list[str | TextTable] = [head, TextTable(heads, "lrrrrrrrl", rows, more)]
        for one in self.shortfalls[:5]:
            parts += [f"{one.label}: {line}" for line in one.reasons]
            parts += [f"{one.label}: {remedy.kind}: {remedy.sentence}." for remedy in one.remedies]
        return parts


_NUMBERS = ("floor", "cap", "planned", "delivered", "low", "mid", "high", "risk", "deep_risk", "shortfall")


def _interval(one: CampaignForecast | ForecastPoint) -> dict[str, float]:
    return {"low": one.low, "mid": one.mid, "high": one.high}


def _limit(limit: float) -> str:
    return number(limit, 6) if np.isfinite(limit) else ""
