"""A judge of random programs: what the documentation's mathematics says, without the package's arrays.

Slates are the polytope of `slate_oracle.py`; limits and functions are stated here from docs/program.md and the text of
each function. Linear programs go to HiGHS through SciPy, curved ones to Clarabel through cvxpy. All numbers are those
of the program without units, so that a judgment is as exact as doubles of size 1 allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from fuzz_curves import CURVED, Stated, piecewise
from fuzz_model import Model, Outcome
from random_programs import Array, Limits, RandomProgram
from slate_oracle import Polytope, polytope

import oasis_alloc as oa

TOLERANCE = 1e-6
"""What a limit may be missed by, relative to max(|limit|, sum of |contributions|): docs/certificate.md."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A constraint without units: `lower <= matrix @ x <= upper` on the plan, counted by supply."""

    limits: Limits
    labels: list[Any]
    matrix: Array
    lower: Array
    upper: Array

    @property
    def hard(self) -> bool:
        return self.limits.hard

    @cached_property
    def limit(self) -> Array:
        """The size of each row's limit, 0 where there is none."""
        sides = [np.where(np.isfinite(side), np.abs(side), 0.0) for side in (self.lower, self.upper)]
        return np.maximum(*sides)

    def excess(self, x: Array) -> Array:
        totals = self.matrix @ x
        return np.maximum(np.maximum(totals - self.upper, self.lower - totals), 0.0)

    def size(self, x: Array) -> Array:
        """What the excess of each row is measured against."""
        return np.maximum(self.limit, np.abs(self.matrix) @ x)


