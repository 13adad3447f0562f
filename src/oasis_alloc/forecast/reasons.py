"""Why a campaign gets what it gets: limits, supply, competition and the price of more, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import Printed, TextTable, number
from oasis_alloc.forecast.competition import Competitor, Contest, contest, scores_to_beat, shortfalls_of_scores
from oasis_alloc.forecast.what_if import checked
from oasis_alloc.results.documents import SCHEMA
from oasis_alloc.results.naming import named
from oasis_alloc.solution import Solution

_NAMED = 3  # competitors in a sentence
_ROWS = 12  # competitors in the table
_FELT = 1e-9  # of the largest price of a constraint: smaller ones are 0


@dataclass(frozen=True, eq=False, repr=False)
class Reasons(Printed, ByFields):
    """Why one campaign gets what it gets, made by `reasons`; `print` shows the sentences.

    Attributes
    ----------
    label, by
        The campaign, and its key.
    delivered
        Its expected units in the plan.
    sentences
        Limits, supply, competition, what it pays, and the price of more.
    competitors
        Who is shown in slates where it was a candidate and is not shown, by units, largest first.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> caps = (oa.exposure(by="song") <= {"a": 1.0}).named("caps")
    >>> oa.reasons(oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1))), "b", by="song").competitors
    (Competitor(label='a', units=1.0),)
    """

    label: Any
    by: tuple[str, ...]
    delivered: float
    sentences: tuple[str, ...]
    competitors: tuple[Competitor, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain texts and numbers, for JSON; see `docs/json.md`."""
        return {
            "format": "oasis_alloc.reasons",
            "schema": SCHEMA,
            "label": jsonable(self.label),
            "by": list(self.by),
            "delivered": self.delivered,
            "sentences": list(self.sentences),
            "competitors": [one.to_dict() for one in self.competitors],
        }

    def _parts(self) -> list[str | TextTable]:
        rows = [
            ("no label" if one.label is None else repr(one.label), number(one.units, 6)) for one in self.competitors
        ]
        more = f"... and {len(rows) - _ROWS:,} more" if len(rows) > _ROWS else ""
        table = [TextTable(("shown in its place", "units"), "lr", rows[:_ROWS], more)] if rows else []
        return [*self.sentences, *table]


@suggesting
def reasons(solution: Solution, label: Any, by: str | tuple[str, ...] = "campaign") -> Reasons:
    """Why a campaign gets what it gets in a plan, in sentences.

    Parameters
    ----------
    solution
        The plan.
    label, by
        A group of a key, or of several keys: a campaign, an artist, a market and a campaign.

    Raises
    ------
    ProblemError
        For a solution without a plan, an unknown key or label, and candidates that are read from files.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> caps = (oa.exposure(by="song") <= {"a": 1.5}).named("caps")
    >>> print(oa.reasons(oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1))), "a", by="song"))
    'a' gets 1.5 units: its cap of 1.5 (caps) is used up, and one more would add 0.1.
    <BLANKLINE>
    It is a candidate in 2 visits and is shown in 75 % of them.
    <BLANKLINE>
    Where it is not shown, the slots go to 'b' (0.5).
    <BLANKLINE>
    shown in its place  units
    'b'                   0.5
    """
    checked(solution, "reasons")
    one = contest(solution, label, by, "reasons")
    keys = (by,) if isinstance(by, str) else tuple(by)
    said = [
        *_limits(solution, one, keys), _supply(one), *competition_in_words(one), *_charges(solution, one, keys),
        *_price_of_more(solution, one, keys),
    ]  # fmt: skip
    return Reasons(one.label, keys, one.units, tuple(said), one.competitors)


def units(amount: float) -> str:
    """An amount of units in words.

    >>> units(1.0), units(2500.0)
    ('1 unit', '2,500 units')
    """
    return f"{number(amount, 6)} unit{'' if amount == 1 else 's'}"


