"""A pacer: a policy whose prices follow what has been delivered."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_flag, as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.controllers.registry import controller_of
from oasis_alloc.pacing.core import Core
from oasis_alloc.pacing.curves import Flat, RemainingShare
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.pacing.live import Live
from oasis_alloc.pacing.plan import Plan
from oasis_alloc.pacing.prepared import PreparedPacer
from oasis_alloc.pacing.recorder import Recorder
from oasis_alloc.pacing.resolving import Resolving
from oasis_alloc.pacing.rows import Rows
from oasis_alloc.pacing.saved import read_state, write_state
from oasis_alloc.pacing.served import ServedRequests
from oasis_alloc.pacing.sharing import Sharing
from oasis_alloc.policy import Policy
from oasis_alloc.serving.overlay import Overlay


@suggesting
class Pacer(ServedRequests, Sharing, Resolving):
    """A policy whose prices follow deliveries; safe under threads, one per process.

    Until something has been observed, scores, slates and explanations are those of the policy, bit for bit.

    Parameters
    ----------
    policy
        What serves; it has prices of the measures that the plan limits.
    plan
        `oa.Plan(...)`, or a solution with `start` and `end`: then `oa.Plan.of(solution, start, end)`.
    controller
        How prices move: "adaptive", "mirror", "entropic", "pi", "throttle" or "caps" (docs/pacing.md).
    options
        Numbers of the controller by name, such as `{"track": 0.02}`.
    schedule
        A forecast of arrivals: an `oa.Schedule`, or an object with a method `share(t0, t1, key)`. None: every second
        is alike.
    ledger
        An `oa.Ledger` by the key of the plan: `sync()` records in it what this pacer observes, reads the totals of all
        processes, and takes allowances of hard caps, which no number of processes exceeds. It is read at once; where it
        is unavailable, nothing with a hard cap is served until a `sync` reaches it.
    schedule_by
        True if the schedule has a curve per label; else it is asked for that of key None.
    requests
        How many requests are expected in the flight: sets the size of the first steps.
    replicas, replica
        How many processes share the hard caps, and which one this is, from 0. With a ledger, processes find each other:
        the number is only how many are expected.
    confirm
        True where what is served counts for sure only when it is confirmed. A confirmation of an event that this
        process did not serve is then one of another process.
    confirm_within, remember
        Seconds after which a delivery that is not confirmed counts as lost, and after which event ids are forgotten.
    day_starts
        When a day of `daily` caps starts, in seconds after midnight UTC.
    seed
        Of the draws of "throttle".
    clock
        What says the time where a call does not, in UNIX seconds.

    Raises
    ------
    InputError
        For a plan that does not fit the policy, and for numbers that cannot be.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"campaign": ["a", "b"]})
    >>> cap = (oa.exposure(by="campaign") <= {"a": 1.0}).named("cap")
    >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), cap, oa.Slate(1))).policy()
    >>> pacer = oa.Pacer(policy, oa.Plan("campaign", 0.0, 100.0, caps={"a": 10.0}), clock=lambda: 0.0)
    >>> pacer.score([0, 1], {"r": [0.9, 0.5]}).tolist() == policy.score([0, 1], {"r": [0.9, 0.5]}).tolist()
    True
    >>> pacer.observe({"a": 10.0}, event="order 1")
    True
    >>> pacer.tick(1.0)
    True
    >>> pacer.select([0, 1], {"r": [0.9, 0.5]}).tolist()
    [1]
    """

    def __init__(
        self,
        policy: Policy,
        plan: Plan,
        *,
        controller: str = "adaptive",
        options: Mapping[str, float] | None = None,
        schedule: RemainingShare | None = None,
        schedule_by: bool = False,
        ledger: Ledger | None = None,
        requests: float = 1e5,
        replicas: int = 1,
        replica: int = 0,
        confirm: bool = False,
        confirm_within: float = 900.0,
        remember: float = 86400.0,
        day_starts: float = 0.0,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(policy, Policy):
            raise InputError(f"Pacer(policy): expected oa.Policy, got {type(policy).__name__}.")
        if not isinstance(plan, Plan):
            raise InputError(
                f"Pacer(plan): expected oa.Plan, got {type(plan).__name__}; oa.Plan.of(solution, ...) makes one."
            )
        count, number = as_whole(replicas), as_whole(replica)
        if count is None or number is None or not 0 <= number < count:
            raise InputError(
                f"Pacer(replicas={shown(replicas)}, replica={shown(replica)}): expected 0 <= replica < replicas."
            )
        if not callable(clock):
            raise InputError(f"Pacer(clock={shown(clock)}): expected a function that returns UNIX seconds.")
        if options is not None and not isinstance(options, Mapping):
            raise InputError(f"Pacer(options={shown(options)}): expected {{name: number}}.")
        for name, flag in (("schedule_by", schedule_by), ("confirm", confirm)):
            as_flag(flag, name, "Pacer")
        if not math.isfinite(math.nan if (shift := as_real(day_starts)) is None else shift):
            raise InputError(f"Pacer(day_starts={shown(day_starts)}): expected seconds after midnight UTC.")
        for name, value in (("requests", requests), ("confirm_within", confirm_within), ("remember", remember)):
            given = as_real(value)
            if given is None or not 0 < given < math.inf:
                raise InputError(f"Pacer({name}={shown(value)}): expected a finite number above 0.")
        if schedule is not None and not callable(getattr(schedule, "share", None)):
            raise InputError(f"Pacer(schedule): {type(schedule).__name__} has no method share(t0, t1, key).")
        start = as_whole(seed)
        if start is None or not 0 <= start < 1 << 31:
            raise InputError(f"Pacer(seed={shown(seed)}): expected a whole number >= 0 and below 2^31.")
        self._given: dict[str, Any] = {
            "controller": controller, "options": dict(options or {}), "schedule": schedule, "schedule_by": schedule_by,
            "ledger": ledger,
            "requests": requests, "replicas": count, "replica": number, "confirm": bool(confirm),
            "confirm_within": float(confirm_within), "remember": float(remember), "day_starts": float(day_starts),
            "seed": start, "clock": clock,
        }  # fmt: skip
        self.policy, self.plan = policy, plan
        rows = Rows(plan.goals, policy.data)
        keys = [goal.label if schedule_by else None for goal in plan.goals]
        moves = controller_of(controller, self._given["options"], float(requests))
        self._live = Live(policy, rows)
        self._core = Core(
            rows, self._live, moves, Flat() if schedule is None else schedule, keys, float(requests), count, number,
            self._given["day_starts"], self._given["confirm"],
        )  # fmt: skip
        self._core.draws = start << 32
        Resolving.__init__(self)
        Sharing.__init__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.policy, self.plan, self._given, self.state())

    def __repr__(self) -> str:
        return f"Pacer({self.policy.policy_id}, {self.plan!r}, {self._given['controller']})"

    def tick(self, now: float | None = None) -> bool:
        """Move prices by what has been observed since the last tick; whether other prices are served now.

        To be called every few seconds by one thread, with UNIX seconds; requests go on meanwhile. A time before that of
        the last tick changes nothing and is counted. The first tick begins the count.

        Raises `InputError` for a time that is not a finite number.
        """
        at = self._time("tick", now)
        with self._core.lock:
            self._expire(at)
            self._take_resolved()
            return self._core.tick(at)

    @property
    def prices(self) -> dict[Any, float]:
        """{label: price} of the goals, as served now; with several measures, {(measure, label): price}."""
        found = self._live.price.tolist()
        goals = self.plan.goals
        one = len({goal.terms for goal in goals}) == 1
        return {goal.label if one else goal.name: price for goal, price in zip(goals, found, strict=True)}

    def overlay(self) -> Overlay:
        """What differs from the policy now: for `policy.overlaid(...)` in other processes, and for hosts on the JVM."""
        with self._core.lock:
            return self._live.overlay(self._given["clock"]())

    def prepare(self, max_candidates: int, k: int | None = None) -> PreparedPacer:
        """Buffers for the shortest request path; see `Policy.prepare`. For one thread; make one for each.

        Returns
        -------
        PreparedPacer
            As of `Policy.prepare`, and `observe(shown)`: counts the first `shown` of `positions` as served. `user` is
            of `pacer.user(...)`, and stays valid when prices change.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"campaign": ["a", "b"]})
        >>> cap = (oa.exposure(by="campaign") <= 1.0).named("cap")
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), cap, oa.Slate(1))).policy()
        >>> pacer = oa.Pacer(policy, oa.Plan("campaign", 0.0, 100.0, caps={"a": 10.0}))
        >>> hot, anyone = pacer.prepare(max_candidates=100), pacer.user()
        >>> hot.items[:2], hot.columns[:, :2] = [0, 1], [[0.2, 0.5]]
        >>> hot.observe(hot.select(2, anyone))
        >>> pacer.delivered()
        {'a': 0.0}
        """
        return PreparedPacer(self, max_candidates, k)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs besides policy and plan, as plain lists, texts and numbers."""
        with self._core.lock:
            names = [[[list(map(_listed, term)) for term in goal.terms], repr(goal.label)] for goal in self.plan.goals]
            queue = {} if self._recorder is None else {"recorder": self._recorder.state(self._core.requests)}
            return {"policy_id": self.policy.policy_id, "goals": names, **queue, **self._core.state()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, which appears whole or not at all; at any moment, also while requests run."""
        write_state(path, self.state())

    def restore(self, path: str | os.PathLike[str] | Mapping[str, Any]) -> None:
        """Go on from a saved state of the same policy and plan; raises `InputError` for that of another."""
        if not isinstance(path, (str, os.PathLike, Mapping)):
            raise InputError(f"restore(): expected a path or what state() returned, got {type(path).__name__}.")
        state = dict(path) if isinstance(path, Mapping) else read_state(path)
        if state.get("policy_id") != self.policy.policy_id:
            raise InputError(
                f"restore(): the state is of policy {state.get('policy_id')}, and this is {self.policy.policy_id}; "
                "carry prices and accounts over by replace(policy, plan)."
            )
        with self._core.lock:
            if state.get("goals") != self.state()["goals"]:
                raise InputError(
                    "restore(): the state is of a plan with other goals; expected the same goals in the same order."
                )
            self._check_restorable(state)
            self._core.restore(state)
            if self._recorder is not None and "recorder" in state:
                self._recorder.restore(state["recorder"])

    def _check_restorable(self, state: Mapping[str, Any]) -> None:
        """Restore into a pacer that nobody serves with, so that a state that is damaged changes nothing here."""
        trial, n = Pacer(self.policy, self.plan, **(self._given | {"ledger": None})), self._core.rows.n
        try:
            trial._core.restore(dict(state))
            core = trial._core
            accounts, live = core.accounts, core.live
            numbers: list[Any] = [
                core.price, core.last_delivered, accounts.confirmed, accounts.pending, live.price, live.stopped
            ]  # fmt: skip
            fits = all(one.shape == (n,) and np.isfinite(one).all() for one in numbers)
            if self._recorder is not None and "recorder" in state:
                Recorder(self._recorder.ledger, core.rows, False, float).restore(state["recorder"])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"restore(): the state is damaged or of another version ({type(error).__name__}: {error}); expected "
                "what pacer.state() or pacer.save() of this version gave."
            ) from None
        if not fits:
            raise InputError(f"restore(): prices or totals of the state are not {n} finite numbers, one per goal.")

    def replace(self, policy: Policy | None = None, plan: Plan | None = None) -> Pacer:
        """A pacer for the next policy or plan, with the accounts and prices of goals that go on, found by key.

        Goals that are new begin at the policy's prices with nothing delivered; a goal whose flight starts later begins
        a new account. With a ledger, the allowances go over as well, and this pacer has none any more.
        """
        ledger = self._given["ledger"]
        other = Pacer(policy or self.policy, plan or self.plan, **(self._given | {"ledger": None}))
        other._given["ledger"] = ledger
        with self._core.lock:
            events = [] if ledger is None else self._handed_over()
            other._core.take_over(self._core)
            if ledger is not None:
                other._attach(ledger, self, events)
        return other

    def warmup(self) -> dict[str, float]:
        """Compile, or load from the cache, everything that requests run; after it nothing compiles."""
        from oasis_alloc.pacing.warm import warmup

        return warmup(self.policy)

    def stats(self) -> dict[str, Any]:
        """Counts of what happened: ticks, steps, clock steps, events that came twice, failed reads of totals ..."""
        core, follower, recorder = self._core, self._follower, self._recorder
        at_end = (core.price != 0) & ((core.price == core.rows.low) | (core.price == core.rows.high))
        return {
            "ticks": core.ticks, "steps": core.steps, "clock_steps": core.clock_steps, "requests": core.requests,
            "versions": self._live.version, "stopped": int(self._live.stopped.sum()),
            "at_bound": int(at_end.sum()),
            "duplicates": core.accounts.duplicates, "forgotten": core.accounts.forgotten,
            "confirmed_share": core.accounts.rate, "failed_reads": follower.failed,
            "failed_in_a_row": follower.in_a_row,
            "last_error": follower.last_error, "failed_solves": self._failed_solves,
            "queued_events": 0 if recorder is None else len(recorder.queue),
            "refused_events": 0 if recorder is None else recorder.refused,
        }  # fmt: skip

    def _time(self, call: str, now: object) -> float:
        at = as_real(self._given["clock"]() if now is None else now)
        if at is None or not math.isfinite(at):
            raise InputError(f"{call}(now={shown(now)}): expected UNIX seconds, a finite number.")
        return at


def _listed(part: object) -> object:
    return list(part) if isinstance(part, tuple) else part


def _again(policy: Policy, plan: Plan, given: dict[str, Any], state: dict[str, Any]) -> Pacer:
    pacer = Pacer(policy, plan, **given)
    pacer.restore(state)
    return pacer
