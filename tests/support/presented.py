"""A random program as the package is told of it: in its units, with labels, limits in every form, and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from random_programs import USER_KEYS, Array, Gain, Limits, RandomProgram, Sum

import oasis_alloc as oa


@dataclass(frozen=True, eq=False)
class Presented:
    """The package's problem of a program, and what else of it a call of `solve` is told."""

    program: RandomProgram
    problem: oa.Problem
    earlier: Array | None

    @property
    def options(self) -> dict[str, Any]:
        program = self.program
        out: dict[str, Any] = {"gap": program.gap, "threads": 1}
        if program.relax:
            out["on_conflict"] = "relax"
        if program.weighted and any(limit.hard for limit in program.limits):
            out["relax_weights"] = {
                name_of(k): limit.weight / limit.measure.unit for k, limit in enumerate(program.limits) if limit.hard
            }
        return out

    @cached_property
    def constant(self) -> float:
        """What units of measures add to the objective, in its own scale: logarithms of them."""
        program, out = self.program, 0.0
        for gain in program.gains:
            if gain.kind == "log" or (gain.kind == "alpha_fair" and gain.numbers["alpha"] == 1.0):
                out += gain.weight * len(program.groups(gain.measure.by)) * float(np.log(gain.measure.unit))
        return out


def name_of(k: int) -> str:
    """The name of a constraint."""
    return f"limit {k}"


def candidates_of(program: RandomProgram) -> oa.Candidates:
    """The market in the package's own arrays."""
    counts = np.bincount(np.array(program.user, np.int64), minlength=program.n_users)
    return oa.Candidates.from_arrays(
        np.concatenate([[0], np.cumsum(counts)]),
        np.array(program.item, np.int64),
        {
            name: column.astype(np.float32) if name in program.single else column * program.unit(name)
            for name, column in program.columns.items()
        },
        users={key: labels for key, labels in program.labels.items() if key in USER_KEYS},
        items={key: labels for key, labels in program.labels.items() if key not in USER_KEYS},
    )


def present(program: RandomProgram) -> Presented:
    """State the program; the groups of every measure have to be those that the program expects."""
    candidates = candidates_of(program)
    linear: Any = None
    for term in program.linear:
        one = oa.exposure() if term.column is None else oa.total(term.column)
        part = (term.coefficient * program.scale / program.unit(term.column)) * one
        linear = part if linear is None else linear + part
    objective: Any = linear if linear is not None else 0.0 * oa.exposure()
    for k, gain in enumerate(program.gains):
        objective = objective + _function(program, gain, k)
    earlier = None
    if program.steady:
        before = oa.solve(oa.Problem(candidates, oa.total("relevance"), slate=oa.Slate(2)), threads=1)
        objective = objective + oa.stay_close(before, program.steady * program.scale)
        earlier = np.array(before.allocation)
    for by in {part.measure.by for part in (*program.limits, *program.gains)}:
        found = candidates.groups(by or None)
        if by and list(found) != program.groups(by):
            raise AssertionError(f"groups by {by}: {found} instead of {program.groups(by)}")
    limits = [_limit(program, limit, k) for k, limit in enumerate(program.limits)]
    slate = dict(program.slate)
    if "diminishing" in slate:
        slate["diminishing"] = {key: step * program.scale for key, step in slate["diminishing"].items()}
    return Presented(program, oa.Problem(candidates, objective, limits, oa.Slate(**slate), program.supply), earlier)


def measure_of(program: RandomProgram, measure: Sum, delivered: Array | None = None) -> oa.Measure:
    """A measure whose totals come in its own unit."""
    out: Any = None
    for term in measure.terms:
        one = oa.exposure(by=term.by or None) if term.column is None else oa.total(term.column, by=term.by or None)
        factor = term.coefficient * (measure.unit / program.unit(term.column))
        part = one if factor == 1.0 else factor * one
        out = part if out is None else out + part
    return out if delivered is None else out.delivered_so_far(delivered * measure.unit)


def _limit(program: RandomProgram, limit: Limits, k: int) -> Any:
    measure = measure_of(program, limit.measure, limit.delivered)
    unit, labels = limit.measure.unit, program.groups(limit.measure.by)
    numbers = limit.numbers * unit
    if limit.huge:
        reach = np.abs(program.matrix(limit.measure)).sum(axis=1) * unit * 10.0
        if program.supply is not None:
            reach *= float(program.supply.max())
        more = 0.0 if limit.delivered is None else limit.delivered * unit
        for g, said in limit.huge.items():
            least = float((reach + more)[g])
            numbers[g] = said if abs(said) > least else np.sign(said) * max(2.0 * least, 1e3)
    numbers_or_free: Any = numbers
    if limit.form == "mapping":
        numbers_or_free = {x: float(n) for x, n in zip(labels, numbers, strict=True) if not np.isnan(n)}
    elif limit.form == "scalar":
        numbers_or_free = float(numbers[0]) if numbers.size else 0.0
    band = {"<=": measure.__le__, ">=": measure.__ge__, "==": measure.__eq__}[limit.sense](numbers_or_free)
    if limit.hard:
        return band.named(name_of(k))
    return oa.soft(band, penalty=limit.penalty * program.scale / unit).named(name_of(k))


def _function(program: RandomProgram, gain: Gain, k: int) -> Any:
    measure, unit = measure_of(program, gain.measure, gain.delivered), gain.measure.unit
    numbers, weight = gain.numbers, gain.weight * program.scale
    labels: Sequence[Any] = program.groups(gain.measure.by)
    named: Any
    if gain.kind == "log":
        named = weight * oa.log(measure, numbers["offset"] * unit)
    elif gain.kind == "alpha_fair":
        alpha = numbers["alpha"]
        named = weight * unit ** (alpha - 1.0) * oa.alpha_fair(measure, alpha, numbers["offset"] * unit)
    elif gain.kind == "entropy":
        named = weight * oa.entropy(measure, numbers["total"] * unit)
    elif gain.kind == "kl":
        targets = dict(zip(labels, numbers["targets"].tolist(), strict=True))
        named = -weight * oa.kl(measure, targets, numbers["total"] * unit)
    elif gain.kind == "square_deviation":
        named = -(weight / unit**2) * oa.square_deviation(measure, numbers["targets"] * unit)
    elif gain.kind == "reach":
        named = weight / unit * oa.reach(measure, numbers["times"] * unit)
    elif gain.kind == "worst_off":
        named = weight / unit * oa.worst_off(measure, np.asarray(numbers["shares"], float))
    else:
        named = weight / unit * oa.gini_welfare(measure, numbers.get("ranks"))
    return named.named(f"gain {k}")