def _limits(solution: Solution, one: Contest, keys: tuple[str, ...]) -> list[str]:
    """What it gets next to its own limits."""
    who = named(keys, one.label, solution.label_names)
    said = []
    problem = solution.problem
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        if not function.in_constraints or function.measure.by != keys:
            continue
        g = problem.labels(name).index(one.label)
        lower, upper, _ = bound.band()
        price = float(solution.prices[name][g])
        if abs(price) <= _FELT * float(np.abs(solution.prices[name]).max(initial=0.0)):
            price = 0.0
        total = float(solution.totals[name][g])
        for limit, word in ((float(upper[g]), "cap"), (float(lower[g]), "floor")):
            if not np.isfinite(limit) or (word == "floor" and limit <= 0):
                continue
            if word == "cap":
                felt = f"is used up, and one more would add {number(price, 4)}" if price > 0 else "is not reached"
                felt = (
                    "is used up, and more of it would add nothing"
                    if not price and total >= limit * (1 - 1e-6)
                    else felt
                )
            elif price < 0:
                felt = f"is binding, and each further unit would cost {number(-price, 4)}"
            else:
                felt = "costs nothing" if total >= limit * (1 - 1e-6) else f"is missed by {number(limit - total, 6)}"
            said.append(f"its {word} of {number(limit, 6)} ({name}) {felt}")
    head = f"{who} gets {units(one.units)}"
    return [f"{head}: {'; '.join(said)}." if said else f"{head}, without a limit of its own."]


def _supply(one: Contest) -> str:
    offered = one.offered
    if not offered:
        return "It is not a candidate of any user."
    seen = np.zeros(int(one.users.max()) + 1)
    np.add.at(seen, one.users, one.x)
    users, first = np.unique(one.users, return_index=True)
    share = float(np.minimum(seen[users], 1.0) @ one.supply[first]) / offered
    return f"It is a candidate in {number(offered, 6)} visits and is shown in {number(100 * share, 3)} % of them."


def competition_in_words(one: Contest) -> list[str]:
    first = one.competitors[:_NAMED]
    if not first:
        return []
    rest = sum(other.units for other in one.competitors[_NAMED:])
    names = [f"{'items without a label' if c.label is None else repr(c.label)} ({number(c.units, 4)})" for c in first]
    if rest:
        names.append(f"{len(one.competitors) - _NAMED:,} others ({number(rest, 4)})")
    return [f"Where it is not shown, the slots go to {', '.join(names)}."]


def _charges(solution: Solution, one: Contest, keys: tuple[str, ...]) -> list[str]:
    """What its pairs pay for limits that are not its own, on average."""
    problem, candidates = solution.problem, solution.problem.candidates
    found = []
    if not one.pairs.size:
        return []
    for name, function in zip(problem.names, problem.functions, strict=True):
        prices = solution.prices[name]
        if not function.in_constraints or function.measure.by == keys or not prices.any():
            continue
        paid = 0.0
        for term in function.measure.terms:
            column = 1.0 if term.column is None else candidates.columns[term.column][one.pairs].astype(np.float64)
            if term.by == function.measure.by:
                grouping = candidates.grouping(term.by or None)
                inside, group = grouping.members(
                    grouping.user_part[one.users], grouping.item_part[candidates.item[one.pairs]]
                )
                each = np.bincount(inside, prices[group], one.pairs.size)
            elif not term.by:
                each = np.full(one.pairs.size, prices.sum())
            else:
                continue
            paid += term.coefficient * float(np.mean(each * column))
        if paid:
            found.append((abs(paid), f"{number(abs(paid), 4)} {'for' if paid > 0 else 'less thanks to'} {name}"))
    found.sort(reverse=True)
    return [f"Its pairs pay on average {', '.join(text for _, text in found[:_NAMED])}."] if found else []


def _price_of_more(solution: Solution, one: Contest, keys: tuple[str, ...]) -> list[str]:
    """By how much the next units miss a slot."""
    missing = shortfalls_of_scores(one, *scores_to_beat(solution))
    open_pairs = (one.x < 1.0 - 1e-9) & (missing > 0)
    if not open_pairs.any():
        return []
    order = np.argsort(missing[open_pairs], kind="stable")
    lacks, room = missing[open_pairs][order], ((1.0 - one.x) * one.supply)[open_pairs][order]
    visit = float(np.mean(one.supply))  # 1 without a supply, which is of any scale
    wanted = visit * max(1.0, float(np.ceil(0.1 * one.units / visit * (1.0 - 1e-12))))
    at = min(int(np.searchsorted(np.cumsum(room), wanted)), lacks.size - 1)
    return [
        f"To be shown {units(wanted)} more, its scores would have to be higher by at least "
        f"{number(float(lacks[at]), 4)}."
    ]
