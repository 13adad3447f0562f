"""A solution on one screen: its status, its certificate, the parts of its value, and the prices of its limits.

The content is built once, as paragraphs and tables of text, and formatted twice: for a terminal and for a notebook.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from oasis_alloc.common.text_tables import TextTable, as_page, as_text, cut, number, small
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.data.corrupt import exclusions
from oasis_alloc.errors import InputError, ProblemError
from oasis_alloc.results.answer import supply_weighted
from oasis_alloc.results.naming import keys_by_name, named
from oasis_alloc.results.price_list import SIGNS_IN_WORDS
from oasis_alloc.results.shadow_prices import Priced, heaviest, in_words, main_column, priced

if TYPE_CHECKING:
    from oasis_alloc.common.types import Floats
    from oasis_alloc.results.answer import Answer

_NAME, _LABEL = 44, 24  # longest name of a constraint and label of a group, in columns of a terminal
_ROUNDING = 1e-14  # of the largest total of a constraint
_PARTS = 5  # rows of the objective
_WHY = 500  # characters of the reason why parts are left out


class _Rows(NamedTuple):
    """How many rows each table has at most: all together fit 40 lines."""

    conflicts: int
    blocking: int
    constraints: int
    prices: int
    words: int


_USUAL, _RELAXED = _Rows(15, 5, 8, 5, 5), _Rows(6, 2, 5, 3, 0)


class Expectation(Protocol):
    """What is known of the outcomes of selected candidates, such as an `oa.SelectedError`."""

    def statement(self, expected: float, unit: str = ...) -> str:
        """What should occur of an expected total, in words."""


def report(solution: Answer, after_selection: Mapping[str, Expectation] | None = None) -> str:
    """Describe a solution, and what to do next, on one screen (up to 40 lines of 100 columns).

    Shown are the status, the certificate, the parts of the objective, every constraint with its worst miss, the limits
    with the largest price x limit, and in words what one more unit would cost or add (see `ShadowPrice` for the unit).
    A limit *binds* if it has a price: moving it would move the optimum. For an infeasible problem, the report lists the
    conflicting limits and by how much each must be relaxed instead.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     np.array([0, 2, 4]), np.array([0, 1, 0, 1]), columns={"relevance": np.array([0.9, 0.5, 0.8, 0.7])},
    ...     items={"campaign": ["a", "b"]})
    >>> caps = (oa.exposure(by="campaign") <= {"a": 1.0}).named("campaign caps")
    >>> solution = oa.solve(oa.Problem(cands, oa.total("relevance"), [caps], oa.Slate(1)))
    >>> print(report(solution).splitlines()[0])
    solved: the requested gap is proven; use the allocation and the prices
    """
    parts = [as_text(part) for part in _contents(solution)]
    return "\n\n".join([*parts, *_expected(solution, after_selection or {})])


def _expected(solution: Answer, given: Mapping[str, Expectation]) -> Iterator[str]:
    """What should occur of the totals of columns that selection made too high."""
    if solution.status.name == "INFEASIBLE":
        return
    columns = solution.problem.candidates.columns
    for name, known in given.items():
        if name not in columns:
            raise ProblemError(f"report(): there is no column {name!r}.{solution.problem.candidates.no_column(name)}")
        total = float(np.sum(columns[name][solution.pairs].astype(np.float64) * supply_weighted(solution)))
        yield f"{name}: {known.statement(total)}"


def report_html(solution: Answer) -> str:
    """Return the same as HTML for a notebook: tables, no script, in the colors of the surrounding page.

    All names and labels are escaped.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(np.array([0, 1]), np.array([0]), columns={"r": np.array([0.9])})
    >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure() <= {None: 1.0}, oa.Slate(1)))
    >>> "<td>exposure() &lt;= {None: 1.0}</td>" in report_html(solution)
    True
    """
    return as_page(_contents(solution, signs=True))


def _contents(solution: Answer, signs: bool = False) -> Iterator[str | TextTable]:
    """What is said; `signs` explains the signs of prices, for which a screen of text has no room."""
    yield f"{solution.status}: {solution.status.advice}"
    candidates = solution.problem.candidates
    if candidates.stream is not None and candidates.stream.excluded:
        yield exclusions(candidates.stream.excluded, candidates.n_pairs)
    relaxed = solution.status.name == "RELAXED"
    if solution.status.name == "INFEASIBLE":
        yield TextTable((), "", (), _work(solution))
        yield from _conflicts(solution, _USUAL)
        return
    yield TextTable((), "lrl", list(_certificate(solution)), _work(solution))
    rows = _RELAXED if relaxed else _USUAL
    if relaxed:
        yield from _conflicts(solution, rows)
    yield _objective(solution)
    found = priced(solution)
    if limits := [some for some in found if some.kind != "function"]:  # the value of a function is among the parts
        yield _constraints(solution, limits, rows.constraints)
        yield _prices(solution, limits, rows.prices)
        if signs and any(some.binding.size for some in limits):
            yield SIGNS_IN_WORDS
    elif not found:
        yield "no constraints: every user is shown what is worth most to them"
    if words := _words(solution, found, rows.words):
        yield words


def _certificate(solution: Answer) -> Iterator[tuple[str, str, str]]:
    relaxed = solution.status.name == "RELAXED"
    feasible = solution.violation <= FEASIBLE or relaxed
    breaks = "" if feasible else ", which breaks constraints"
    yield "value", number(solution.value, 8), f"the objective of this allocation{breaks}"
    keeps = "relaxes the constraints by as little" if relaxed else "keeps the constraints"
    yield "bound", number(solution.bound, 8), f"proven: no allocation that {keeps} is worth more"
    if feasible and math.isfinite(solution.gap):
        yield "gap", small(solution.gap), "(bound - value) / size of the objective"
    else:
        yield "gap", "none", "no bound is known" if feasible else "a value counts only where the constraints are kept"
    rule = "what is missed / its limit, worst limit"
    yield "violation", small(solution.violation), "all constraints are kept" if solution.violation <= FEASIBLE else rule
    yield from _churn(solution)


def _churn(solution: Answer) -> Iterator[tuple[str, str, str]]:
    """The share of new slots compared with each solution that the objective stays close to."""
    problem = solution.problem
    for kept in problem.maximize.steady:
        share = kept.earlier.churn(problem.candidates, solution.pairs, solution.x)
        yield "churn", f"{100 * share:.1f} %", "of slots changed since the previous solution"


def _work(solution: Answer) -> str:
    candidates, slate = solution.problem.candidates, solution.problem.slate
    counts = ((candidates.n_users, "user"), (candidates.n_items, "item"), (candidates.n_pairs, "pair"))
    over = ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    passes = f"{solution.passes:,.1f} passes in " if solution.passes else ""
    return f"{passes}{solution.seconds:,.3g} seconds, solver {solution.solver}\n{over}; slates of {slate.words()}"


def _objective(solution: Answer) -> str | TextTable:
    try:
        parts = sorted(solution.parts.items(), key=lambda part: -abs(part[1]))
    except InputError as error:  # parts are read from the candidates' files; the rest of the answer is in memory
        why = cut(str(error), _WHY)
        return f"The parts of the objective are left out, since they are read from the candidates' files: {why}"
    whole = sum(abs(part) for _, part in parts)  # of sizes, so that penalties do not push shares beyond 100 %

    def row(name: str, part: float) -> tuple[str, str, str]:
        return name, number(part, 6), f"{100 * part / whole:z.1f} %" if whole else "-"

    kept = parts if len(parts) <= _PARTS else parts[: _PARTS - 1]
    rest = parts[len(kept) :]
    rows = [row(cut(name, 64), part) for name, part in kept]
    if rest:
        rows.append(row(f"... and {len(rest)} more", sum(part for _, part in rest)))
    return TextTable(("objective", "part", "share"), "lrr", rows)


def _constraints(solution: Answer, limits: list[Priced], max_rows: int) -> TextTable:
    def row(some: Priced) -> tuple[str, ...]:
        worst, at = some.worst, ""
        if worst >= 0:
            at = _label(solution, some.measure.by, some.label(worst), 14)
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
    if len(limits) > max_rows:
        first = sorted(limits, key=lambda some: (some.worst < 0, -some.heaviest))[: max_rows - 1]
        kept = [some for some in limits if some in first]  # in the problem's order
        left = [some for some in limits if some not in first]
        binding = sum(some.binding.size > 0 for some in left)
        more = f"... and {len(left):,} more constraints, all kept, {binding:,} of them binding"
        if any(some.worst >= 0 for some in left):
            more = more.replace("all kept", f"{sum(some.worst >= 0 for some in left):,} of them missed")
    return TextTable(head, "lrrrrl", [row(some) for some in kept], more)


def _prices(solution: Answer, limits: list[Priced], max_rows: int) -> str | TextTable:
    count = sum(some.binding.size for some in limits)
    if not count:
        return (
            "no limit binds: all prices are 0, so relaxing a limit would not change the optimum"
            if solution.status.name == "SOLVED"
            else "all prices are 0 so far: the solve stopped before it found what the limits are worth"
        )
    kept = heaviest(limits, max_rows if count <= max_rows else max_rows - 1)
    rows = [
        (
            cut(some.name, _NAME),
            _label(solution, some.measure.by, some.label(k), _LABEL) or "all",
            f"{some.sense[k]} {number(some.limit[k], 6)}",
            number(_without_rounding(some.total, k), 6),
            number(some.price[k], 4),
        )
        for some, k in kept
    ]
    more = f"... and {count - len(kept):,} more in solution.shadow_prices()" if count > len(kept) else ""
    return TextTable(("largest prices", "group", "limit", "total", "price"), "llrrr", rows, more)


def _without_rounding(totals: Floats, k: int) -> float:
    """A total, or 0 where it is the rounding of terms that cancel: a share that is used up."""
    return float(totals[k]) if abs(totals[k]) > _ROUNDING * np.abs(totals).max() else 0.0


def _words(solution: Answer, found: list[Priced], max_rows: int) -> TextTable | None:
    """The heaviest prices as sentences; functions without limits have theirs here."""
    main = main_column(solution.problem)
    rows = [(in_words(some, entry, main, solution.label_names),) for some, entry in heaviest(found, max_rows)]
    if not rows:
        return None
    head = "what one more is worth" + ("" if solution.status.name == "SOLVED" else ", as far as it was solved")
    if main is not None:
        head += f"; 1 {cut(main[0], _LABEL)} counts {number(main[1], 4)} in the objective"
    return TextTable((head,), "l", rows)


def _conflicts(solution: Answer, max_rows: _Rows) -> Iterator[str | TextTable]:
    missed = [conflict for conflict in solution.conflicts if conflict.give > 0]
    by = keys_by_name(solution.problem)
    yield (
        "These limits cannot be met together. The last column is the smallest total change that makes them feasible; "
        "other splits of the same total may exist."
    )
    in_the_way: dict[str, list[Any]] = {}
    for conflict in solution.conflicts:
        if conflict.give <= 0:
            in_the_way.setdefault(conflict.constraint, []).append(conflict.label)
    blocking = list(in_the_way.items())[: max_rows.blocking]
    room = max_rows.conflicts - len(blocking)
    kept = missed if len(missed) <= room else missed[: room - 1]
    rows = [
        (
            cut(conflict.constraint, _NAME),
            _label(solution, by.get(conflict.constraint, ()), conflict.label, _LABEL) or "all",
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
        group = _label(solution, by.get(name, ()), labels[0], _LABEL) or "all"
        if len(labels) > 1:
            group = f"{len(labels):,} groups"
        rows.append((cut(name, _NAME), group, "met", "", "in the way"))
    more = "solution.conflicts lists every group" if len(solution.conflicts) > len(kept) + len(blocking) else ""
    yield TextTable(("constraint", "group", "requires", "can reach", "relax by"), "llrrr", rows, more)


def _label(solution: Answer, by: tuple[str, ...], label: Any, most: int) -> str:
    """A label as one line of at most `most` columns, with its name; nothing for the group of everything."""
    return "" if label is None else cut(named(by, label, solution.label_names), most)
