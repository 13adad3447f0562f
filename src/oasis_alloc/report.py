"""A solution on one screen: how it ended, its certificate, what adds up to its value, and what its limits cost.

What is said is put together once, as paragraphs and tables of text, and set twice: for a terminal and for a notebook.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.functions.base import Floats, Function
from oasis_alloc.layout import STYLE, Table, as_html, as_text, cut, number, small
from oasis_alloc.solvers.watch import FEASIBLE

if TYPE_CHECKING:
    from oasis_alloc.solution import Solution

_NAME, _LABEL = 44, 24  # longest name of a constraint and label of a group, in columns of a terminal
_PARTS, _CONSTRAINTS, _PRICES, _CONFLICTS, _BLOCKING = 5, 8, 7, 15, 5  # rows of the tables: together they fit 40 lines
_PRICED = 1e-9  # a price below this share of the largest is a rounding


@dataclass(frozen=True, eq=False)
class _Limits:
    """The groups of one function that have a limit: arrays of one entry each."""

    name: str
    function: Function
    labels: Sequence[Any]  # of all groups of the function
    group: npt.NDArray[np.int64]
    sense: npt.NDArray[np.str_]
    limit: Floats
    total: Floats
    price: Floats
    miss: Floats  # distance of the total to its limit, 0 where it is kept
    binding: npt.NDArray[np.int64]  # entries with a price, heaviest first

    @property
    def weight(self) -> Floats:
        """What each limit as a whole is worth; a limit of 0 (a share, a ban) counts as one unit."""
        return np.abs(self.price) * np.maximum(np.abs(self.limit), 1.0)

    @property
    def heaviest(self) -> float:
        return float(self.weight[self.binding[0]]) if self.binding.size else 0.0

    @property
    def worst(self) -> int:
        """The entry with the largest miss, -1 if all limits are kept."""
        missed = np.where(self.miss > FEASIBLE * np.maximum(1.0, np.abs(self.limit)), self.miss, 0.0)
        return int(missed.argmax()) if missed.any() else -1

    def label(self, entry: int, most: int) -> str:
        return _label(self.labels[int(self.group[entry])], most)


def report(solution: Solution) -> str:
    """Say in one screen (up to 40 lines of 100 columns) what a solution is and what to do next.

    Shown are the status, the certificate, the parts of the objective, every constraint with its worst miss, and the
    limits with the largest price x limit. A limit *binds* where it has a price: moving it would move the optimum. An
    infeasible problem gives who would have to give how much instead.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     np.array([0, 2, 4]), np.array([0, 1, 0, 1]), columns={"relevance": np.array([0.9, 0.5, 0.8, 0.7])},
    ...     items={"campaign": ["a", "b"]})
    >>> caps = (oa.exposure(by="campaign") <= {"a": 1.0}).named("campaign caps")
    >>> solution = oa.solve(oa.Problem(cands, oa.total("relevance"), [caps], oa.Slate(1)))
    >>> print(report(solution).splitlines()[0])
    solved: the gap asked for is proven; use the allocation and the prices
    """
    return "\n\n".join(as_text(part) for part in _contents(solution))


def report_html(solution: Solution) -> str:
    """Return the same as HTML for a notebook: tables, no script, in the colours of the page that it stands on.

    All names and labels are escaped.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(np.array([0, 1]), np.array([0]), columns={"r": np.array([0.9])})
    >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure() <= {None: 1.0}, oa.Slate(1)))
    >>> "<td>exposure() &lt;= {None: 1.0}</td>" in report_html(solution)
    True
    """
    inside = "\n".join(as_html(part) for part in _contents(solution))
    return f'<div class="oasis-alloc">\n<style>{STYLE}</style>\n{inside}\n</div>'


def _contents(solution: Solution) -> Iterator[str | Table]:
    yield f"{solution.status}: {solution.status.advice}"
    relaxed = solution.status.name == "RELAXED"
    if solution.status.name == "INFEASIBLE":
        yield Table((), "", (), _work(solution))
        yield from _conflicts(solution)
        return
    yield Table((), "lrl", list(_certificate(solution)), _work(solution))
    if relaxed:
        yield from _conflicts(solution)
    yield _objective(solution)
    if limits := _limits(solution):
        yield _constraints(limits)
        yield from _prices(limits, solution.status.name == "SOLVED")
    elif not solution.problem.functions:
        yield "no constraints: every user is shown what is worth most to them"


def _certificate(solution: Solution) -> Iterator[tuple[str, str, str]]:
    relaxed = solution.status.name == "RELAXED"
    feasible = solution.violation <= FEASIBLE or relaxed
    breaks = "" if feasible else ", which breaks constraints"
    yield "value", number(solution.value, 8), f"the objective of this allocation{breaks}"
    keeps = "relaxes the constraints by as little" if relaxed else "keeps the constraints"
    yield "bound", number(solution.bound, 8), f"proven: no allocation that {keeps} is worth more"
    if feasible and math.isfinite(solution.gap):
        yield "gap", small(solution.gap), "(bound - value) / max(1, |bound|)"
    else:
        yield "gap", "none", "no bound is known" if feasible else "a value counts only where the constraints are kept"
    rule = "sum of what is missed / sum of limits, worst constraint"
    yield "violation", small(solution.violation), "all constraints are kept" if solution.violation <= FEASIBLE else rule


def _work(solution: Solution) -> str:
    candidates, slate = solution.problem.candidates, solution.problem.slate
    counts = ((candidates.n_users, "user"), (candidates.n_items, "item"), (candidates.n_pairs, "pair"))
    over = ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    passes = f"{solution.passes:,.1f} passes in " if solution.passes else ""
    return f"{passes}{solution.seconds:,.3g} seconds, solver {solution.solver}\n{over}; slates of {slate.words()}"


def _objective(solution: Solution) -> Table:
    parts = sorted(solution.parts.items(), key=lambda part: -abs(part[1]))
    whole = sum(abs(part) for _, part in parts)  # of sizes, so that penalties do not push shares beyond 100 %

    def row(name: str, part: float) -> tuple[str, str, str]:
        return name, number(part, 6), f"{100 * part / whole:z.1f} %" if whole else "-"

    kept = parts if len(parts) <= _PARTS else parts[: _PARTS - 1]
    rest = parts[len(kept) :]
    rows = [row(cut(name, 64), part) for name, part in kept]
    if rest:
        rows.append(row(f"... and {len(rest)} more", sum(part for _, part in rest)))
    return Table(("objective", "part", "share"), "lrr", rows)


def _limits(solution: Solution) -> list[_Limits]:
    largest = max((float(np.abs(prices).max(initial=0.0)) for prices in solution.prices.values()), default=0.0)
    out = []
    for name, function, bound in zip(
        solution.problem.names, solution.problem.functions, solution.problem.bound, strict=True
    ):
        lower, upper, _ = bound.band()
        group = np.flatnonzero(np.isfinite(lower) | np.isfinite(upper))
        if not (function.in_constraints and (group.size or bound.is_constraint)):
            continue  # a function without limits: its part of the objective says what there is to say
        lower, upper = lower[group], upper[group]
        total, price = solution.totals[name][group], solution.prices[name][group]
        cap = np.isfinite(upper) & ((price > 0) | (total > upper) | ~np.isfinite(lower))
        limits = _Limits(
            name=name,
            function=function,
            labels=solution.problem.labels(name),
            group=group,
            sense=np.where(lower == upper, "==", np.where(cap, "<=", ">=")),
            limit=np.where(cap, upper, lower),
            total=total,
            price=price,
            miss=np.maximum(np.maximum(total - upper, lower - total), 0.0),
            binding=np.flatnonzero(np.abs(price) > _PRICED * largest),
        )
        heavy = np.argsort(-limits.weight[limits.binding], kind="stable")
        out.append(replace(limits, binding=limits.binding[heavy]))
    return out


def _constraints(limits: list[_Limits]) -> Table:
    def row(some: _Limits) -> tuple[str, ...]:
        worst, at = some.worst, ""
        if worst >= 0:
            at = some.label(worst, 14)
            at = f"misses {number(some.miss[worst], 3)}" + (f" at {at}" if at else "")
        senses = set(some.sense.tolist())
        return (
            cut(some.name, _NAME),
            f"{some.group.size:,}",
            f"{some.binding.size:,}",
            number(some.total.sum(), 6),
            " ".join([*(senses if len(senses) == 1 else ()), number(some.limit.sum(), 6)]),
            at or "kept",
        )

    head, kept, more = ("constraint", "groups", "bind", "total", "limit", "worst"), limits, ""
    if len(limits) > _CONSTRAINTS:
        first = sorted(limits, key=lambda some: (some.worst < 0, -some.heaviest))[: _CONSTRAINTS - 1]
        kept = [some for some in limits if some in first]  # in the problem's order
        left = [some for some in limits if some not in first]
        binding = sum(some.binding.size > 0 for some in left)
        more = f"... and {len(left):,} more constraints, all kept, {binding:,} of them binding"
        if any(some.worst >= 0 for some in left):
            more = more.replace("all kept", f"{sum(some.worst >= 0 for some in left):,} of them missed")
    return Table(head, "lrrrrl", [row(some) for some in kept], more)


def _prices(limits: list[_Limits], solved: bool) -> Iterator[str | Table]:
    count = sum(some.binding.size for some in limits)
    if not count:
        yield (
            "no limit binds: all prices are 0, so a limit that gives way would not change the optimum"
            if solved
            else "all prices are 0 so far: the solve stopped before it knew what the limits are worth"
        )
        return
    # the heaviest of every constraint before the next ones, so that prices of small units are not crowded out
    ranked = [
        (rank > 0, -float(some.weight[entry]), some, int(entry))
        for some in limits
        for rank, entry in enumerate(some.binding[:_PRICES])
    ]
    ranked.sort(key=lambda one: one[:2])
    kept = sorted(ranked[: _PRICES if count <= _PRICES else _PRICES - 1], key=lambda one: one[1])
    rows = [
        (
            cut(some.name, _NAME),
            some.label(k, _LABEL) or "all",
            f"{some.sense[k]} {number(some.limit[k], 6)}",
            number(some.total[k], 6),
            number(some.price[k], 4),
        )
        for _, _, some, k in kept
    ]
    more = f"... and {count - len(kept):,} more in solution.prices" if count > len(kept) else ""
    yield Table(("largest prices", "group", "limit", "total", "price"), "llrrr", rows, more)
    yield f"A price is what one more unit is worth: {_in_words(*kept[0][2:])}."


def _in_words(some: _Limits, entry: int) -> str:
    """What the price of a limit means, with its own numbers."""
    terms, price = some.function.measure.terms, float(some.price[entry])
    unit = "unit of the limit"
    if len(terms) == 1 and terms[0].coefficient == 1.0:
        unit = "exposure" if terms[0].column is None else f"unit of {cut(terms[0].column, _LABEL)}"
    label, name = some.label(entry, _LABEL), cut(some.name, _NAME)
    what = ("promised to" if label else "promised by") if price < 0 else ("for" if label else "allowed by")
    whom = f"{label} of {name}" if label else name  # "for 'a' of campaign caps", "allowed by guard"
    effect = "cost {} of the objective" if price < 0 else "add {} to the objective"
    return f"one more {unit} {what} {whom} would {effect.format(number(abs(price), 4))}"


def _conflicts(solution: Solution) -> Iterator[str | Table]:
    missed = [conflict for conflict in solution.conflicts if conflict.give > 0]
    yield (
        "These demands cannot be met together. The last column is the smallest total change that makes room for all "
        "others; another split of it may do as well."
    )
    in_the_way: dict[str, list[Any]] = {}
    for conflict in solution.conflicts:
        if conflict.give <= 0:
            in_the_way.setdefault(conflict.constraint, []).append(conflict.label)
    blocking = list(in_the_way.items())[:_BLOCKING]
    room = _CONFLICTS - len(blocking)
    kept = missed if len(missed) <= room else missed[: room - 1]
    rows = [
        (
            cut(conflict.constraint, _NAME),
            _label(conflict.label, _LABEL) or "all",
            f"{conflict.sense} {number(conflict.limit, 6)}",
            number(conflict.reached, 6),
            number(conflict.give, 6),
        )
        for conflict in kept
    ]
    if len(missed) > len(kept):
        rest = sum(conflict.give for conflict in missed[len(kept) :])
        rows.append((f"... and {len(missed) - len(kept):,} more", "", "", "", number(rest, 6)))
    for name, labels in blocking:
        group = _label(labels[0], _LABEL) or "all"
        if len(labels) > 1:
            group = f"{len(labels):,} groups"
        rows.append((cut(name, _NAME), group, "met", "", "in the way"))
    more = "solution.conflicts lists every group" if len(solution.conflicts) > len(kept) + len(blocking) else ""
    yield Table(("constraint", "group", "asks", "can reach", "must give"), "llrrr", rows, more)


def _label(label: Any, most: int) -> str:
    """A label as one line of at most `most` columns; nothing for the group of everything."""
    return "" if label is None else cut(repr(label), most)