class Judge:
    """One program, its slates and its rows; `earlier` are the probabilities that it stays close to."""

    def __init__(self, program: RandomProgram, earlier: Array | None = None) -> None:
        self.program = program
        ones = np.ones(program.n_users)
        self.supply = ones if program.supply is None else program.supply
        self.counted = self.supply[np.array(program.user, np.int64)] if program.n_pairs else np.empty(0)
        worth = np.zeros(program.n_pairs)
        for term in program.linear:
            worth += term.coefficient * (1.0 if term.column is None else program.columns[term.column])
        self.earlier = earlier if program.steady else None
        if self.earlier is not None:
            worth += program.steady * self.earlier
        self.worth = worth

    @cached_property
    def slates(self) -> Polytope:
        return polytope(self.program, oa.Slate(**self.program.slate), self.program.supply)  # type: ignore[arg-type]

    @cached_property
    def rows(self) -> list[Rows]:
        return [self._rows(limits) for limits in self.program.limits]

    @cached_property
    def gains(self) -> list[Stated]:
        groups, matrix = self.program.groups, self.program.matrix
        return [Stated(g, groups(g.measure.by), matrix(g.measure) * self.counted) for g in self.program.gains]

    def _rows(self, limits: Limits) -> Rows:
        program, measure = self.program, limits.measure
        none = np.isnan(limits.numbers)
        lower = np.where(none | (limits.sense == "<="), -np.inf, limits.numbers)
        upper = np.where(none | (limits.sense == ">="), np.inf, limits.numbers)
        if limits.delivered is not None:
            lower, upper = lower - limits.delivered, upper - limits.delivered
            positive = all(
                term.coefficient > 0 and (term.column is None or not (program.columns[term.column] < 0).any())
                for term in measure.terms
            )
            if limits.hard and positive:  # a cap that is used up leaves nothing
                upper = np.where(limits.delivered > 0, np.maximum(upper, 0.0), upper)
        return Rows(limits, program.groups(measure.by), program.matrix(measure) * self.counted, lower, upper)

    # --- values ---

    def parts(self, x: Array) -> list[float]:
        """What each term contributes at x: columns, staying close, functions, soft limits, decrements."""
        shown, columns = self.counted * x, self.program.columns
        of = [np.ones(x.size) if term.column is None else columns[term.column] for term in self.program.linear]
        out = [float(t.coefficient * (column @ shown)) for t, column in zip(self.program.linear, of, strict=True)]
        if self.earlier is not None:
            out.append(float(self.program.steady * (self.earlier @ shown)))
        out += [gain.value(gain.matrix @ x) for gain in self.gains]
        out += [-rows.limits.penalty * float(rows.excess(x).sum()) for rows in self.rows if not rows.hard]
        return [*out, -self.diminished(x)]

    def value(self, x: Array) -> tuple[float, float]:
        """(the objective at x, the sum of the sizes of its parts)."""
        parts = self.parts(x)
        return float(sum(parts)), float(sum(map(abs, parts)))

    def diminished(self, x: Array) -> float:
        """What decrements take: of every user and category, the integral of its steps up to the mass that is shown."""
        slate, program = self.program.slate, self.program
        if "slot_weights" in slate and "diminishing" in slate:
            return self.slates.nearest(x)[1]
        out = 0.0
        for key, given in slate.get("diminishing", {}).items():
            mass: dict[tuple[int, Any], float] = {}
            for pair in range(program.n_pairs):
                for label in program.labels_of(key, pair):
                    at = (program.user[pair], label)
                    mass[at] = mass.get(at, 0.0) + float(x[pair])
            for (user, _), much in mass.items():
                whole = int(np.floor(much))
                steps = [_step(given, j) for j in range(whole + 1)]
                out += self.supply[user] * (sum(steps[:whole]) + (much - whole) * steps[whole])
        return float(out)

    @property
    def reach(self) -> float:
        """The size of what all pairs at once are worth, and of functions and soft limits where nothing is shown."""
        nothing = [abs(gain.value(np.zeros(len(gain.labels)))) for gain in self.gains]
        nothing += [rows.limits.penalty * float(rows.limit.sum()) for rows in self.rows if not rows.hard]
        return float(np.abs(self.worth) @ self.counted + sum(size for size in nothing if np.isfinite(size)))

    # --- programs ---

    def _model(self, objective: bool) -> tuple[Model, slice]:
        """Slates, and the objective with its functions and soft limits."""
        slates, model = self.slates, Model()
        gain = slates.shown.T @ (self.worth * self.counted) - slates.weighted_cost
        v = model.add(gain if objective else np.zeros(gain.size), 0.0, 1.0)
        model.rows([(v, slates.rows)], slates.lower, slates.upper)
        if objective:
            for rows in self.rows:
                if not rows.hard:
                    self._elastic(model, v, rows, rows.limits.penalty * np.ones(len(rows.labels)))
            for stated in self.gains:
                matrix = sp.csr_array(sp.csr_array(stated.matrix) @ slates.shown)
                if stated.gain.kind in CURVED:
                    model.curve(stated, v, matrix)
                else:
                    piecewise(model, stated, v, matrix)
        return model, v

    def _elastic(self, model: Model, v: slice, rows: Rows, price: Array | None, slack: float = 0.0) -> list[slice]:
        """Both sides of a constraint; with prices, units outside cost them. `slack`: relative, of every limit."""
        out = []
        matrix = sp.csr_array(sp.csr_array(rows.matrix) @ self.slates.shown)
        sizes = sp.csr_array(sp.csr_array(np.abs(rows.matrix)) @ self.slates.shown)
        for sign, side in ((1.0, rows.upper), (-1.0, rows.lower)):
            has = np.flatnonzero(np.isfinite(side))
            if not has.size:
                continue
            blocks: list[tuple[slice, Any]] = [(v, sign * matrix[has] - slack * sizes[has])]
            if price is not None:
                over = model.add(-price[has], 0.0, np.inf)
                blocks.append((over, -sp.eye_array(has.size, format="csr")))
                out.append(over)
            model.rows(blocks, -np.inf, sign * side[has] + slack * rows.limit[has])
        return out

    def best(self) -> Outcome:
        """The optimum under all hard limits, and x; infeasible where there is none."""
        if any(stated.gain.kind in CURVED for stated in self.gains) and not self.possible(slack=0.0):
            return Outcome(True)  # by linear programming: more exact than a curved program's own word
        model, v = self._model(objective=True)
        for rows in self.rows:
            if rows.hard:
                self._elastic(model, v, rows, None)
        return self._solved(model, v)

    def possible(
        self,
        slack: float,
        only: Callable[[int, int], bool] | None = None,
        give: dict[tuple[int, int], float] | None = None,
    ) -> bool:
        """Whether all hard limits, or `only` some groups of some, can be kept, each up to a relative slack."""
        model, v = self._model(objective=False)
        for k, rows in enumerate(self.rows):
            if not rows.hard:
                continue
            chosen = np.array([only is None or only(k, g) for g in range(len(rows.labels))], bool)
            more = np.array([(give or {}).get((k, g), 0.0) for g in range(len(rows.labels))])
            lower = np.where(chosen, rows.lower - more, -np.inf)
            upper = np.where(chosen, rows.upper + more, np.inf)
            self._elastic(model, v, Rows(rows.limits, rows.labels, rows.matrix, lower, upper), None, slack)
        return not model.solve().infeasible

    def least(self, weights: list[Array]) -> float:
        """The least weighted total of what hard limits must give; `weights` by constraint and group."""
        model, v = self._model(objective=False)
        for rows, weight in zip(self.rows, weights, strict=True):
            if rows.hard:
                self._elastic(model, v, rows, weight)
        return -model.solve().value

    def best_relaxed(self, weights: list[Array], budget: float) -> Outcome:
        """The best value of those that miss hard limits by at most `budget` in weighted total."""
        model, v = self._model(objective=True)
        spent: list[tuple[slice, Any]] = []
        for rows, weight in zip(self.rows, weights, strict=True):
            if not rows.hard:
                continue
            for side, over in zip((rows.upper, rows.lower), self._sides(model, v, rows), strict=True):
                if over is not None:
                    spent.append((over, sp.csr_array(weight[np.isfinite(side)][None, :])))
        if spent:
            model.rows(spent, -np.inf, np.array([budget]))
        return self._solved(model, v)

    def _sides(self, model: Model, v: slice, rows: Rows) -> list[slice | None]:
        free = np.zeros(len(rows.labels))
        made = iter(self._elastic(model, v, rows, free))
        return [next(made) if np.isfinite(side).any() else None for side in (rows.upper, rows.lower)]

    def _solved(self, model: Model, v: slice) -> Outcome:
        outcome = model.solve()
        if outcome.y is None:
            return outcome
        return outcome.with_x(self.slates.shown @ np.clip(outcome.y[v], 0.0, 1.0))


def _step(given: Any, j: int) -> float:
    """What the j-th item of a category is worth less."""
    return given * j if isinstance(given, float) else float(given[min(j, len(given) - 1)])
