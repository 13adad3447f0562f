"""What is wrong with an answer: every claim of a solution against the judge of its program.

A finding is (category, what was seen). `UNDECIDED` and `UNSURE` are no wrong verdicts: the first says that the package
gave none, the second that the judge could not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from fuzz_curves import CURVED
from fuzz_judge import TOLERANCE, Judge, Rows
from fuzz_model import Unsure
from presented import Presented, name_of
from random_programs import Array

import oasis_alloc as oa

UNDECIDED, UNSURE = "not decided", "judge unsure"
RELAXED_GAP = 1e-3
"""The gap that a relaxed answer may be left with: docs/certificate.md."""
RESERVE = 1e-10
"""Share of the least total by which the judge may miss more, so that its program has an allocation."""
Findings = list[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Answer:
    """A solution's claims in the units of the judge."""

    presented: Presented
    judge: Judge
    solution: oa.Solution

    @property
    def scale(self) -> float:
        return self.presented.program.scale

    def plain(self, value: float) -> float:
        """A value or bound without the objective's scale and without what units of logarithms add."""
        return value / self.scale - self.presented.constant


def findings(presented: Presented, solution: oa.Solution, judge: Judge | None = None) -> Findings:
    """Everything that is wrong with the answer; empty where nothing is."""
    answer = Answer(presented, judge or Judge(presented.program, presented.earlier), solution)
    status = solution.status.name
    try:
        if status == "SOLVED":
            return _solved(answer)
        if status == "INFEASIBLE":
            return _infeasible(answer)
        if status == "RELAXED":
            return _relaxed(answer)
        out = [] if solution.x is None or not solution.prices else _certificate(answer, feasible=False)
        kind = "infeasible" if answer.judge.best().infeasible else "feasible"
        return [*out, (UNDECIDED, f"{status}, {kind}, gap {solution.gap:.2g}, violation {solution.violation:.2g}")]
    except Unsure as unsure:
        return [(UNSURE, str(unsure))]


def _solved(answer: Answer) -> Findings:
    solution, judge = answer.solution, answer.judge
    out = [*_slates(answer), *_limits(answer), *_certificate(answer), *_prices(answer), *_scores(answer)]
    best = judge.best()
    if best.infeasible:
        if not judge.possible(slack=TOLERANCE):
            out.append(("solved though infeasible", "no allocation keeps all limits to 1e-6"))
        return out
    x = solution.allocation
    _, size = judge.value(x)
    slop = best.accuracy * max(size, abs(best.value), abs(answer.plain(solution.bound)))
    if any(gain.kind in CURVED for gain in answer.presented.program.gains):
        slop = max(slop, 1e-9)  # of numbers of size 1: interior points end no nearer, also where the optimum is 0
    kept = TOLERANCE * size if "keep" in answer.presented.program.slate else 0.0  # a share is kept up to rounding
    rounding = 1e-12 * (abs(answer.presented.constant) + judge.reach)
    if answer.plain(solution.bound) < best.value - slop - rounding:
        out.append(("bound below the optimum", f"{answer.plain(solution.bound)!r} < {best.value!r}"))
    bought = sum(float(np.abs(_price(answer, k)) @ rows.excess(x)) for k, rows in enumerate(judge.rows) if rows.hard)
    if answer.plain(solution.value) > best.value + bought + slop + rounding + kept:
        # limits, slates and value have been checked: an interior point that says less has not converged
        curved = any(gain.kind in CURVED for gain in answer.presented.program.gains)
        what = UNSURE if curved else "value above the optimum"
        out.append((what, f"{answer.plain(solution.value)!r} > {best.value!r}"))
    return out


def _certificate(answer: Answer, feasible: bool = True) -> Findings:
    """Value, bound and gap among themselves, and against the objective added up by the judge."""
    solution, judge, out = answer.solution, answer.judge, []
    x = solution.allocation
    parts = judge.parts(x)
    told = answer.scale * (sum(parts) + answer.presented.constant)
    # units of logarithms are in the parts of their functions; what is left of them is at most their own size
    size = answer.scale * (sum(map(abs, parts)) + abs(answer.presented.constant))
    rounding = 1e-12 * answer.scale * judge.reach
    if {"slot_weights", "diminishing"} <= set(answer.presented.program.slate):
        rounding += 1e-6 * size  # what decrements take is then a linear program's word
    if abs(solution.value - told) > 1e-9 * max(size, abs(solution.value)) + rounding:
        out.append(("value is not the objective", f"{solution.value!r} instead of {told!r}"))
    if not feasible:
        return out
    size = max(abs(solution.value), abs(solution.bound), size)
    rounding = 1e-12 * answer.scale * judge.reach
    if solution.value - solution.bound > 1e-9 * size + rounding:
        out.append(("value above the bound", f"{solution.value!r} > {solution.bound!r}"))
    asked = answer.presented.program.gap
    which = "gap is not proven"
    if solution.status.name == "RELAXED":
        asked, which = max(asked, RELAXED_GAP), "relaxed: the gap is wider"
    if solution.bound - solution.value > asked * size * (1 + 1e-9) + rounding:
        out.append((which, f"[{solution.value!r}, {solution.bound!r}], said to be {solution.gap:.2g}"))
    return out


