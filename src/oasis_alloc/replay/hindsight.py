"""The best that could have been done knowing all requests in advance, with its certificate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.goal import Goal
from oasis_alloc.pacing.plan import Plan
from oasis_alloc.pacing.rows import Rows
from oasis_alloc.policy import Policy
from oasis_alloc.problem import Problem
from oasis_alloc.replay.run import Trace, drift_at
from oasis_alloc.replay.scenario import Scenario, World
from oasis_alloc.replay.stream import Layout
from oasis_alloc.solve import solve
from oasis_alloc.statement.functions.soft import soft
from oasis_alloc.statement.measures import exposure, total
from oasis_alloc.statement.slate import Slate


@dataclass(frozen=True)
class Hindsight:
    """What the solver says of the realized requests: value <= optimum <= bound."""

    value: float
    bound: float
    gap: float


def hindsight_of(layout: Layout, world: World, scenario: Scenario, policy: Policy, gap: float) -> Hindsight:
    """Solve the world's requests under the flight's limits: floors and soft caps at their penalties, hard caps as such.

    Caps of days and hours and the times of goals are left out, so no contender can be above the bound.
    """
    solution = solve(problem_of(layout, world, scenario, policy)[0], gap=gap)
    return Hindsight(float(solution.value), float(solution.bound), float(solution.gap))


def problem_of(
    layout: Layout, world: World, scenario: Scenario, policy: Policy
) -> tuple[Problem, list[tuple[str, list[Goal]]]]:
    """The realized requests as a problem, and the goals that each of its constraints is of."""
    cands = _realized(layout, world, scenario)
    data = policy.data
    terms = [w * (exposure() if column is None else total(column)) for column, w in data.weights]
    objective: Any = sum(terms[1:], terms[0])
    limits: list[Any] = []
    of: list[tuple[str, list[Goal]]] = []
    by_measure: dict[Any, list[Goal]] = {}
    for goal in world.plan.goals:
        by_measure.setdefault((goal.terms, goal.penalty, goal.soft or goal.per_request), []).append(goal)
    requests = world.order.size
    for (parts, penalty, is_soft), goals in by_measure.items():
        measures = [c * (exposure(by=by or None) if col is None else total(col, by=by or None)) for col, by, c in parts]
        measure: Any = sum(measures[1:], measures[0])
        scale = requests if goals[0].per_request else 1.0
        known = set(cands.groups(goals[0].by or None)) if goals[0].by else {None}
        caps = {g.label: g.cap * scale for g in goals if math.isfinite(g.cap) and g.label in known}
        floors = {g.label: g.floor * scale for g in goals if math.isfinite(g.floor) and g.label in known}
        for limit, sense in ((caps, "<="), (floors, ">=")):
            if not limit:
                continue
            right: Any = limit.get(None, limit)
            band = measure <= right if sense == "<=" else measure >= right
            name = f"{sense} {len(limits)}"
            of.append((name, [goal for goal in goals if goal.label in limit]))
            limits.append((soft(band, penalty=penalty) if is_soft or sense == ">=" else band).named(name))
    rule = data.slate
    falls: Any = {key: d.steps.tolist() if d.slope == 0 else d.slope for key, d in rule.diminishing.items()}
    slate = Slate(rule.size, at_least=rule.at_least, at_most=dict(rule.at_most), diminishing=falls)
    return Problem(cands, objective, limits, slate), of


def _realized(layout: Layout, world: World, scenario: Scenario) -> Candidates:
    cands, order = layout.requests.candidates, world.order
    indptr, pairs = gather(layout.indptr, order)
    columns: dict[str, Any] = {name: np.asarray(column, np.float64)[pairs] for name, column in cands.columns.items()}
    for name, column in zip(layout.policy.data.columns, layout.columns, strict=True):  # calibrated as they are served
        columns[name] = column[pairs]
    if scenario.drift:
        organic = layout.policy.data.organic
        ticks = np.arange(world.start, world.end, scenario.step)
        began = ticks[np.clip(np.searchsorted(ticks, world.time, side="right") - 1, 0, None)]
        factor = np.repeat([drift_at(scenario, world, t) for t in began.tolist()], np.diff(indptr))
        columns[organic] = np.where(_promoted(layout, world.plan)[pairs], factor, 1.0) * columns[organic]
    users = {}
    for name, key in cands.users.items():
        labels = np.array([*key.labels.tolist(), None], dtype=object)
        users[name] = labels[key.codes[order]].tolist()
    items = {name: _labels_of(key, cands.n_items) for name, key in cands.items.items()}
    return Candidates.from_arrays(indptr, np.asarray(cands.item)[pairs], columns, users=users, items=items)


def _labels_of(key: Any, n_items: int) -> list[Any]:
    labels = [*key.labels.tolist(), None]
    if getattr(key, "indptr", None) is None:
        return [labels[code] for code in key.codes.tolist()]
    return [[labels[c] for c in key.codes[key.indptr[i] : key.indptr[i + 1]].tolist()] for i in range(n_items)]


def _promoted(layout: Layout, plan: Plan) -> Any:
    """(n_pairs,) pairs whose items count for a goal."""
    rows = Rows(plan.goals, layout.policy.data)
    formula = layout.policy._scorer.formula
    counts = np.zeros(formula.n_classes, np.bool_)
    for codes in layout.codes:
        counts |= np.diff(rows.uses(formula, codes).indptr) > 0
    return counts[formula.class_of[layout.items]]


def gained(trace: Trace, plan: Plan, requests: int) -> float:
    """The objective of what was shown, less the penalties of what was missed: what the hindsight optimum bounds."""
    return float(trace.gained[:, 0].sum()) - float(missed(trace.served, plan, requests).sum())


def missed(totals: Floats, plan: Plan, requests: int) -> Floats:
    """(n_goals,) penalties: of floors that were not met, and of soft caps that were exceeded."""
    out = np.zeros(len(plan.goals))
    for r, goal in enumerate(plan.goals):
        scale = requests if goal.per_request else 1.0
        short = max(goal.floor * scale - totals[r], 0.0) if math.isfinite(goal.floor) else 0.0
        over = max(totals[r] - goal.cap * scale, 0.0) if goal.soft or goal.per_request else 0.0
        out[r] = goal.penalty * (short + (over if math.isfinite(over) else 0.0))
    return out
