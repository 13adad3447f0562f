"""Play requests through policies and pacers, and compare what comes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.documents import from_json, jsonable
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.labels import shown
from oasis_alloc.common.remote_path import AnyPath, as_place, text_at, write_at
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.pacer import Pacer
from oasis_alloc.pacing.plan import Plan
from oasis_alloc.policy import Policy
from oasis_alloc.replay.bar import Bar
from oasis_alloc.replay.hindsight import Hindsight, hindsight_of
from oasis_alloc.replay.metrics import measured, planned_at, targets_of
from oasis_alloc.replay.requests import Requests
from oasis_alloc.replay.resolves import Doubling
from oasis_alloc.replay.result import Replay
from oasis_alloc.replay.run import contend
from oasis_alloc.replay.scenario import Scenario, world_of
from oasis_alloc.replay.stream import Layout

_FORMAT = "oasis_alloc.replay"
_UNLIMITED = {"floor": -math.inf, "cap": math.inf, "target": math.inf, "exhausted": math.inf}  # null in a file

Contenders: TypeAlias = "Mapping[str, Policy | Pacer | tuple[Pacer, int]]"


@suggesting
def replay(
    requests: Requests,
    contenders: Contenders,
    *,
    plan: Plan | None = None,
    scenario: Scenario | Mapping[str, Scenario] | None = None,
    seeds: int | Iterable[int] = 1,
    hindsight: float | None = 1e-3,
    resume: AnyPath | None = None,
    progress: Callable[[int, int, str], None] | bool | None = None,
) -> Replay:
    """Play requests through contenders under scenarios, with the same arrivals for all of them.

    Parameters
    ----------
    requests
        What arrives.
    contenders
        `{name: policy or pacer}`. A policy serves at its prices, without caps. A pacer is made again for every world,
        with its policy and parameters, and the plan, forecast and replicas of the scenario; one that has a schedule
        keeps it. `(pacer, n)` also solves the requests so far again when n, 2n, 4n ... have come, and merges prices.
    plan
        What is to be delivered; None takes that of the first pacer.
    scenario
        One, or `{name: scenario}`; None plays the requests as they were recorded.
    seeds
        How many seeds from 0 on, or the seeds.
    hindsight
        Relative gap of the solve of the realized requests, whose bound the regret is measured against; None leaves it
        out.
    resume
        A file that keeps what is done, so that an interrupted replay goes on; it has to be of the same call.
    progress
        True for a bar on the terminal; or a function that is called with (done, all, what is next).

    Returns
    -------
    Replay
        Metrics of every contender, scenario and seed; `frame()`, `summary()`, `campaigns()` and `page(path)`.

    Raises
    ------
    InputError
        For arguments that are of another kind, such as contenders that are neither policies nor pacers, for requests
        that lack what a policy reads, and for a file of another replay, or in no directory.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> cands = oa.Candidates.from_arrays(
    ...     np.arange(201) * 2, np.tile([0, 1], 200), {"r": rng.random(400)}, items={"campaign": ["a", None]})
    >>> cap = (oa.exposure(by="campaign") <= {"a": 50.0}).named("cap")
    >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), cap, oa.Slate(1))).policy()
    >>> pacer = oa.Pacer(policy, oa.Plan("campaign", 0.0, 200.0, caps={"a": 50.0}))
    >>> done = oa.replay(oa.Requests(cands, np.arange(200.0), 0.0, 200.0), {"static": policy, "paced": pacer})
    >>> done.rows[1]["above hard caps"]
    0.0
    """
    paced = _checked(requests, contenders)
    wanted = plan if plan is not None else (paced[0].plan if paced else None)
    if wanted is None:
        raise InputError("replay(): policies alone have no plan; pass plan=.")
    scenarios, numbers = _scenarios(scenario), _seeds(seeds)
    _check(wanted, hindsight, progress)
    done = _Done(resume, [repr(requests), sorted(contenders), sorted(scenarios), repr(wanted), hindsight])
    layouts: dict[int, Layout] = {}
    bounds: dict[Any, Hindsight] = {}
    tell = (Bar() if progress is True else None) if isinstance(progress, bool) else progress
    steps = [(name, seed) for name in scenarios for seed in numbers]
    for at, (name, seed) in enumerate(steps):
        if tell is not None:
            tell(at, len(steps), f"{name}, seed {seed}")
        if done.has(name, seed):
            continue
        done.add(
            name, seed, *_world(requests, contenders, wanted, scenarios[name], name, seed, hindsight, layouts, bounds)
        )
    if tell is not None:
        tell(len(steps), len(steps), "")
    return Replay(tuple(done.rows), tuple(done.goals), tuple(contenders), tuple(scenarios), tuple(numbers))


def _world(
    requests: Requests, contenders: Contenders, plan: Plan, scenario: Scenario, name: str, seed: int,
    gap: float | None, layouts: dict[int, Layout], bounds: dict[Any, Hindsight],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # fmt: skip
    """(metrics, goals) of all contenders in one world; `bounds` keeps those of worlds with the same requests."""
    rows, goals, worlds = [], [], {}
    for label, given in contenders.items():
        contender, first = given if isinstance(given, tuple) else (given, 0)
        policy = contender if isinstance(contender, Policy) else contender.policy
        if id(policy) not in layouts:
            layouts[id(policy)] = Layout(requests, policy)
        layout = layouts[id(policy)]
        if id(policy) not in worlds:
            worlds[id(policy)] = world_of(scenario, requests, plan, seed, layout.worth())
        world, known, key = worlds[id(policy)], None, (id(policy), seed, *scenario.demand)
        if gap is not None:
            if key not in bounds:
                bounds[key] = hindsight_of(layout, world, scenario, policy, gap)
            known = bounds[key]
        resolve = Doubling(first, layout, world, scenario, policy) if first else None
        trace = contend(contender, layout, world, scenario, seed, resolve)
        said = {"contender": label, "scenario": name, "seed": seed}
        rows.append(said | measured(trace, world, layout, layout.organic_best(), known))
        due, target = planned_at(world, trace.at), targets_of(world)
        for r, goal in enumerate(world.plan.goals):
            goals.append(
                said
                | {
                    "goal": str(goal), "floor": goal.floor, "cap": goal.cap, "target": target[r],
                    "delivered": trace.delivered[r], "exhausted": trace.exhausted[r], "at": trace.at.tolist(),
                    "planned": due[:, r].tolist(), "total": trace.totals[:, r].tolist(),
                    "price": trace.prices[:, r].tolist(),
                }
            )  # fmt: skip
    return rows, goals


class _Done:
    """What is done, in memory and in a file."""

    def __init__(self, path: AnyPath | None, call: list[Any]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.goals: list[dict[str, Any]] = []
        self._path = None if path is None else as_place(path)
        self._call = json.loads(json.dumps(jsonable(call)))
        if isinstance(self._path, Path) and not self._path.parent.is_dir():  # it is written after the first world
            raise InputError(f"replay(resume={shown(str(path))}): there is no directory {self._path.parent}.")
        if self._path is None or not self._path.exists():
            return
        try:
            found = from_json(text_at(self._path))
        except (ValueError, OSError) as error:
            raise InputError(
                f"replay(resume): {self._path} cannot be read ({reason_of(error)}); expected a file of an earlier call."
            ) from None
        if not isinstance(found, dict) or found.get("format") != _FORMAT or found.get("call") != self._call:
            raise InputError(
                f"replay(resume): {self._path} is of another replay; remove it, or pass what it was made with."
            )
        self.rows = [{k: math.nan if v is None else v for k, v in row.items()} for row in found["rows"]]
        self.goals = [_goal_of(goal) for goal in found["goals"]]

    def has(self, scenario: str, seed: int) -> bool:
        """Whether a world is done."""
        return any(row["scenario"] == scenario and row["seed"] == seed for row in self.rows)

    def add(self, scenario: str, seed: int, rows: list[dict[str, Any]], goals: list[dict[str, Any]]) -> None:
        """Keep what came of a world."""
        self.rows += rows
        self.goals += goals
        if self._path is not None:
            said = {"format": _FORMAT, "call": self._call, "rows": self.rows, "goals": self.goals}
            write_at(self._path, json.dumps(jsonable(said)))


def _goal_of(kept: dict[str, Any]) -> dict[str, Any]:
    """A goal as it was before it was written: a file has null for what is no finite number."""
    out = {name: _UNLIMITED.get(name) if value is None else value for name, value in kept.items()}
    return out | {"planned": [math.nan if due is None else due for due in kept["planned"]]}


def _checked(requests: object, contenders: object) -> list[Pacer]:
    if not isinstance(requests, Requests):
        raise InputError(f"replay(requests): expected oa.Requests, got {type(requests).__name__}.")
    if not isinstance(contenders, Mapping) or not contenders:
        raise InputError("replay(contenders): expected {name: policy or pacer}, at least one.")
    out = []
    for name, given in contenders.items():
        one, first = given if isinstance(given, tuple) and len(given) == 2 else (given, 1)
        if isinstance(given, tuple) and (not isinstance(one, Pacer) or (as_whole(first) or 0) < 1):
            raise InputError(f"replay(contenders): {shown(name)}: expected (pacer, how many requests before a solve).")
        if isinstance(one, Pacer):
            out.append(one)
        if not isinstance(one, (Policy, Pacer)):
            raise InputError(
                f"replay(contenders): {shown(name)} is {type(one).__name__}; expected oa.Policy or oa.Pacer."
            )
    return out


def _scenarios(given: object) -> dict[str, Scenario]:
    """The scenarios by name."""
    if given is None:
        return {"as recorded": Scenario()}
    found: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"scenario": given}
    wrong = [one for one in found.values() if not isinstance(one, Scenario)]
    if wrong or not found:
        what = f"got {type(wrong[0]).__name__}" if wrong else "there are none"
        raise InputError(f"replay(scenario): {what}; expected oa.Scenario, or {{name: oa.Scenario}}.")
    return found


def _check(plan: object, hindsight: object, progress: object) -> None:
    if not isinstance(plan, Plan):
        raise InputError(f"replay(plan): expected oa.Plan, got {type(plan).__name__}.")
    gap = as_real(hindsight)
    if hindsight is not None and (gap is None or not 0 < gap < math.inf):
        raise InputError(f"replay(hindsight={shown(hindsight)}): expected a relative gap above 0, or None.")
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise InputError(f"replay(progress={shown(progress)}): expected True, or a function of (done, all, next).")


def _seeds(seeds: object) -> list[int]:
    count = as_whole(seeds)
    if count is not None:
        found = list(range(count))
    else:
        given = list(seeds) if isinstance(seeds, Iterable) else []
        found = [-1 if (number := as_whole(one)) is None else number for one in given]
    if not found or min(found) < 0:
        raise InputError(f"replay(seeds={shown(seeds)}): expected a number of seeds >= 1, or whole numbers >= 0.")
    return found
