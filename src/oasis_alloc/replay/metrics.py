"""Numbers of one contender in one world."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.curves import ExpectedArrivals, curve_of
from oasis_alloc.pacing.targets import part
from oasis_alloc.replay.hindsight import Hindsight, gained
from oasis_alloc.replay.run import Trace
from oasis_alloc.replay.scenario import World
from oasis_alloc.replay.stream import Layout

_SMALL = 1e-12


def targets_of(world: World) -> Floats:
    """(n_goals,) what each goal was to deliver: its floor, or its cap where it has none."""
    requests = world.order.size
    return np.array(
        [
            (g.floor if math.isfinite(g.floor) else g.cap) * (requests if g.per_request else 1.0)
            for g in world.plan.goals
        ]
    )


def planned_at(world: World, at: Floats) -> Floats:
    """(n_samples, n_goals) what was due at some times by the forecast and the mode; NaN where a flight has no limit."""
    forecast = ExpectedArrivals(world.forecast, world.step, world.start)
    out = np.full((at.size, len(world.plan.goals)), np.nan)
    target = targets_of(world)
    known: dict[tuple[float, float], list[float]] = {}
    for r, goal in enumerate(world.plan.goals):
        if not math.isfinite(target[r]):
            continue
        curve, flight = curve_of(goal.mode), (goal.start, goal.end)
        if flight not in known:
            known[flight] = [part(forecast, goal.start, t, goal.end, None) for t in at.tolist()]
        shares = known[flight]
        out[:, r] = target[r] * np.array([curve(s) for s in shares])
    return out


def measured(trace: Trace, world: World, layout: Layout, best: Floats, hindsight: Hindsight | None) -> dict[str, float]:
    """Every metric by name; docs/replay.md says what each is."""
    target = targets_of(world)
    budgets = np.array([not g.per_request and math.isfinite(t) for g, t in zip(world.plan.goals, target, strict=True)])
    ratio = trace.delivered[budgets] / np.maximum(_asked(trace.delivered, world, target)[budgets], _SMALL)
    planned = planned_at(world, trace.at)[:, budgets] / np.maximum(target[budgets], _SMALL)
    really = trace.totals[:, budgets] / np.maximum(target[budgets], _SMALL)
    steps = np.diff(really, axis=0)
    ideal = np.diff(planned, axis=0)
    caps = np.array([g.cap for g in world.plan.goals])
    hard = np.array([math.isfinite(g.cap) and not (g.soft or g.per_request) for g in world.plan.goals])
    over_cap = np.where(hard, trace.delivered - np.where(hard, caps, 0.0), 0.0)
    length = world.end - world.start
    moved = np.abs(np.diff(trace.prices, axis=0)).sum(axis=0)
    value = gained(trace, world.plan, world.order.size)
    had = trace.gained[:, 1]
    could = best[world.order]
    lost = 1.0 - had / np.maximum(could, _SMALL)
    few = max(1, lost.size // 20)
    worst = np.sort(np.partition(lost, lost.size - few)[-few:]) if lost.size else lost
    out = {
        "delivery ratio": float(ratio.mean()) if ratio.size else math.nan,
        "within 5 %": float((np.abs(ratio - 1.0) <= 0.05).mean()) if ratio.size else math.nan,
        "under-delivery": float(np.maximum(1.0 - ratio, 0.0).mean()) if ratio.size else math.nan,
        "over-delivery": float(np.maximum(ratio - 1.0, 0.0).mean()) if ratio.size else math.nan,
        "above hard caps": float(over_cap.max(initial=0.0)),
        "error against plan": float(np.sqrt(((really - planned) ** 2).mean())) if ratio.size else math.nan,
        "smoothness": float(np.sqrt(((steps - ideal) ** 2).mean(axis=0)).mean()) if steps.size else math.nan,
        "out before the last hour": int((trace.exhausted < world.end - min(3600.0, length / 24.0)).sum()),
        "exhaustion time": (min(float(trace.exhausted.min(initial=math.inf)), world.end) - world.start) / length,
        "value": value,
        "relevance loss": float(1.0 - had.sum() / max(could.sum(), _SMALL)),
        "relevance loss of the worst 5 %": float(worst.mean()),
        "price variation": float(moved.mean()),
        "decisions per second": world.order.size / max(trace.seconds, 1e-9),
    }
    if hindsight is not None:
        out |= {
            "regret": hindsight.bound - value,
            "share of hindsight": value / hindsight.bound if hindsight.bound else math.nan,
            "hindsight gap": hindsight.gap,
        }  # fmt: skip
    return out | exposure_of(trace, layout)


def _asked(delivered: Floats, world: World, target: Floats) -> Floats:
    """(n_goals,) the nearest amount that was asked for: anything from the floor to the cap where there are both."""
    floors, caps = (np.array([getattr(g, name) for g in world.plan.goals]) for name in ("floor", "cap"))
    return np.where(np.isfinite(floors) & np.isfinite(caps), np.clip(delivered, floors, caps), target)


def exposure_of(trace: Trace, layout: Layout) -> dict[str, float]:
    """How the showings are spread over items and, where items have one category each, within slates."""
    known = layout.numbers >= 0
    counts = np.sort(np.bincount(layout.numbers[known], trace.times[known], minlength=layout.policy.data.n_items))
    n, total = counts.size, counts.sum()
    gini = float((2.0 * np.arange(1, n + 1) - n - 1.0) @ counts / max(n * total, _SMALL))
    tenth = max(1, n // 10)
    out: dict[str, Any] = {
        "exposure gini": gini, "exposure of the worst off": float(counts[0]),
        "exposure of the smallest decile": float(counts[:tenth].sum() / max(total, _SMALL)),
    }  # fmt: skip
    return out | diversity_of(trace, layout)


def diversity_of(trace: Trace, layout: Layout) -> dict[str, float]:
    """Of the first key of the items with one label each: distance inside slates, entropy, distance to the offer."""
    if not layout.codes_of_items.size or not trace.gained.size:
        return {}
    offered = layout.offered()
    got = np.bincount(layout.codes_of_items + 1, trace.times, offered.size)
    p, q = got / max(got.sum(), _SMALL), offered / offered.sum()
    alike, pairs = trace.apart.tolist()
    return {
        "intra-list distance": 1.0 - alike / max(pairs, 1.0),
        "category entropy": float(-(p[p > 0] * np.log(p[p > 0])).sum()),
        "calibration": float(0.5 * np.abs(p - q).sum()),
    }
