"""What is asked of a random market: objective, limits around an allocation that keeps them, conflicts, and units."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from fuzz_judge import Judge
from random_programs import (
    COLUMNS,
    HUGE,
    KEYS,
    NONNEGATIVE,
    Array,
    Gain,
    Limits,
    RandomProgram,
    Sum,
    Term,
    random_market,
)

KINDS = ("log", "alpha_fair", "entropy", "kl", "square_deviation", "reach", "worst_off", "gini_welfare")


def random_program(seed: int, generic: bool = False) -> RandomProgram:
    """The program of a seed: the same on every machine. `generic`: without ties, so that one allocation is best."""
    rng = np.random.default_rng([seed, 20_261])
    program = random_market(rng, seed, generic)
    if rng.random() < 0.25:
        program = replace(program, supply=np.round(rng.uniform(0.2, 3.0, program.n_users), 2))
    x = some_allocation(rng, program)
    conflict = bool(rng.random() < 0.3)
    program = replace(program, linear=_linear(rng, generic), limits=tuple(_limits(rng, program, x)))
    program = replace(program, gains=tuple(_gains(rng, program, x, conflict)))
    if rng.random() < 0.1:
        program = replace(program, steady=float(rng.choice([0.05, 0.5])))
    if conflict:
        kept = program.limits
        program = with_conflict(rng, program, kept)
        if rng.random() < 0.2:
            program = with_conflict(rng, program, kept)
        program = replace(program, weighted=bool(rng.random() < 0.6), limits=_weighted(rng, program))
    program = replace(program, relax=bool(rng.random() < (0.35 if conflict else 0.1)))
    program = replace(program, gap=float(rng.choice([1e-3, 1e-4, 1e-6] if not program.gains else [1e-3, 1e-4, 1e-5])))
    return with_units(rng, program) if rng.random() < 0.75 else program


def some_allocation(rng: np.random.Generator, program: RandomProgram) -> Array:
    """(n_pairs,) an allocation that keeps all slates: a mixture of the best ones for random scores."""
    judge, out = Judge(program), np.zeros(program.n_pairs)
    shares = rng.dirichlet(np.ones(2))
    for share in shares:
        scored = Judge(replace(program, linear=(), gains=(), limits=()))
        scored.worth = rng.normal(0.3, 1.0, program.n_pairs)
        found = scored.best()
        assert found.x is not None
        out += share * found.x
    assert judge.program is program
    return out


def _linear(rng: np.random.Generator, generic: bool) -> tuple[Term, ...]:
    kind = rng.random()
    if kind < 0.06 and not generic:
        return (Term(0.0, "relevance", ()),)
    terms = [Term(1.0, str(rng.choice(COLUMNS)), ())]
    if kind < 0.6:
        terms.append(Term(float(rng.choice([0.3, 2.0, -0.5])), str(rng.choice(COLUMNS)), ()))
    if kind < 0.25:
        terms.append(Term(float(rng.choice([-0.3, 0.1])), None, ()))
    merged: dict[str | None, float] = {}
    for term in terms:
        merged[term.column] = merged.get(term.column, 0.0) + term.coefficient
    return tuple(Term(w, column, ()) for column, w in merged.items())


def _measure(rng: np.random.Generator, nonnegative: bool = False) -> Sum:
    by = KEYS[rng.integers(len(KEYS))]
    kind = rng.random()
    column = str(rng.choice(NONNEGATIVE if nonnegative else COLUMNS))
    if kind < 0.45:
        return Sum((Term(1.0, None, by),))
    if kind < 0.8:
        return Sum((Term(1.0 if nonnegative else float(rng.choice([1.0, 1.0, 1.0, -2.0])), column, by),))
    fewer = tuple(key for key in by if rng.random() < 0.5)
    if nonnegative:
        return Sum((Term(1.0, column, by), Term(0.25, None, fewer)))
    return Sum((Term(1.0, column, by), Term(float(rng.choice([-0.3, 0.5])), None, fewer)))


def _limits(rng: np.random.Generator, program: RandomProgram, x: Array) -> list[Limits]:
    """Up to four constraints that x keeps, hard and soft, some of whose limits nothing can reach."""
    counted = Judge(program).counted
    out: list[Limits] = []
    used: set[tuple[Any, ...]] = set()
    for _ in range(int(rng.integers(0, 5))):
        measure = _measure(rng)
        shares = rng.random() < 0.15
        limit = _share(rng, program, x, counted) if shares else _limit(rng, program, measure, x, counted)
        text = tuple(sorted((term.column or "", term.by) for term in limit.measure.terms))
        if text in used:
            continue  # a floor above its cap by a rounding would be refused as a statement
        used.add(text)
        out.append(limit)
    return out


def _share(rng: np.random.Generator, program: RandomProgram, x: Array, counted: Array) -> Limits:
    """A share of all, `exposure(by=...) <= s * exposure()`, or at least it."""
    by = KEYS[rng.integers(1, len(KEYS))]
    of = tuple(key for key in by if rng.random() < 0.3)
    parts = program.matrix(Sum((Term(1.0, None, by),))) @ (counted * x)
    whole = program.matrix(Sum((Term(1.0, None, by), Term(1.0, None, of)))) @ (counted * x) - parts
    share = np.divide(parts, whole, out=np.zeros_like(parts), where=whole > 0)
    if by == of:
        of = ()
        whole = np.full(parts.size, float((counted * x).sum()))
        share = np.divide(parts, whole, out=np.zeros_like(parts), where=whole > 0)
    if rng.random() < 0.7:
        sense, s = "<=", max(float(share.max(initial=0.1)) * float(rng.choice([1.0, 1.1, 2.0])), 1e-3)
    else:
        sense, s = ">=", float(share.min(initial=1.0)) * float(rng.choice([1.0, 0.9, 0.3]))
    measure = Sum((Term(1.0, None, by), Term(-s, None, of)))
    penalty = float(rng.choice([0.3, 5.0])) if rng.random() < 0.15 else float(np.inf)
    return Limits(measure, sense, np.zeros(parts.size), "scalar", penalty)


def _limit(rng: np.random.Generator, program: RandomProgram, measure: Sum, x: Array, counted: Array) -> Limits:
    matrix = program.matrix(measure) * counted
    totals = matrix @ x
    n = totals.size
    sense = str(rng.choice(["<=", "<=", ">=", "=="], p=[0.3, 0.3, 0.3, 0.1]))
    penalty = float(rng.choice([0.1, 1.0, 30.0])) if rng.random() < 0.2 else float(np.inf)
    size = np.abs(matrix).sum(axis=1) / 4
    slack = rng.choice([0.0, 0.02, 0.3], n) * np.maximum(np.abs(totals), 0.1 * size)
    sign = {"<=": 1.0, ">=": -1.0, "==": 0.0}[sense]
    numbers = totals + sign * slack
    delivered = None
    if rng.random() < 0.15:
        delivered = np.round(rng.uniform(0.0, 1.0, n), 3) * rng.choice([0.0, 1.0, 5.0], n)
        numbers = numbers + delivered
    if measure.terms[0].column is None and len(measure.terms) == 1:
        numbers = np.maximum(numbers, 0.0)  # a negative cap of exposure is refused
    form = str(rng.choice(["array", "mapping", "scalar"], p=[0.45, 0.4, 0.15]))
    if form == "scalar" and n and sense != "==":
        numbers = np.full(n, numbers.max() if sense == "<=" else numbers.min())
    elif form == "scalar":
        form = "array"
    if form == "mapping":
        numbers = np.where(rng.random(n) < 0.4, np.nan, numbers)
        if sense == "==" and n:
            numbers[rng.random(n) < 0.6] = np.nan
    huge: dict[int, float] = {}
    if sense != "==" and form != "scalar" and rng.random() < 0.4:
        for g in np.flatnonzero(rng.random(n) < 0.4).tolist():
            numbers[g] = sign * np.inf
            huge[g] = sign * float(rng.choice(HUGE))
    return Limits(measure, sense, numbers, form, penalty, delivered, huge)


def _gains(rng: np.random.Generator, program: RandomProgram, x: Array, conflict: bool) -> list[Gain]:
    """None to three functions, each of a measure and of a size that matters next to the linear part."""
    out = []
    counted = Judge(program).counted
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.45, 0.3, 0.18, 0.07]))):
        kind = str(rng.choice(KINDS))
        measure = _measure(rng, nonnegative=kind in ("log", "alpha_fair", "entropy", "kl"))
        matrix = program.matrix(measure) * counted
        n, totals, reach = matrix.shape[0], matrix @ x, np.abs(matrix).sum(axis=1)
        if not n:
            continue
        weight = float(rng.choice([0.01, 0.3, 1.0, 3.0, 30.0]))
        numbers: dict[str, Any] = {}
        typical = float(np.abs(totals).mean()) + 0.1
        if kind in ("log", "alpha_fair"):
            numbers["offset"] = float(rng.choice([0.1, 1.0]))
            if kind == "alpha_fair":
                numbers["alpha"] = float(rng.choice([0.0, 0.5, 1.0, 2.0, 3.0]))
            if not conflict and (totals > 0.05 * reach).all() and (totals > 0.05).all() and rng.random() < 0.4:
                numbers["offset"] = 0.0
        elif kind in ("entropy", "kl"):
            numbers["total"] = max(float(counted.sum()) / 3, 0.5) * float(rng.choice([0.5, 1.0, 3.0]))
            weight *= 3.0
            if kind == "kl":
                numbers["targets"] = rng.choice([0.25, 1.0, 2.0], n)
        elif kind == "square_deviation":
            numbers["targets"] = np.round(totals * rng.choice([0.5, 1.0, 1.5], n) + rng.choice([0.0, 0.5], n), 3)
            weight /= typical
        elif kind == "reach":
            numbers["times"] = float(rng.choice([0.5, 1.0, 2.0])) * typical
        elif kind == "worst_off":
            numbers["shares"] = rng.choice([0.5, 1.0, 3.0], n)
        elif rng.random() < 0.5:
            numbers["ranks"] = np.sort(rng.choice([0.0, 0.25, 1.0, 4.0], n))[::-1] + 1e-3
        delivered = np.round(rng.uniform(0.0, 2.0, n), 3) if rng.random() < 0.12 else None
        out.append(Gain(kind, measure, weight, numbers, delivered))
    return out


def _weighted(rng: np.random.Generator, program: RandomProgram) -> tuple[Limits, ...]:
    if rng.random() < 0.6:
        return program.limits
    return tuple(replace(limit, weight=float(rng.choice([0.2, 1.0, 5.0]))) for limit in program.limits)


def with_conflict(rng: np.random.Generator, program: RandomProgram, kept: tuple[Limits, ...]) -> RandomProgram:
    """The program with one more limit, just beyond what those that are kept leave possible."""
    used = {tuple(sorted((t.column or "", t.by) for t in limit.measure.terms)) for limit in program.limits}
    for _ in range(6):
        measure = _measure(rng)
        if tuple(sorted((t.column or "", t.by) for t in measure.terms)) in used:
            continue
        judge = Judge(replace(program, linear=(), gains=(), limits=tuple(l for l in kept if l.hard)))
        matrix = program.matrix(measure)
        if not matrix.shape[0]:
            continue
        g = int(rng.integers(matrix.shape[0]))
        sign = float(rng.choice([1.0, -1.0]))
        judge.worth = sign * matrix[g]
        found = judge.best()
        if found.x is None:
            continue
        most = sign * found.value  # the largest total, or the smallest
        size = max(abs(most), float((np.abs(matrix[g]) * judge.counted) @ found.x))
        margin = float(rng.choice([2e-6, 1e-3, 0.01, 0.1, 1.0], p=[0.2, 0.1, 0.3, 0.2, 0.2]))
        if size < 1e-3:
            size, margin = 1.0, max(margin, 0.01)
        number = most + sign * margin * size
        if measure.terms[0].column is None and len(measure.terms) == 1 and sign < 0 and number < 0:
            continue
        numbers = np.full(matrix.shape[0], np.nan)
        numbers[g] = number
        limit = Limits(measure, ">=" if sign > 0 else "<=", numbers, "mapping")
        return replace(program, limits=(*program.limits, limit))
    return program


def with_units(rng: np.random.Generator, program: RandomProgram) -> RandomProgram:
    """Every column in a unit of its own, every measure in one of its columns' units, the objective in any."""
    told = [name for name in COLUMNS if rng.random() < 0.7 and name not in program.single]
    units = {name: 10.0 ** int(rng.integers(-9, 10)) for name in told}
    program = replace(program, units=units)

    def of(measure: Sum) -> Sum:
        own = [program.unit(term.column) for term in measure.terms]
        return replace(measure, unit=own[0] if len(own) == 1 else float(rng.choice(own)))

    return replace(
        program,
        limits=tuple(replace(limit, measure=of(limit.measure)) for limit in program.limits),
        gains=tuple(replace(gain, measure=of(gain.measure)) for gain in program.gains),
        scale=10.0 ** int(rng.integers(-9, 10)) if rng.random() < 0.5 else 1.0,
    )
