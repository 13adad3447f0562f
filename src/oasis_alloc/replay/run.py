"""One contender through one world: ticks, synchronization, confirmations that come late, and what was shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.core import Core
from oasis_alloc.pacing.curves import ExpectedArrivals
from oasis_alloc.pacing.pacer import Pacer
from oasis_alloc.pacing.rows import STOP
from oasis_alloc.pacing.targets import HOUR
from oasis_alloc.policy import Policy
from oasis_alloc.replay.allowances import Allowances
from oasis_alloc.replay.ledger import Confirmations
from oasis_alloc.replay.scenario import Scenario, World
from oasis_alloc.replay.stream import Layout

Resolve = Callable[[Core, float, int], None]

_SAMPLES = 200  # prices and totals that are kept over the flight
_APART = 20_000  # slates whose items are compared with each other, about


@dataclass(frozen=True, eq=False)
class Trace:
    """What happened: slates, totals, prices."""

    shown: npt.NDArray[np.int64]  # (n, size) pairs, -1 behind the end; (0, size) where nobody asked for them
    gained: Floats  # (n, 2) objective and organic column of what was shown
    times: npt.NDArray[np.int64]  # (n_items,) showings of each item of the requests
    apart: npt.NDArray[np.int64]  # (2,) in a sample of the slates: pairs of items of one category, and pairs
    delivered: Floats  # (n_goals,) confirmed in the end
    served: Floats  # (n_goals,) whether confirmed or not
    at: Floats  # (n_samples,) times
    totals: Floats  # (n_samples, n_goals) served by then
    prices: Floats  # (n_samples, n_goals)
    exhausted: Floats  # (n_goals,) when nothing was left; infinite where something was
    seconds: float  # in the kernel
    stats: dict[str, Any]


def contend(
    contender: Policy | Pacer, layout: Layout, world: World, scenario: Scenario, seed: int,
    resolve: Resolve | None = None, slates: bool = False,
) -> Trace:  # fmt: skip
    """Play a world. A policy serves at its prices and knows no caps; a pacer is made again for this world.

    `resolve` is called at every tick with the pacer's core, the time and how many requests have come; it may replace
    prices. With `slates`, the trace has every slate.
    """
    from time import perf_counter

    from oasis_alloc.kernels.serve import play as kernel

    is_static = isinstance(contender, Policy)
    pacer = _paced(contender, world, scenario)
    core, live = pacer._core, pacer._live
    rows = core.rows
    kinds = layout.kinds(live)
    n_goals, n_replicas, n, step = rows.n, scenario.replicas, world.order.size, scenario.step
    indptr, cells, amount = _uses(kinds)
    stream, pricing = _inputs(layout, world)
    used, room = np.zeros((n_replicas, n_goals)), np.full((n_replicas, n_goals), np.inf)
    tables = np.empty((n_replicas * len(kinds), len(layout.policy._scorer.formula.columns), layout.n_classes))
    uses = tables, indptr, cells, amount
    shown = _shown(layout, n, slates)
    ledger, allowances = Confirmations(scenario, n_goals, seed, step), Allowances(rows, core.rooms, n_replicas)
    ticks = np.arange(world.start, world.end, step)
    ends = np.append(np.searchsorted(world.time, ticks[1:], side="left"), n)
    samples = np.unique(np.linspace(0, ticks.size - 1, min(_SAMPLES, ticks.size)).astype(int))
    at, totals, prices = ticks[samples], np.zeros((samples.size, n_goals)), np.zeros((samples.size, n_goals))
    exhausted, seconds, place, first = np.full(n_goals, np.inf), 0.0, 0, 0
    death = np.inf if scenario.dies is None else world.start + scenario.dies * (world.end - world.start)
    is_quiet, is_settled = _quiet(ticks, ends, core, scenario, death), False
    here, left = np.arange(n_replicas), np.full(n_goals, np.inf)
    for t, (now, last) in enumerate(zip(ticks.tolist(), ends.tolist(), strict=True)):
        n_live = n_replicas - (now >= death)
        if is_quiet[t]:
            core.rest(now)
            if not is_static and not is_settled and _grant(allowances, room, used, here, [], n_live, left):
                _lay_out(core, kinds, room, here, *uses)
            else:
                is_settled = True
        else:
            here = _reporting(scenario, core, t, now, now >= death)
            some: Any = slice(None) if here.size == n_replicas else here  # of all, views are enough
            ledger.serve(used[some].sum(axis=0), now - 0.5 * step)
            if not is_static:
                began = core.rooms.began.copy()
                _synchronize(core, ledger, now, first)
                if resolve is not None:
                    resolve(core, now, first)
                core.tick(now)
                left = core.rooms.left(core.accounts.at_most())
                if n_replicas == 1:
                    room[0], is_settled = core.rooms.share(left, 1, 0), True
                else:
                    allowances.give_back(ledger.lost_now)
                    rolled = np.flatnonzero(core.rooms.began > began).tolist() if t > 0 else []
                    is_settled = not _grant(allowances, room, used, here, rolled, n_live, left)
                gone = core.rooms.stopped(now, left)
                exhausted[gone & (exhausted == np.inf) & (now >= rows.start) & (now < rows.end)] = now
            used[some] = 0.0
            if t == 0 or not is_static:
                _lay_out(core, kinds, room, here, *uses)
        if place < samples.size and samples[place] == t:
            totals[place], prices[place] = ledger.served + ledger.unheard + used.sum(axis=0), live.price
            place += 1
        if last > first:
            rates = np.zeros(0) if core.rates is None else core.rates
            stops = core.rooms.least, STOP * rows.scale
            factor = drift_at(scenario, world, now)
            fleet = kernel.Fleet(tables, indptr, cells, amount, used, room, *stops, rates, factor)
            started = perf_counter()
            kernel.play(first, last, stream, pricing, fleet, shown)
            seconds += perf_counter() - started
        if now <= death < now + step:
            ledger.unheard += used[0]
            used[0] = 0.0
        first = last
    ledger.serve(used.sum(axis=0), world.end)
    ledger.finish()
    return Trace(
        shown.slates, shown.gained, shown.times, shown.apart, ledger.confirmed + ledger.unheard,
        ledger.served + ledger.unheard, at, totals, prices, exhausted, seconds, pacer.stats(),
    )  # fmt: skip


def _inputs(layout: Layout, world: World) -> tuple[Any, Any]:
    """What the kernel reads of requests, and of how a policy scores and picks."""
    from oasis_alloc.kernels.serve import play as kernel

    stream = kernel.Stream(
        world.order, world.replica, layout.kind, layout.indptr, layout.items, layout.columns, layout.catalog
    )
    return stream, kernel.Pricing(
        layout.blend, layout.of_item, layout.rules, layout.costs, layout.size, layout.min_size, layout.organic
    )


def _shown(layout: Layout, n: int, slates: bool) -> Any:
    """Where the kernel writes what metrics read of n slates."""
    from oasis_alloc.kernels.serve import play as kernel

    return kernel.Shown(
        np.empty((n if slates else 0, layout.size), np.int64), np.empty((n, 2)),
        np.zeros(layout.numbers.size, np.int64), layout.codes_of_items, np.zeros(2, np.int64), max(1, n // _APART),
    )  # fmt: skip


def _quiet(
    ticks: Floats, ends: npt.NDArray[np.int64], core: Core, scenario: Scenario, death: float
) -> npt.NDArray[np.bool_]:
    """(n_ticks,) whether no request has come since the last tick, and no goal, hour or replica begins or ends.

    Such a tick changes nothing where all replicas report at the same moment, and reports are certain and come once.
    """
    if scenario.stages > 1 or scenario.is_confirmed_late or scenario.duplicates > 0:
        return np.zeros(ticks.size, np.bool_)
    came = np.diff(ends, prepend=0)
    edges = np.sort(np.concatenate([core.rows.start, core.rows.end, [death]]))
    passed = np.searchsorted(edges, ticks, side="right")
    hour = np.floor((ticks - core.targets.day_starts) / HOUR)
    same = (np.diff(passed) == 0) & (np.diff(hour) == 0) & (came[:-1] == 0)
    return np.concatenate([[False], same])


def drift_at(scenario: Scenario, world: World, now: float) -> float:
    """The factor of the organic column of promoted items in the interval that begins now."""
    return 1.0 + scenario.drift * (now - world.start) / (world.end - world.start)


def _paced(contender: Policy | Pacer, world: World, scenario: Scenario) -> Pacer:
    how: dict[str, Any] = {
        "schedule": ExpectedArrivals(world.forecast, world.step, world.start), "schedule_by": False,
        "requests": world.expected, "replicas": 1, "replica": 0, "ledger": None,
        "confirm": scenario.is_confirmed_late, "clock": float,
    }  # fmt: skip
    if isinstance(contender, Policy):
        return Pacer(contender, world.plan, **how)
    if contender._given["schedule"] is not None:
        del how["schedule"], how["schedule_by"]
    return Pacer(contender.policy, world.plan, **(contender._given | how))


def _uses(kinds: list[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """The uses of all kinds of users behind each other."""
    offsets = np.cumsum([0, *(kind.uses.amount.size for kind in kinds)])
    indptr = np.stack([kind.uses.indptr + offset for kind, offset in zip(kinds, offsets, strict=False)])
    cells = np.concatenate([kind.uses.cells for kind in kinds], axis=1)
    return indptr, np.ascontiguousarray(cells), np.concatenate([kind.uses.amount for kind in kinds])


def _synchronize(core: Any, ledger: Confirmations, now: float, requests: int) -> None:
    """What a pacer reads from its ledger at a tick."""
    ledger.advance(now)
    accounts = core.accounts
    accounts.confirmed, accounts.pending = ledger.confirmed.copy(), ledger.pending()
    accounts.good, accounts.lost = ledger.good, ledger.lost
    core.requests = requests


def _reporting(scenario: Scenario, core: Core, t: int, now: float, is_dead: bool) -> npt.NDArray[np.int64]:
    """The replicas that synchronize at a tick, in turns: all at the first, and where a day or an hour begins."""
    all_of_them = np.arange(int(is_dead), scenario.replicas)
    if scenario.replicas == 1:
        return all_of_them
    begins = core.targets.has_windows and core.targets.window(now, HOUR) > core.rooms.began[1]
    stage, stages = t % scenario.stages, scenario.stages
    mine = all_of_them if t == 0 or begins or stages == 1 else all_of_them[all_of_them % stages == stage]
    cut = mine.size - t // stages % max(mine.size, 1)  # `np.roll`, which takes ten times as long
    return np.concatenate([mine[cut:], mine[:cut]])


def _grant(
    allowances: Allowances, room: Floats, used: Floats, here: npt.NDArray[np.int64], rolled: list[int], live: int,
    left: Floats,
) -> bool:  # fmt: skip
    """Have replicas report what they delivered and take more; of days and hours that have begun, too.

    `left` is what all of them have left. Returns whether any replica has another allowance now.
    """
    changed = allowances.sync(here, used[here], live)
    for window in rolled:
        allowances.roll(window)
    if rolled:
        changed = allowances.sync(here, np.zeros((here.size, used.shape[1])), live) or changed
    room[here] = np.minimum(allowances.left(here), left)
    return changed


def _lay_out(
    core: Core, kinds: list[Any], room: Floats, here: npt.NDArray[np.int64], tables: Floats,
    indptr: npt.NDArray[np.int64], cells: npt.NDArray[np.int64], amount: Floats,
) -> None:  # fmt: skip
    """Give replicas the prices of now. What has no room in one of them is stopped there; goals without caps are not."""
    from oasis_alloc.kernels.serve.play import stop_some

    by_replica = tables.reshape(room.shape[0], len(kinds), *tables.shape[1:])
    some: Any = slice(None) if here.size == room.shape[0] else here
    for k, kind in enumerate(kinds):
        by_replica[some, k] = kind.user.table
    stops = (room[here] < core.rooms.least) & ~core.live.stopped
    if stops.any():
        stop_some(stops, here, tables, indptr, cells, amount, STOP * core.rows.scale)
