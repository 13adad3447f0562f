"""A solution on one screen: how it ended, its certificate, what adds up to its value, and what its limits cost.

What is said is put together once, as paragraphs and tables of text, and set twice: for a terminal and for a notebook.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oasis_alloc.functions.base import Function
from oasis_alloc.solvers.watch import FEASIBLE

if TYPE_CHECKING:
    from oasis_alloc.solution import Solution

_WIDTH = 100
_NAME, _LABEL = 34, 24  # longest name of a constraint and label of a group, in columns of a terminal
_PARTS, _CONSTRAINTS, _PRICES, _CONFLICTS = 5, 8, 7, 15  # rows of the tables: together they fit 40 lines
_PRICED = 1e-9  # a price below this share of the largest is a rounding


@dataclass(frozen=True)
class _Table:
    """Rows of text under a head; columns whose letter in `align` is "r" are set to the right."""

    head: Sequence[str]
    align: str
    rows: Sequence[Sequence[str]]
    more: str = ""  # what was left out


class _Limit(NamedTuple):
    """One group's limit."""

    name: str
    function: Function
    label: Any
    sense: str
    limit: float
    total: float
    price: float
    miss: float  # distance of the total to its limit, 0 where it is kept

    @property
    def weight(self) -> float:
        """What the limit as a whole is worth; a limit of 0 (a share, a ban) counts as one unit."""
        return abs(self.price) * max(abs(self.limit), 1.0)

    @property
    def missed(self) -> bool:
        return self.miss > FEASIBLE * max(1.0, abs(self.limit))


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
    return "\n\n".join(_as_text(part) for part in _contents(solution))


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
    inside = "\n".join(_as_html(part) for part in _contents(solution))
    return f'<div class="oasis-alloc">\n<style>{_STYLE}</style>\n{inside}\n</div>'


def _contents(solution: Solution) -> Iterator[str | _Table]:
    yield f"{solution.status}: {solution.status.advice}"
    if solution.conflicts or solution.status.name == "INFEASIBLE":
        yield _Table((), "ll", _work(solution))
        yield from _conflicts(solution)
        return
    yield _Table((), "lrl", [*_certificate(solution), *((name, "", text) for name, text in _work(solution))])
    yield _objective(solution)
    limits = {name: list(_limits(solution, name)) for name in solution.problem.names}
    if limits:
        yield _constraints(limits)
        yield from _prices(limits)
    else:
        yield "no constraints: every user is shown what is worth most to them"


def _certificate(solution: Solution) -> Iterator[tuple[str, str, str]]:
    feasible = solution.violation <= FEASIBLE
    yield "value", _number(solution.value, 8), "the objective of this allocation"
    yield "bound", _number(solution.bound, 8), "proven: no allocation that keeps the constraints is worth more"
    if feasible and math.isfinite(solution.gap):
        yield "gap", f"{solution.gap:.1e}", "(bound - value) / max(1, |bound|)"
    else:
        yield "gap", "none", "the allocation breaks constraints, so its value proves nothing"
    yield (
        "violation",
        f"{solution.violation:.1e}" if solution.violation else "0",
        ("all constraints are kept" if feasible else "sum of what is missed / sum of limits, worst constraint"),
    )


def _work(solution: Solution) -> Iterator[tuple[str, str]]:
    candidates, size = solution.problem.candidates, solution.problem.slate.size
    counts = ((candidates.n_users, "user"), (candidates.n_items, "item"), (candidates.n_pairs, "pair"))
    over = ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    passes = f"{solution.passes:,.1f} passes, " if solution.passes else ""
    yield "work", f"{passes}{solution.seconds:,.3g} seconds, solver {solution.solver}"
    yield "over", f"{over}; slates of up to {size:,}"


def _objective(solution: Solution) -> _Table:
    parts = sorted(solution.parts.items(), key=lambda part: -abs(part[1]))
    whole = sum(abs(part) for _, part in parts)  # of sizes, so that penalties do not push shares beyond 100 %

    def row(name: str, part: float) -> tuple[str, str, str]:
        return name, _number(part, 6), f"{100 * part / whole:.1f} %" if whole else "-"

    kept = parts if len(parts) <= _PARTS else parts[: _PARTS - 1]
    rest = parts[len(kept) :]
    rows = [row(_cut(name, 2 * _NAME), part) for name, part in kept]
    if rest:
        rows.append(row(f"... and {len(rest)} more", sum(part for _, part in rest)))
    return _Table(("objective", "part", "share"), "lrr", rows)