def _slates(answer: Answer) -> Findings:
    x, judge, program = answer.solution.allocation, answer.judge, answer.presented.program
    first = 1.0 if "slot_weights" not in program.slate else float(np.max(program.slate["slot_weights"]))
    if x.size and (x.min() < 0.0 or x.max() > first + 1e-12):
        return [("slate broken", f"probabilities from {x.min()} to {x.max()}")]
    broken = judge.slates.nearest(x)[0]
    if broken > 1e-6 * max(1.0, *(float(np.abs(c).max(initial=0.0)) for c in program.columns.values())):
        return [("slate broken", f"by {broken:.3g}")]
    return []


def worst_violation(judge: Judge, x: Array) -> tuple[float, str]:
    """The largest excess of a hard limit relative to max(|limit|, sum |a| x), and where it is."""
    worst, where = 0.0, ""
    for k, rows in enumerate(judge.rows):
        if not rows.hard:
            continue
        excess, size = rows.excess(x), rows.size(x)
        for g in np.flatnonzero(excess > 0):
            ratio = float(excess[g] / max(size[g], 1e-300))
            if ratio > worst:
                total = float(rows.matrix[g] @ x)
                worst, where = ratio, f"{name_of(k)} {rows.labels[g]!r}: {total} in [{rows.lower[g]}, {rows.upper[g]}]"
    return worst, where


def _limits(answer: Answer) -> Findings:
    worst, where = worst_violation(answer.judge, answer.solution.allocation)
    out: Findings = []
    if worst > TOLERANCE * (1 + 1e-6):
        out.append(("limit broken", f"by {worst:.3g}: {where}"))
    if abs(worst - answer.solution.violation) > 1e-9 + 1e-3 * worst:
        out.append(("violation misreported", f"{answer.solution.violation:.3g} instead of {worst:.3g}"))
    return out


def _price(answer: Answer, k: int) -> Array:
    """Prices of a constraint without units."""
    unit = answer.presented.program.limits[k].measure.unit
    return np.asarray(answer.solution.prices[name_of(k)]) * unit / answer.scale


def _prices(answer: Answer) -> Findings:
    out: Findings = []
    for k, rows in enumerate(answer.judge.rows):
        price = _price(answer, k)
        wrong = np.flatnonzero((price > 0) & ~np.isfinite(rows.upper) | (price < 0) & ~np.isfinite(rows.lower))
        if wrong.size:
            out.append(("price of the wrong sign", f"{name_of(k)} {rows.labels[wrong[0]]!r}: {price[wrong[0]]!r}"))
        if not np.isfinite(price).all() or (not rows.hard and (np.abs(price) > rows.limits.penalty * (1 + 1e-9)).any()):
            out.append(("price beyond its range", f"{name_of(k)}: {price.tolist()}"))
    return out


