"""Full solves of the requests so far, as a host would have them done between ticks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from oasis_alloc.pacing.core import Core
from oasis_alloc.pacing.plan import Plan
from oasis_alloc.policy import Policy
from oasis_alloc.replay.hindsight import problem_of
from oasis_alloc.replay.scenario import Scenario, World
from oasis_alloc.replay.stream import Layout
from oasis_alloc.solve import solve

_GAP = 1e-4


class Doubling:
    """Solves again whenever the number of requests has doubled, from `first` on.

    What has come stands for what is to come: limits are what remains of them, in proportion to the requests that have
    come and that the forecast still expects. Prices replace those of the goals that the solve has.
    """

    def __init__(self, first: int, layout: Layout, world: World, scenario: Scenario, policy: Policy) -> None:
        self._next, self._layout, self._world, self._scenario, self._policy = first, layout, world, scenario, policy

    def __call__(self, core: Core, now: float, requests: int) -> None:
        if requests < self._next:
            return
        self._next = 2 * requests
        world = self._world
        left = world.expected * (1.0 - float(core.targets.elapsed(now).min()))
        if left < 1.0:
            return
        part = requests / left
        delivered = core.delivered()
        goals = []
        for r, goal in enumerate(core.rows.goals):
            if goal.per_request:
                goals.append(goal)
                continue
            cap, floor = max(goal.cap - delivered[r], 0.0) * part, max(goal.floor - delivered[r], 0.0) * part
            goals.append(replace(goal, cap=cap, floor=floor if math.isfinite(goal.floor) else goal.floor))
        past = replace(world, order=world.order[:requests], time=world.time[:requests], plan=Plan.of_goals(goals))
        problem, of = problem_of(self._layout, past, self._scenario, self._policy)
        solution = solve(problem, gap=_GAP)
        place = {goal.name: r for r, goal in enumerate(goals)}
        price = core.price.copy()
        mine = [place[goal.name] for _, some in of for goal in some]
        price[mine] = 0.0
        for name, some in of:
            by_label = solution.prices_by_label[name]
            for goal in some:
                price[place[goal.name]] += by_label[goal.label]
        core.price = np.clip(price, core.rows.low, core.rows.high)
        core.controller.merged()