def _limits(solution: Solution, name: str) -> Iterator[_Limit]:
    """The groups of the function `name` that have a limit."""
    at = solution.problem.names.index(name)
    lower, upper, _ = solution.problem.bound[at].band()
    totals, prices = solution.totals[name], solution.prices[name]
    labels, function = solution.problem.labels(name), solution.problem.functions[at]
    for g in np.flatnonzero(np.isfinite(lower) | np.isfinite(upper)).tolist():
        total, price = float(totals[g]), float(prices[g])
        cap = math.isfinite(upper[g]) and (price > 0 or total > upper[g] or not math.isfinite(lower[g]))
        sense = "==" if lower[g] == upper[g] else "<=" if cap else ">="
        limit = float(upper[g] if cap else lower[g])
        miss = max(total - upper[g], lower[g] - total, 0.0)
        yield _Limit(name, function, labels[g], sense, limit, total, price, float(miss))


def _binding(limits: dict[str, list[_Limit]]) -> dict[str, list[_Limit]]:
    """By constraint, the limits that have a price, those that weigh most first."""
    largest = max((abs(limit.price) for some in limits.values() for limit in some), default=0.0)
    out = {name: [limit for limit in some if abs(limit.price) > _PRICED * largest] for name, some in limits.items()}
    return {name: sorted(some, key=lambda limit: -limit.weight) for name, some in out.items()}


def _constraints(limits: dict[str, list[_Limit]]) -> _Table:
    binding = _binding(limits)
    rows, order = [], []
    for name, some in limits.items():
        worst = max(some, key=lambda limit: limit.miss, default=None)
        missed = worst is not None and worst.missed
        senses = {limit.sense for limit in some}
        at = _label(worst, 14)
        rows.append(
            (
                _cut(name, _NAME),
                f"{len(some):,}",
                f"{len(binding[name]):,}",
                _number(sum(limit.total for limit in some), 6),
                " ".join([*(senses if len(senses) == 1 else ()), _number(sum(limit.limit for limit in some), 6)]),
                f"misses {_number(worst.miss, 3)}{at and f' at {at}'}" if worst is not None and missed else "kept",
            )
        )
        order.append((not missed, -max((limit.weight for limit in binding[name]), default=0.0)))
    head = ("constraint", "groups", "bind", "total", "limit", "worst")
    if len(rows) <= _CONSTRAINTS:
        return _Table(head, "lrrrrl", rows)
    chosen = sorted(sorted(range(len(rows)), key=order.__getitem__)[: _CONSTRAINTS - 1])  # in the problem's order
    left = [name for k, name in enumerate(limits) if k not in chosen]
    more = f"... and {len(left):,} more constraints, {sum(bool(binding[name]) for name in left):,} of them binding"
    return _Table(head, "lrrrrl", [rows[k] for k in chosen], more)


def _prices(limits: dict[str, list[_Limit]]) -> Iterator[str | _Table]:
    binding = _binding(limits)
    if not any(binding.values()):
        yield "no limit binds: all prices are 0, so a limit that gives way would not change the optimum"
        return
    # the heaviest of every constraint first, so that a price of a small unit is not crowded out
    tiers = [sorted(filter(None, tier), key=lambda limit: -limit.weight) for tier in zip_longest(*binding.values())]
    first, rest = tiers[0], sorted((limit for tier in tiers[1:] for limit in tier), key=lambda limit: -limit.weight)
    count = len(first) + len(rest)
    kept = (first + rest)[: _PRICES if count <= _PRICES else _PRICES - 1]
    kept.sort(key=lambda limit: -limit.weight)
    rows = [
        (
            _cut(limit.name, _NAME),
            _label(limit, _LABEL) or "all",
            f"{limit.sense} {_number(limit.limit, 6)}",
            _number(limit.total, 6),
            _number(limit.price, 4),
        )
        for limit in kept
    ]
    more = f"... and {count - len(kept):,} more in solution.prices" if count > len(kept) else ""
    yield _Table(("largest prices", "group", "limit", "total", "price"), "llrrr", rows, more)
    yield f"A price is what one more unit is worth: {_in_words(kept[0])}."


def _in_words(limit: _Limit) -> str:
    """What the price of a limit means, with its own numbers."""
    promised = limit.price < 0
    terms = limit.function.measure.terms
    unit = "unit of the limit"
    if len(terms) == 1 and terms[0].coefficient == 1.0:
        unit = "exposure" if terms[0].column is None else f"unit of {_cut(terms[0].column, _LABEL)}"
    label, name = _label(limit, _LABEL), _cut(limit.name, _NAME)
    whom = (
        f"{'promised to' if promised else 'for'} {label} of {name}"
        if label
        else f"{'promised' if promised else 'allowed'} by {name}"
    )
    effect = "cost {} of the objective" if promised else "add {} to the objective"
    return f"one more {unit} {whom} would {effect.format(_number(abs(limit.price), 4))}"


