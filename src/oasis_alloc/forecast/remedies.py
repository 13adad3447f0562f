"""Why a campaign will fall short, and what would help: sentences, competitors, and remedies with their prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.text_tables import number
from oasis_alloc.common.types import Floats
from oasis_alloc.data.grouping import Grouping
from oasis_alloc.forecast.competition import Contest, all_groups, contest_of, scores_to_beat, shortfalls_of_scores
from oasis_alloc.solution import Solution

_MARKETS = 3  # that are offered


@dataclass(frozen=True)
class Remedy:
    """Something that makes up for a shortfall, and what it costs.

    Attributes
    ----------
    kind
        "relax the floor", "higher bonus", "longer flight" or "other market".
    amount
        Units that it makes up for.
    price, total_cost
        Per unit and together, in units of the objective; negative where it saves. `math.nan` where it is not known.
    sentence
        The same in words.

    >>> import oasis_alloc as oa
    >>> oa.Remedy("longer flight", 20.0, 0.0, 0.0, "go on for 2 days").kind
    'longer flight'
    """

    kind: str
    amount: float
    price: float
    total_cost: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, for JSON."""
        found: dict[str, Any] = jsonable(self)
        return found


class Diagnosis:
    """What a plan says of single groups of a key; made once, asked for the groups that fall short."""

    def __init__(self, solution: Solution, by: str, market: str | None, scale: float) -> None:
        self._solution, self._by, self._market, self._scale = solution, by, market, scale
        self._grouping: Grouping
        self._grouping, inside, group = all_groups(solution, by)
        order = np.argsort(group, kind="stable")
        self._pairs = inside[order]
        self._ends = np.searchsorted(group[order], np.arange(self._grouping.n_groups + 1))
        self._prices = _own_prices(solution, by)
        self._scores = scores_to_beat(solution)

    def contest(self, g: int) -> Contest:
        """The contest for the slots of a group."""
        pairs: npt.NDArray[np.int64] = self._pairs[self._ends[g] : self._ends[g + 1]]
        return contest_of(self._solution, self._grouping, pairs, g)

    def remedies(self, one: Contest, g: int, short: float, part_left: float, pace: float, day: str) -> list[Remedy]:
        """What makes up for `short` units, cheapest first.

        `part_left` is the share of the flight's traffic that is to come, and `pace` what the group gets per `day` in
        the end.
        """
        price = max(-float(self._prices[g]), 0.0)
        found = [_relaxed(short, price)]
        lacks, room, users = self._open(one, part_left)
        more = _cheapest(lacks, room, short)
        if more is not None:
            found.append(
                Remedy("higher bonus", more[0], more[1] / more[0], more[1],
                       f"{number(more[0], 5)} more at current traffic cost at least {number(more[1], 4)}: raise its "
                       f"bonus by {number(more[2], 4)}")
            )  # fmt: skip
        found += self._markets(lacks, room, users, short)
        if pace > 0:
            days = short / pace
            found.append(
                Remedy("longer flight", short, 0.0, 0.0,
                       f"go on for {number(days, 3)} {day}s at {number(pace, 4)} per {day}, at today's prices")
            )  # fmt: skip
        return sorted(found, key=lambda remedy: remedy.total_cost)

    def _open(self, one: Contest, part_left: float) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        """(missing score, units that are open, user) of pairs that are not shown, cheapest first."""
        missing = shortfalls_of_scores(one, *self._scores)
        is_open = (one.x < 1.0 - 1e-9) & (missing > 0)
        order = np.argsort(missing[is_open], kind="stable")
        room = ((1.0 - one.x) * one.supply)[is_open][order] * part_left * self._scale
        return missing[is_open][order], room, one.users[is_open][order]

    def _markets(self, lacks: Floats, room: Floats, users: npt.NDArray[np.int64], short: float) -> Iterator[Remedy]:
        """More in one market alone: the cheapest first."""
        if self._market is None:
            return
        key = self._solution.problem.candidates.users[self._market]
        found = []
        for code in range(key.n_groups):
            here = key.codes[users] == code
            more = _cheapest(lacks[here], room[here], short)
            if more is not None:
                found.append((more[1] / more[0], -more[0], code, more))
        for price, _, code, more in sorted(found)[:_MARKETS]:
            label = key.labels.tolist()[code]
            part = "" if more[0] >= short * (1 - 1e-9) else f", of {number(short, 5)} that are missing"
            said = f"{number(more[0], 5)} more in {self._market} {label!r}{part}, at {number(price, 4)} each"
            yield Remedy("other market", more[0], price, more[1], said)


def _relaxed(short: float, price: float) -> Remedy:
    saved = f", which saves {number(price * short, 4)}" if price > 0 else ""
    return Remedy("relax the floor", short, -price, -price * short, f"lower the floor by {number(short, 5)}{saved}")


def _cheapest(lacks: Floats, room: Floats, wanted: float) -> tuple[float, float, float] | None:
    """(units, their cost, the largest score that is missing) of the cheapest units up to what is wanted."""
    if not lacks.size or wanted <= 0:
        return None
    total = np.cumsum(room)
    last = min(int(np.searchsorted(total, wanted)), lacks.size - 1)
    taken = room[: last + 1].copy()
    taken[-1] -= max(float(total[last]) - wanted, 0.0)
    units = float(taken.sum())
    return (units, float(lacks[: last + 1] @ taken), float(lacks[last])) if units > 0 else None


def _own_prices(solution: Solution, by: str) -> Floats:
    """Prices by group of all limits on exposure by this key alone."""
    problem = solution.problem
    out = np.zeros(problem.candidates.grouping(by).n_groups)
    for name, function in zip(problem.names, problem.functions, strict=True):
        if function.measure.by == (by,) and function.in_constraints:
            out += solution.prices[name]
    return out
