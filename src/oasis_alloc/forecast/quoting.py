"""One quote: found, priced, proven as far as asked, and put into words of the caller."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.certified import Asked, prove, width_of
from oasis_alloc.forecast.displacement import changes_of, main_by_pair
from oasis_alloc.forecast.exchanges import Exchanged, Exchanges
from oasis_alloc.forecast.limiting import limits_at, limits_that_stop
from oasis_alloc.forecast.quote_base import Found, QuoteBase, base_of, base_with, find
from oasis_alloc.forecast.quote_request import QuoteRequest
from oasis_alloc.forecast.quote_result import Availability, Bracket, Quote, Relevance, SupplyCurve
from oasis_alloc.forecast.quote_target import Target
from oasis_alloc.forecast.streamed_base import in_memory
from oasis_alloc.forecast.supply import Supply, by_user_key, most_units, supply_of
from oasis_alloc.results.shadow_prices import main_column

if TYPE_CHECKING:
    from oasis_alloc.solution import Solution

_POINTS = 65  # of a curve
_REACHED = 1e-9  # of what is wanted, that may be missing


@dataclass(frozen=True, eq=False)
class _Known:
    """What the prices say, before anything is proven beyond them."""

    base: QuoteBase
    found: Found
    supply: Supply
    room: float  # impressions in all that slates have room for
    most: float  # the same under caps
    asked: float  # impressions in all that are asked for
    far: tuple[float, float] = (0.0, 0.0)  # impressions on top that exchanges deliver at most, and their proven cost


def quoted_one(
    solution: Solution, request: QuoteRequest, target: Target, certify: bool, gap: float, threads: int | None
) -> Quote:
    started = time.perf_counter()
    base = base_of(solution, threads)
    if target.candidates is not solution.problem.candidates:
        base = base_with(solution, base, target.candidates, threads)
    with base.lock:
        if base.program.stream is not None:
            base = in_memory(base, target)
        quoted = _from(base, solution, request, target, certify, gap, threads)
    return replace(quoted, seconds=time.perf_counter() - started, _threads=threads)


def _from(
    base: QuoteBase, solution: Solution, request: QuoteRequest, target: Target, certify: bool, gap: float,
    threads: int | None,
) -> Quote:  # fmt: skip
    found = find(base, target.items, target.users)
    if not found.mine.size:
        raise ProblemError(
            f"quote {target.name!r}: no user among these has its items as candidates, so it can have no "
            "impressions. Add candidates for it (pairs=...), or ask for other users."
        )
    room, most = most_units(base, found)
    units = 0.0 if request.units is None else float(request.units)
    if found.now + units > room * (1.0 + 1e-9):
        raise ProblemError(
            f"quote {target.name!r}: {units:,.6g} more units are asked for, and the slates of its candidates have room "
            f"for {max(0.0, room - found.now):,.6g} more ({room:,.6g} in all, of which the plan has {found.now:,.6g})."
        )
    supply = supply_of(base, found, partial(main_by_pair, base), threads)
    known = _Known(base, found, supply, room, most, found.now + units)
    exchanges = Exchanges(base, found)
    reached = exchanges.gain(units) if units > 0.0 else None
    furthest = exchanges.gain(np.inf)
    if (value := base.changed_value(found.pairs, found.x, furthest.x)) is not None:
        known = replace(known, far=(furthest.gained, base.bound - value))
    quoted = _immediate(solution, request, target, known, units, reached, furthest.stopped)
    if not certify:
        return quoted
    if quoted.feasible is False or (units <= 0.0 and base.is_solved) or _is_content(quoted, base, gap):
        return replace(quoted, level="certified")  # caps alone prove it, or there is nothing left to prove
    return _certified(quoted, known, solution, gap, threads)


def _is_content(quoted: Quote, base: QuoteBase, gap: float) -> bool:
    """Whether exchanges and the prices of the plan prove the cost as closely as a certified quote has to.

    With new items the bound at the prices of the plan is far from what can be reached, so that says nothing.
    """
    open_width = quoted.cost.high - quoted.cost.low - max(0.0, base.bound - base.allocation.value)
    return base.is_solved and quoted.feasible is True and open_width <= width_of(base, gap)


def _immediate(
    solution: Solution, request: QuoteRequest, target: Target, known: _Known, units: float, reached: Exchanged | None,
    stopped: Floats,
) -> Quote:  # fmt: skip
    base, found, supply = known.base, known.found, known.supply
    most = max(0.0, known.most - found.now)
    least_most = min(known.far[0], most)
    feasible: bool | None = True
    cost, change = Bracket(0.0, 0.0, 0.0), np.zeros(found.pairs.size)
    if reached is None and not base.is_solved:  # new items can add value without a promise
        cost = _verdict(known, float(_low(known, np.array([known.asked]))[0]), base.allocation.value)[1]
    if reached is not None:
        x, changed = reached.x, None
        if reached.gained >= units * (1.0 - _REACHED):
            changed = base.changed_value(found.pairs, found.x, x)
        low = _low(known, np.array([known.asked]))[0]
        feasible, cost = _verdict(known, float(low), changed)
        change = np.zeros(found.pairs.size) if feasible is False else x - found.x
        stopped = reached.stopped if reached.stopped.any() else stopped
    changes = changes_of(base, found.pairs, change * found.units)
    price = float(supply.price_of(np.array([known.asked]))[0]) if feasible is not False else np.inf
    at = request.max_price
    main = main_column(base.problem)
    return Quote(
        request=request,
        name=target.name,
        level="immediate",
        units_now=found.now,
        units=units,
        cost=cost,
        feasible=feasible,
        price=price,
        relevance=Relevance(None if main is None else main[0], changes.lost),
        max_units=Bracket(least_most, 0.5 * (least_most + most), most),
        units_at_price=None if at is None else float(np.clip(supply.units_at(float(at)) - found.now, 0.0, most)),
        curve=_curve(known, units, cost.high, most),
        groups=_groups(base, found, change),
        displaced=changes.displaced,
        gained=changes.gained,
        limits=limits_that_stop(base, stopped),
        seconds=0.0,
        passes=float(found.users.size) / max(1, base.n_users),
        solution=solution,
        _problem=base.problem,
        _target=target,
    )


def _verdict(known: _Known, low: float, changed: float | None) -> tuple[bool | None, Bracket]:
    """(whether the units can be delivered, what they cost) from a lower bound and an allocation that delivers them."""
    if known.asked > known.most * (1.0 + 1e-9) or not np.isfinite(low):
        return False, Bracket(np.inf, np.inf, np.inf)
    estimate = float(known.supply.cost_of(np.array([known.asked]))[0]) + known.base.allocation.value - known.supply.dual
    if changed is None:
        return None, Bracket(low, max(low, estimate), np.inf)
    high = max(low, known.base.bound - changed)
    return True, Bracket(low, float(np.clip(known.base.allocation.value - changed, low, high)), high)


def _low(known: _Known, asked: Floats) -> Floats:
    """The proven least cost of impressions in all."""
    base = known.base
    low = known.supply.cost_of(asked) + base.allocation.value - known.supply.dual
    return np.maximum(low, 0.0) if base.is_solved else low  # a promise cannot add value, new items can


def _curve(known: _Known, units: float, high: float, most: float) -> SupplyCurve:
    """Costs from no impression to the maximum; what is proven from above lies on chords, as costs are convex."""
    at = np.unique(np.append(np.linspace(0.0, most, _POINTS), min(units, most)))
    whole = known.found.now + at
    low, price = _low(known, whole), known.supply.price_of(whole)
    base = known.base
    nothing = max(0.0, base.bound - base.allocation.value)
    proven = {0.0: nothing, known.far[0]: max(nothing, known.far[1])}
    if np.isfinite(high) and units > 0.0:
        proven[units] = high
    ends = np.array(sorted(proven))
    above = np.interp(at, ends, [proven[end] for end in ends.tolist()], right=np.inf)
    above[(at > ends[-1]) & (at <= ends[-1] * (1.0 + 1e-9))] = proven[float(ends[-1])]
    lost = known.supply.relevance_of(whole) - float(known.supply.relevance_of(np.array([known.found.now]))[0])
    return SupplyCurve(at, price, low, np.maximum(above, low), lost)


def _groups(base: QuoteBase, found: Found, change: Floats) -> dict[str, tuple[Availability, ...]]:
    rows = by_user_key(base, found, change * found.units)
    return {key: tuple(Availability(*row) for row in of) for key, of in rows.items()}


def _certified(quoted: Quote, known: _Known, solution: Solution, gap: float, threads: int | None) -> Quote:
    base, found = known.base, known.found
    price = quoted.price if np.isfinite(quoted.price) else float(known.supply.price[-1])
    least = float(known.supply.cost_of(np.array([known.asked]))[0])
    asked = Asked(known.asked, price, known.supply.dual - least)
    proof = prove(base, found, asked, gap, solution._kept, threads)
    if proof.bound == -np.inf:
        never = Bracket(np.inf, np.inf, np.inf)
        lost = quoted.relevance._replace(lost=0.0)
        return replace(
            quoted, level="certified", cost=never, feasible=False, price=np.inf, displaced=(), gained=(),
            relevance=lost, limits=limits_at(base, found, proof) or quoted.limits,
            max_units=quoted.max_units._replace(high=min(quoted.max_units.high, quoted.units)),
        )  # fmt: skip
    low = max(quoted.cost.low, base.allocation.value - proof.bound)
    high = min(quoted.cost.high, base.bound - proof.value)
    if not np.isfinite(proof.value):
        open_cost = Bracket(low, max(low, quoted.cost.mid), high)
        return replace(quoted, level="certified", cost=open_cost, passes=proof.passes)
    changes = changes_of(base, proof.pairs, proof.change * base.units(proof.pairs))
    ours = np.zeros(found.pairs.size)
    ours[found.member] = proof.campaign - found.x[found.member]
    mid = float(np.clip(base.allocation.value - proof.value, low, max(low, high)))
    cost = Bracket(low, mid, max(low, high))
    starts = {block.name: proof.prices[:-1][block.rows] for block in base.program.blocks}
    return replace(
        quoted, level="certified", cost=cost, feasible=True, price=max(0.0, -float(proof.prices[-1])),
        relevance=quoted.relevance._replace(lost=changes.lost), displaced=changes.displaced, gained=changes.gained,
        groups=_groups(base, found, ours), limits=limits_at(base, found, proof),
        curve=_curve(known, quoted.units, cost.high, quoted.max_units.high),
        max_units=quoted.max_units._replace(low=max(quoted.max_units.low, quoted.units)),
        passes=quoted.passes + proof.passes, _start={**starts, "": proof.prices[-1:]},
    )  # fmt: skip