def _conflicts(solution: Solution) -> Iterator[str | _Table]:
    missed = sum(conflict.give > 0 for conflict in solution.conflicts)
    yield (
        f"These demands cannot be met together ({missed:,} of them would have to give). The last column is the "
        "smallest total change that makes room for all others; another split of it may do as well."
    )
    kept = solution.conflicts if len(solution.conflicts) <= _CONFLICTS else solution.conflicts[: _CONFLICTS - 1]
    rows = [
        (
            _cut(conflict.constraint, _NAME),
            _text_of(conflict.label, _LABEL) or "all",
            f"{conflict.sense} {_number(conflict.limit, 6)}",
            _number(conflict.reached, 6) if conflict.give > 0 else "",
            _number(conflict.give, 6) if conflict.give > 0 else "in the way",
        )
        for conflict in kept
    ]
    left = len(solution.conflicts) - len(kept)
    more = f"... and {left:,} more in solution.conflicts" if left else ""
    yield _Table(("constraint", "group", "asks", "can reach", "must give"), "llrrr", rows, more)


def _label(limit: _Limit | None, most: int) -> str:
    return "" if limit is None else _text_of(limit.label, most)


def _text_of(label: Any, most: int) -> str:
    """A label as one line of at most `most` columns; nothing for the group of everything."""
    return "" if label is None else _cut(repr(label), most)


def _number(value: float, digits: int) -> str:
    """A number with `digits` that matter, thousands set apart.

    >>> _number(1234567.891, 8), _number(1234567.891, 6), _number(0.0341234, 4), _number(-0.0, 4), _number(np.inf, 4)
    ('1,234,567.9', '1,234,568', '0.03412', '0', 'none')
    """
    if not math.isfinite(value):
        return "none"
    if abs(value) >= 10.0 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if value else "0"


def _columns(text: str) -> int:
    """Columns that a terminal gives to a text: two to a wide character, none to a combining one."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _cut(text: str, most: int) -> str:
    """Fit a text in one line of `most` columns; what cannot be printed becomes a question mark.

    >>> _cut("an artist with a long name", 12), _cut("two\\nlines", 12)
    ('an artist...', 'two?lines')
    """
    text = "".join(char if char.isprintable() else "?" for char in text)
    if _columns(text) <= most:
        return text
    while _columns(text) > most - 3:
        text = text[: min(len(text) - 1, most)]
    return text + "..."


def _as_text(part: str | _Table) -> str:
    if isinstance(part, str):
        return textwrap.fill(part, _WIDTH, break_long_words=False, break_on_hyphens=False)
    lines = [part.head, *part.rows] if part.head else part.rows
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    # the last column may be free text, which needs no room kept for it
    out = []
    for line in lines:
        cells = [
            " " * (width - _columns(cell)) + cell if align == "r" else cell + " " * (width - _columns(cell))
            for cell, width, align in zip(line, widths, part.align, strict=True)
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join([*out, part.more] if part.more else out)


# No colour of its own but a line that shows on light and on dark.
_STYLE = (
    ".oasis-alloc{color:inherit;max-width:60em}"
    ".oasis-alloc table{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums}"
    ".oasis-alloc th{text-align:left;font-weight:600}"
    ".oasis-alloc td,.oasis-alloc th{padding:.15em 1.2em .15em 0;border-bottom:1px solid rgba(128,128,128,.35);"
    "background:none;color:inherit;text-align:left}"
    ".oasis-alloc .n{text-align:right}"
)


def _as_html(part: str | _Table) -> str:
    if isinstance(part, str):
        return f"<p>{escape(part)}</p>"

    def row(cells: Sequence[str], tag: str) -> str:
        inside = "".join(
            f"<{tag}{' class="n"' if align == 'r' else ''}>{escape(cell)}</{tag}>"
            for cell, align in zip(cells, part.align, strict=True)
        )
        return f"<tr>{inside}</tr>"

    head = [f"<thead>{row(part.head, 'th')}</thead>"] if part.head else []
    body = "\n".join(row(line, "td") for line in part.rows)
    more = f"\n<p>{escape(part.more)}</p>" if part.more else ""
    return "\n".join(["<table>", *head, f"<tbody>{body}</tbody>", "</table>"]) + more
