"""Shadow prices: the worth of one more unit of each limit and of each group's total, as numbers and as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.text_tables import cut, fit, number
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.results.naming import Names, named
from oasis_alloc.results.price_list import ShadowPrice, ShadowPrices
from oasis_alloc.statement.measures import Measure

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem
    from oasis_alloc.results.answer import Answer

_PRICED = 1e-9  # a price below this share of the largest is rounding
_LINE = 100  # columns of a sentence


@dataclass(frozen=True, eq=False)
class Priced:
    """The groups of one function that have a limit, or all groups if it has none: arrays with one entry each."""

    name: str
    kind: str
    measure: Measure
    labels: Sequence[Any]  # of all groups of the function
    group: npt.NDArray[np.int64]
    sense: npt.NDArray[np.str_]
    limit: Floats  # nan for a function without limits
    total: Floats
    price: Floats
    miss: Floats  # distance of the total to its limit, 0 if it is kept
    size: Floats  # the sum of absolute contributions to the total
    binding: npt.NDArray[np.int64]  # entries with a price, heaviest first

    @property
    def weight(self) -> Floats:
        """The worth of each limit as a whole; a limit of 0 (a share, a ban), and no limit, count as one unit."""
        return np.abs(self.price) * np.fmax(np.abs(self.limit), 1.0)

    @property
    def heaviest(self) -> float:
        return float(self.weight[self.binding[0]]) if self.binding.size else 0.0

    @property
    def worst(self) -> int:
        """The entry with the largest miss, -1 if all limits are kept."""
        from oasis_alloc.common.verdicts import FEASIBLE

        missed = np.where(self.miss > FEASIBLE * np.fmax(np.abs(self.limit), self.size), self.miss, 0.0)
        return int(missed.argmax()) if missed.any() else -1

    def label(self, entry: int) -> Any:
        return self.labels[int(self.group[entry])]


def priced(solution: Answer) -> list[Priced]:
    """Every function of the problem with its prices, in the problem's order."""
    largest = max((float(np.abs(prices).max(initial=0.0)) for prices in solution.prices.values()), default=0.0)
    out = []
    for name, function, bound in zip(
        solution.problem.names, solution.problem.functions, solution.problem.bound, strict=True
    ):
        lower, upper, _ = bound.band()
        limited = np.isfinite(lower) | np.isfinite(upper)
        if function.in_constraints and (bound.is_constraint or limited.any()):
            kind, group = "constraint" if bound.is_constraint else "soft", np.flatnonzero(limited)
        else:
            kind, group = "function", np.arange(limited.size)
        lower, upper = lower[group], upper[group]
        total, price = solution.totals[name][group], solution.prices[name][group]
        cap = np.isfinite(upper) & ((price > 0) | (total > upper) | ~np.isfinite(lower))
        some = Priced(
            name=name,
            kind=kind,
            measure=function.measure,
            labels=solution.problem.labels(name),
            group=group,
            sense=np.where(lower == upper, "==", np.where(cap, "<=", ">=")),
            limit=np.where(cap, upper, lower) if kind != "function" else np.full(group.size, np.nan),
            total=total,
            price=price,
            miss=np.maximum(np.maximum(total - upper, lower - total), 0.0),
            size=np.maximum(np.abs(total), solution.sizes[name][group] if name in solution.sizes else 0.0),
            binding=np.flatnonzero(np.abs(price) > _PRICED * largest),
        )
        heavy = np.argsort(-some.weight[some.binding], kind="stable")
        out.append(replace(some, binding=some.binding[heavy]))
    return out


def heaviest(all_priced: Sequence[Priced], limit: int) -> list[tuple[Priced, int]]:
    """Up to `limit` entries, the heaviest of every function before the next ones.

    So prices in small units are not crowded out. The result is sorted, heaviest first.
    """
    ranked = [
        (rank > 0, -float(some.weight[entry]), some, int(entry))
        for some in all_priced
        for rank, entry in enumerate(some.binding[:limit])
    ]
    ranked.sort(key=lambda one: one[:2])
    return [(some, entry) for _, _, some, entry in sorted(ranked[:limit], key=lambda one: one[1])]


def shadow_prices(solution: Answer, limit: int | None = None) -> ShadowPrices:
    """See `Solution.shadow_prices`."""
    solution.raise_if_infeasible()
    if limit is not None and ((whole := as_whole(limit)) is None or whole < 0):
        raise ProblemError(
            f"shadow_prices(limit={shown(limit)}): expected how many to keep, a whole number, or None for all."
        )
    found = priced(solution)
    main = main_column(solution.problem)
    weights = np.concatenate([some.weight[some.binding] for some in found] or [np.empty(0)])
    of = np.repeat(np.arange(len(found)), [some.binding.size for some in found])
    entries = np.concatenate([some.binding for some in found] or [np.empty(0, np.int64)])
    order = np.argsort(-weights, kind="stable")[:limit]
    names = solution.label_names
    listed = [_one(found[int(of[k])], int(entries[k]), main, names) for k in order]
    by = {some.name: some.measure.by for some in found}
    return ShadowPrices(listed, entries.size, by, names, solution.problem.candidates.backend)


def _one(some: Priced, entry: int, main: tuple[str, float] | None, names: Names) -> ShadowPrice:
    has_limit = some.kind != "function"
    return ShadowPrice(
        name=some.name,
        label=some.label(entry),
        kind=some.kind,
        sense=str(some.sense[entry]) if has_limit else None,
        limit=float(some.limit[entry]) if has_limit else None,
        total=float(some.total[entry]),
        price=float(some.price[entry]),
        sentence=in_words(some, entry, main, names),
    )


def main_column(problem: Problem) -> tuple[str, float] | None:
    """(column, w) where the objective's linear part begins with `w * total(column)` and w > 0, else None."""
    linear = problem.maximize.linear
    first = linear.terms[0] if linear is not None else None
    if first is None or first.column is None or first.coefficient <= 0:
        return None
    return first.column, first.coefficient


def in_words(some: Priced, entry: int, main: tuple[str, float] | None, names: Names) -> str:
    """The meaning of the price of one entry, in one line."""
    price, by, terms = float(some.price[entry]), some.measure.by, some.measure.terms
    column, unit = "", "unit of the limit" if some.kind != "function" else "unit of the total"
    if len(terms) == 1 and terms[0].coefficient == 1.0:
        column = terms[0].column or ""
        unit = "unit of {column}" if column else "impression"
    if by:
        label = some.label(entry)
        parts = label if len(by) > 1 else (label,)
        where = "for {whom} ({name})"
        whom = ", ".join(
            f"{cut(key, 12)} {cut(named((key,), part, names), 24)}" for key, part in zip(by, parts, strict=True)
        )
    else:
        whom = ""
        where = "in {name}" if some.kind == "function" else f"{'promised' if price < 0 else 'allowed'} by '{{name}}'"
    effect = "would cost" if price < 0 else "would add"
    if some.kind == "function":
        effect = "is worth" if price < 0 else "would cost"
    if main is None or any(term.column == main[0] for term in terms):
        amount, what = abs(price), "of the objective"
    else:
        amount, what = abs(price) / main[1], cut(main[0], 24)
    text = f"one more {unit} {where} {effect} {number(amount, 4)} {{what}}"
    room = _LINE - len(text.format(column="", whom="", name="", what=what))
    column, whom, name = fit([column, whom, some.name], room)
    return text.format(column=column, whom=whom, name=name, what=what)
