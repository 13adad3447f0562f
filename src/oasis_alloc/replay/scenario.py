"""What may differ from the recorded day, one thing or several: arrivals, campaigns, confirmations, replicas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import Signature, signature
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_flag, as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.plan import Plan
from oasis_alloc.replay.requests import Requests

_STAGES = 8  # groups of replicas that synchronize at the same moment
_ARRIVALS = ("recorded", "iid", "two peaks", "adversarial")


@suggesting
@dataclass(frozen=True, kw_only=True)
class Scenario(ByFields):
    """How the world differs from the requests as they were recorded; `a + b` takes what b says and the rest of a.

    Parameters
    ----------
    arrivals
        "recorded"; "iid": drawn with replacement, spread evenly; "two peaks": drawn with replacement, with peaks at a
        third and five sixths of the time; "adversarial": the requests with the best candidates come last.
    traffic
        How many requests come for each that was forecast: 0.5 and 2 are forecasts wrong by these factors.
    turnover
        The share of the goals of which half end and half start in mid-flight, all at once.
    floors
        Factor of all floors: large ones cannot be met.
    drift
        By how much the organic column of promoted items has changed at the end, relatively.
    silent
        Parts of the time without any request, as [(from, to), ...] in shares of it.
    confirm_median, confirm_p99, lost
        Seconds until half and 99 % of the deliveries are confirmed, and the share that never is.
    duplicates
        The share of the reports of deliveries that come twice, at once or later, through a real ledger.
    replicas, sync
        How many processes serve, and the seconds between two synchronizations. Each has allowances of hard caps, as a
        pacer with a ledger has.
    staggered
        True for replicas that synchronize one after the other, each at the prices of its own last synchronization;
        False for all at the same moment.
    dies
        When the first replica dies with what it had not told, as a share of the time; None for never. What it was
        granted and had not used stays with it.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> busy = oa.Scenario(arrivals="two peaks") + oa.Scenario(replicas=8, sync=10.0)
    >>> busy.arrivals, busy.replicas
    ('two peaks', 8)
    """

    arrivals: str = "recorded"
    traffic: float = 1.0
    turnover: float = 0.0
    floors: float = 1.0
    drift: float = 0.0
    silent: tuple[tuple[float, float], ...] = ()
    confirm_median: float = 0.0
    confirm_p99: float = 0.0
    lost: float = 0.0
    duplicates: float = 0.0
    replicas: int = 1
    sync: float = 10.0
    staggered: bool = False
    dies: float | None = None
    _said: ClassVar[frozenset[str]] = frozenset()  # names of what was given
    __signature__: ClassVar[Signature]

    def __post_init__(self) -> None:
        if self.arrivals not in _ARRIVALS:
            raise InputError(f"Scenario(arrivals={shown(self.arrivals)}): expected one of {', '.join(_ARRIVALS)}.")
        for name, low, high in (
            ("traffic", 1e-6, 1e3), ("turnover", 0.0, 1.0), ("floors", 0.0, 1e9), ("drift", -1.0, 1e3),
            ("confirm_median", 0.0, 1e9), ("confirm_p99", 0.0, 1e9), ("lost", 0.0, 0.999), ("duplicates", 0.0, 1.0),
            ("sync", 1e-6, 1e9),
        ):  # fmt: skip
            number = as_real(getattr(self, name))
            if number is None or not low <= number <= high:
                raise InputError(
                    f"Scenario({name}={shown(getattr(self, name))}): expected a number in [{low:g}, {high:g}]."
                )
        count = as_whole(self.replicas)
        if count is None or not 1 <= count <= 4096:
            raise InputError(f"Scenario(replicas={shown(self.replicas)}): expected a whole number from 1 to 4096.")
        if self.confirm_p99 < self.confirm_median:
            raise InputError(
                "Scenario: confirm_p99 is below confirm_median; expected 99 % to take at least as long as half."
            )
        if not _are_parts(self.silent):
            raise InputError(
                f"Scenario(silent={shown(self.silent)}): expected [(from, to), ...] in shares of the time, 0 <= from < "
                "to <= 1."
            )
        object.__setattr__(self, "silent", tuple(tuple(pair) for pair in self.silent))  # a list, as files have them
        object.__setattr__(self, "staggered", as_flag(self.staggered, "staggered", "Scenario"))
        if self.dies is not None and ((at := as_real(self.dies)) is None or not 0.0 <= at <= 1.0):
            raise InputError(f"Scenario(dies={shown(self.dies)}): expected a share of the time in [0, 1], or None.")

    def __new__(cls, **said: Any) -> Self:
        made = super().__new__(cls)
        object.__setattr__(made, "_said", frozenset(said))  # also where it is said as it is without being said
        return made

    def __add__(self, other: object) -> Scenario:
        if not isinstance(other, Scenario):
            return NotImplemented
        both = replace(self, **{name: getattr(other, name) for name in other._said})
        object.__setattr__(both, "_said", self._said | other._said)
        return both

    @property
    def demand(self) -> tuple[Any, ...]:
        """What of it says which requests come and what is asked: worlds that agree in this have one optimum."""
        drifts = (self.drift, self.step) if self.drift else None
        return self.arrivals, self.traffic, self.turnover, self.floors, self.silent, drifts

    @property
    def stages(self) -> int:
        """In how many parts replicas synchronize, one after the other."""
        return min(self.replicas, _STAGES) if self.staggered else 1

    @property
    def step(self) -> float:
        """Seconds between two ticks."""
        return self.sync / self.stages

    @property
    def is_confirmed_late(self) -> bool:
        """Whether what is served is not certain at once."""
        return self.confirm_median > 0 or self.lost > 0


def _are_parts(given: object) -> bool:
    """Whether these are pairs of numbers 0 <= a < b <= 1."""
    try:
        pairs = [(as_real(a), as_real(b)) for a, b in given]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return False
    return all(a is not None and b is not None and 0.0 <= a < b <= 1.0 for a, b in pairs)


# `__new__` would hide the arguments from help() and from what completes them
_init = signature(Scenario.__init__)
Scenario.__signature__ = _init.replace(parameters=list(_init.parameters.values())[1:])


@dataclass(frozen=True, eq=False)
class World:
    """One realization of a scenario: common to all contenders of a seed."""

    order: npt.NDArray[np.int64]  # (n,) requests in the order of their arrival
    time: Floats  # (n,)
    replica: npt.NDArray[np.int64]  # (n,)
    plan: Plan
    forecast: Floats  # arrivals expected per step of time
    step: float
    start: float
    end: float
    expected: float  # requests that were forecast


def world_of(scenario: Scenario, requests: Requests, plan: Plan, seed: int, worth: Floats) -> World:
    """Draw a realization; `worth` (n_requests,) orders requests for the adversary."""
    if scenario.dies is not None and scenario.replicas < 2:
        raise InputError("Scenario(dies=...): expected at least two replicas, of which one dies; add replicas=.")
    rng = np.random.default_rng([seed, 7])
    n, start, end = len(requests), requests.start, requests.end
    m = max(1, round(n * scenario.traffic))
    if scenario.arrivals == "recorded":
        whole, rest = divmod(m, n)
        order = np.concatenate([*[np.arange(n)] * whole, np.sort(rng.choice(n, rest, replace=False))]).astype(np.int64)
        time = requests.time[order]
    else:
        order = rng.integers(0, n, m)
        if scenario.arrivals == "adversarial":
            order = order[np.argsort(worth[order], kind="stable")]
        at = np.sort(_peaks(rng, m) if scenario.arrivals == "two peaks" else rng.random(m))
        time = start + at * (end - start)
    by_time = np.argsort(time, kind="stable")
    order, time = order[by_time], time[by_time]
    for a, b in scenario.silent:
        part = (time - start) / (end - start)
        kept = (part < a) | (part >= b)
        order, time = order[kept], time[kept]
    if not order.size:
        raise InputError(
            f"Scenario(silent={shown(scenario.silent)}): no request is left; leave a part of the time with requests."
        )
    bins = max(1, min(1440, n // 20))
    if scenario.arrivals == "recorded":
        forecast = requests.arrivals((end - start) / bins)
    elif scenario.arrivals == "two peaks":
        middle = (np.arange(bins) + 0.5) / bins
        forecast = _density(middle)
    else:
        forecast = np.ones(bins)
    replica = rng.integers(0, scenario.replicas, order.size)
    if scenario.dies is not None:
        dead = (replica == 0) & (time >= start + scenario.dies * (end - start))
        replica[dead] = rng.integers(1, scenario.replicas, int(dead.sum()))
    return World(
        order,
        time,
        replica,
        _changed(plan, scenario, seed, start, end),
        forecast,
        (end - start) / bins,
        start,
        end,
        float(n),
    )


def _density(s: Any) -> Floats:
    """Two peaks a day over a floor of a fifth."""
    first, second = np.exp(-0.5 * ((s - 0.35) / 0.07) ** 2), np.exp(-0.5 * ((s - 0.83) / 0.06) ** 2)
    found: Floats = 0.2 + 0.9 * first + 1.2 * second
    return found


def _peaks(rng: np.random.Generator, m: int) -> Floats:
    """m draws from the density, by inversion on a fine grid."""
    grid = np.linspace(0.0, 1.0, 4097)
    mass = np.concatenate([[0.0], np.cumsum(_density(0.5 * (grid[1:] + grid[:-1])))])
    return np.interp(rng.random(m), mass / mass[-1], grid)


def _changed(plan: Plan, scenario: Scenario, seed: int, start: float, end: float) -> Plan:
    """The plan with harder floors, and with goals that start and end in mid-flight, their limits in proportion."""
    goals = [
        replace(goal, floor=goal.floor * scenario.floors) if np.isfinite(goal.floor) else goal for goal in plan.goals
    ]
    goals = [replace(goal, cap=max(goal.floor, goal.cap)) for goal in goals]
    chosen = np.random.default_rng([seed, 11]).permutation(len(goals))[: round(scenario.turnover * len(goals))]
    middle = 0.5 * (start + end)
    for number, at in enumerate(chosen.tolist()):
        goal = goals[at]
        part = 1.0 if goal.per_request else 0.5
        span = {"end": min(goal.end, middle)} if number % 2 else {"start": max(goal.start, middle)}
        if span.get("start", goal.start) < span.get("end", goal.end):
            goals[at] = replace(goal, floor=goal.floor * part, cap=goal.cap * part, **span)
    return Plan.of_goals(goals)