def _scores(answer: Answer) -> Findings:
    """Priced scores from the prices, and the policy's own."""
    solution, judge, program = answer.solution, answer.judge, answer.presented.program
    out: Findings = []
    scores = solution.scores()
    told = judge.worth.copy()
    size = np.abs(told)
    parts: list[tuple[Array, Array]] = [(rows.matrix, _price(answer, k)) for k, rows in enumerate(judge.rows)]
    for k, stated in enumerate(judge.gains):
        price = np.asarray(solution.prices[f"gain {k}"]) * stated.gain.measure.unit / answer.scale
        parts.append((stated.matrix, price))
    for matrix, price in parts:
        told -= (matrix / judge.counted).T @ price
        size += (np.abs(matrix) / judge.counted).T @ np.abs(price)
    off = np.abs(scores / answer.scale - told) / (size + 1e-6 * size.max(initial=0.0) + 1e-300)
    if not program.steady and (off > 1e-9).any():
        worst = int(np.argmax(off))
        out.append(("scores are not the formula", f"pair {worst}: {scores[worst] / answer.scale}, not {told[worst]}"))
    if program.steady:
        return out
    policy, candidates = solution.policy(), answer.presented.problem.candidates
    for user in range(0, program.n_users, max(1, program.n_users // 3)):
        mine = slice(int(candidates.indptr[user]), int(candidates.indptr[user + 1]))
        columns = {name: candidates.columns[name][mine] for name in policy.columns}
        served = policy.score(candidates.item[mine], columns, user=user)
        if not np.array_equal(served, scores[mine]):
            text = f"user {user}: {served.tolist()} instead of {scores[mine].tolist()}"
            out.append(("policy scores otherwise", text))
            break
    return out


# --- conflicts ---


def weights_of(answer: Answer) -> list[Array] | None:
    """What a missed unit weighs, without units; None where units are too far apart for a judge to add up."""
    program, out = answer.presented.program, []
    units = [limit.measure.unit for limit in program.limits if limit.hard]
    if not program.weighted and max(units, default=1.0) > 1e4 * min(units, default=1.0):
        return None
    for rows in answer.judge.rows:
        weight = rows.limits.weight if program.weighted else rows.limits.measure.unit / min(units)
        out.append(np.full(len(rows.labels), weight))
    return out


def _gives(answer: Answer) -> tuple[dict[tuple[int, int], float], set[tuple[int, int]], Findings]:
    """({(constraint, group): give without units}, all groups named, what is wrong with the list itself)."""
    give: dict[tuple[int, int], float] = {}
    named: set[tuple[int, int]] = set()
    out: Findings = []
    for conflict in answer.solution.conflicts:
        k = next((k for k in range(len(answer.judge.rows)) if name_of(k) == conflict.constraint), -1)
        labels: list[Any] = answer.judge.rows[k].labels if k >= 0 else []
        if conflict.label not in labels or not answer.judge.rows[k].hard:
            out.append(("conflict names what is no limit", str(conflict)))
            continue
        at = (k, labels.index(conflict.label))
        named.add(at)
        if conflict.give > 0:
            give[at] = give.get(at, 0.0) + conflict.give / answer.judge.rows[k].limits.measure.unit
    if not give:
        out.append(("conflict without anyone who gives", f"{len(answer.solution.conflicts)} named"))
    return give, named, out


def _infeasible(answer: Answer) -> Findings:
    judge = answer.judge
    if not judge.best().infeasible:
        return [("infeasible though feasible", "the judge has an allocation")]
    give, named, out = _gives(answer)
    if not judge.possible(slack=TOLERANCE, give={at: g * (1 + 1e-6) for at, g in give.items()}):
        out.append(("giving what is named is not enough", "; ".join(map(str, answer.solution.conflicts))))
    if judge.possible(slack=0.0, only=lambda k, g: (k, g) in named):
        out.append(("those named do not conflict", "; ".join(map(str, answer.solution.conflicts))))
    if answer.presented.program.weighted:
        return [*out, *_least(answer, give)]
    # without weights those of the package name the conflict: whatever they are, nobody gives more than is needed
    for at, much in give.items():
        less = {**give, at: much * (1 - 1e-3)}
        if much > 1e-3 * _row_size(judge.rows[at[0]], at[1]) and judge.possible(slack=0.0, give=less):
            out.append(("more is given than is needed", f"{judge.rows[at[0]].labels[at[1]]!r} of {name_of(at[0])}"))
    return out


def _least(answer: Answer, give: dict[tuple[int, int], float]) -> Findings:
    weights = weights_of(answer)
    if weights is None:
        return []
    least = answer.judge.least(weights)
    total = sum(float(weights[k][g]) * much for (k, g), much in give.items())
    sizes = sum(float(weights[k][g]) * _row_size(answer.judge.rows[k], g) for k, g in give)
    if abs(total - least) > 1e-6 * max(least, sizes):
        return [("not the least total", f"{total!r} instead of {least!r}")]
    return []


def _row_size(rows: Rows, g: int) -> float:
    return float(max(rows.limit[g], np.abs(rows.matrix[g]).max(initial=0.0)))


def _relaxed(answer: Answer) -> Findings:
    judge, solution = answer.judge, answer.solution
    if not judge.best().infeasible:
        return [("relaxed though feasible", "the judge has an allocation")]
    out = [*_slates(answer), *_certificate(answer)]
    give, _, wrong = _gives(answer)
    out += [*wrong, *_least(answer, give)]
    weights = weights_of(answer)
    if weights is None:
        return out
    x = solution.allocation
    missed = sum(float(w @ rows.excess(x)) for w, rows in zip(weights, judge.rows, strict=True) if rows.hard)
    least = judge.least(weights)
    sizes = sum(
        float(w[rows.excess(x) > 0] @ rows.size(x)[rows.excess(x) > 0])
        for w, rows in zip(weights, judge.rows, strict=True)
        if rows.hard
    )
    if missed > least + 1e-6 * max(least, sizes):
        out.append(("relaxed is not the least total", f"{missed!r} instead of {least!r}"))
        return out
    best = judge.best_relaxed(weights, least * (1 + RESERVE))
    if best.infeasible:
        raise Unsure("the least total is not reached again to 1e-10")
    # what the reserve buys is no part of the optimum: as much as the same amount once more buys, in a program without
    # curves; the reserve itself is known to a rounding of the total
    bought = max(0.0, judge.best_relaxed(weights, least * (1 + 2 * RESERVE)).value - best.value)
    bought *= 1 + 1e-15 / RESERVE
    _, size = judge.value(x)
    reach = judge.reach  # where nothing is shown, the judge's tolerance still shows some
    if answer.plain(solution.bound) < best.value - bought - 10 * best.accuracy * max(size, abs(best.value), reach):
        out.append(("bound below the relaxed optimum", f"{answer.plain(solution.bound)!r} < {best.value!r}"))
    return out
