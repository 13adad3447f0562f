"""Layer 0 of the gate: counts of work on a fixed set of problems, which no noise can move.

The markets are made of integers and of binary fractions, so that they are the same on every processor, whatever its
exponential function does with the last bit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks import counted_programs as counted
from benchmarks import shape_counters
from oasis_alloc import kernels
from oasis_alloc.data.keys import Key
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower

_SIZE = 3
_FEASIBLE = 1e-6


@dataclass(frozen=True, eq=False)
class Market:
    """Candidates, and what each of their campaigns and licensors would get if everyone took what they value most."""

    candidates: oa.Candidates
    campaign: np.ndarray
    licensor: np.ndarray


def market(users: int, degree: int, campaigns: int, seed: int = 0) -> Market:
    """Users x degree candidates of five items a campaign; values near lognormal, all of them multiples of 2**-20.

    >>> market(20, 10, 30).candidates
    Candidates(20 users, 150 items, 200 pairs; columns: value, relevance; item keys: campaign, artist, licensor, genre)
    """
    rng = np.random.default_rng(seed)
    n_items = 5 * campaigns
    # items by the product of two uniform integers: few are popular; one of every `degree` ranges, so all are distinct
    edges = np.arange(degree + 1) * n_items // degree
    width = np.diff(edges)
    a, b = (rng.integers(0, width, size=(users, degree)) for _ in range(2))
    item = (edges[:-1] + a * b // width).astype(np.uint16)
    quality = rng.integers(1 << 9, 1 << 11, size=n_items)
    noise = rng.integers(0, 1 << 4, size=(3, users, degree)).prod(axis=0)
    value = ((quality[item] * (64 + noise // 16)) / 2.0**20).astype(np.float32)
    relevance = (value * (1.0 + rng.integers(0, 8, size=value.shape) / 16.0)).astype(np.float32)
    numbers = np.arange(n_items)
    items = {
        "campaign": numbers % campaigns,
        "artist": numbers // 2,
        "licensor": rng.integers(0, 20, n_items),
        "genre": rng.integers(0, 15, n_items),
    }
    indptr = np.arange(users + 1, dtype=np.int64) * degree
    made = oa.Candidates.from_arrays(
        indptr, item.ravel(), {"value": value.ravel(), "relevance": relevance.ravel()}, items=items
    )
    # ties are broken by position: a partition may do it by the processor's vector width
    best = np.argsort(-value, axis=1, kind="stable")[:, :_SIZE]
    shown = np.take_along_axis(item, best, axis=1).ravel()
    demand = (np.bincount(items[key][shown], minlength=n) for key, n in (("campaign", campaigns), ("licensor", 20)))
    return Market(made, *demand)


def caps_alone(given: Market, tightness: float = 0.75) -> oa.Problem:
    """The value of slates of three under a cap a campaign."""
    caps = np.maximum(1.0, tightness * given.campaign)
    limits = [(oa.exposure(by="campaign") <= caps).named("caps")]
    return oa.Problem(given.candidates, oa.total("value"), limits, oa.Slate(_SIZE))


def floors_and_shares(given: Market) -> oa.Problem:
    """Caps, floors on a third of the campaigns, a licensor's share, and relevance that is kept: a second column."""
    plain = caps_alone(given)
    caps = np.maximum(1.0, 0.75 * given.campaign)
    floors = np.where((np.arange(caps.size) % 3 == 0) & (given.campaign > 4), 0.8 * caps, 0.0)
    share = float(given.licensor.max()) / given.licensor.sum()
    return plain.replace(
        subject_to=[
            (oa.exposure(by="campaign") <= caps).named("caps"),
            (oa.exposure(by="campaign") >= floors).named("floors"),
            (oa.exposure(by="licensor") <= 0.95 * share * oa.exposure()).named("shares"),
            (oa.total("relevance") >= 0.25 * oa.exposure()).named("relevance"),
        ]
    )


def fair(given: Market) -> oa.Problem:
    """Log fairness over artists next to caps."""
    weight = 0.02 * _SIZE * given.candidates.n_users / given.candidates.items["artist"].n_groups
    return caps_alone(given).replace(maximize=oa.total("value") + weight * oa.log(oa.exposure(by="artist")))


def worst_off(given: Market) -> oa.Problem:
    """The artist with the least exposure, next to caps: its price is shared by all that have as little."""
    weight = 0.2 * given.candidates.items["artist"].n_groups
    return caps_alone(given).replace(maximize=oa.total("value") + weight * oa.worst_off(oa.exposure(by="artist")))


def gini(given: Market) -> oa.Problem:
    """Exposure weighted by the rank of artists, next to caps."""
    weight = 0.2 * given.candidates.items["artist"].n_groups
    return caps_alone(given).replace(maximize=oa.total("value") + weight * oa.gini_welfare(oa.exposure(by="artist")))


def ruled(given: Market) -> oa.Problem:
    """Genres that diminish and relevance that every user keeps, next to caps."""
    slate = oa.Slate(_SIZE, diminishing={"genre": 0.05}, keep={"relevance": 0.6})
    return caps_alone(given).replace(slate=slate)


def whole(given: Market) -> oa.Problem:
    """Everything at once, as in `whole.py`: caps, floors, shares, log fairness and both rules of slates."""
    limits = floors_and_shares(given).subject_to
    return fair(given).replace(subject_to=limits, slate=ruled(given).slate)


def conflict(given: Market) -> oa.Problem:
    """Floors that can be met one by one, and together ask for more slots than there are."""
    floors = 1.2 * given.campaign
    return caps_alone(given).replace(subject_to=[(oa.exposure(by="campaign") >= floors).named("floors")])


LONG_LISTS = {
    "caps": oa.Slate(6, at_most={"genre": 1}),
    "crossing caps": oa.Slate(6, at_most={"genre": 1, "licensor": 1}),
    "diminishing": oa.Slate(6, diminishing={"genre": 0.01}),
    "at least": oa.Slate(6, at_most={"genre": 2}, at_least=6),
    "keep": oa.Slate(6, keep={"relevance": 0.95}),
    "keep, crossing caps": oa.Slate(6, at_most={"genre": 1, "licensor": 1}, keep={"relevance": 0.95}),
}
"""Every rule of slates, for users with thousands of candidates: roots with as many pieces."""


def long_lists(rule: str) -> oa.Problem:
    """Twenty users with 5,000 candidates each under a rule of slates, next to caps."""
    return caps_alone(market(20, 5000, 2000)).replace(slate=LONG_LISTS[rule])


PROBLEMS: dict[str, tuple[Callable[[], oa.Problem], float]] = {
    "caps, 1e4 pairs": (lambda: caps_alone(market(200, 50, 60)), 1e-6),
    "caps, 1e6 pairs": (lambda: caps_alone(market(10_000, 100, 1000)), 1e-6),
    "many caps to 1e-3, 1e6 pairs": (lambda: caps_alone(market(10_000, 100, 1000)), 1e-3),
    "floors and shares, 1e5 pairs": (lambda: floors_and_shares(market(2_000, 50, 200)), 1e-4),
    "log over artists, 1e5 pairs": (lambda: fair(market(2_000, 50, 200)), 1e-4),
    "worst off of artists, 1e5 pairs": (lambda: worst_off(market(2_000, 50, 200)), 1e-4),
    "gini welfare of artists, 1e5 pairs": (lambda: gini(market(2_000, 50, 200)), 1e-4),
    "gini welfare of artists to 1e-6, 5e5 pairs": (lambda: gini(market(10_000, 50, 200)), 1e-6),
    "rules of slates, 5e4 pairs": (lambda: ruled(market(1_000, 50, 200)), 1e-3),
    "whole program to 1e-3, 1e6 pairs": (lambda: whole(market(10_000, 100, 1000)), 1e-3),
    "conflict, 1e4 pairs": (lambda: conflict(market(200, 50, 60)), 1e-4),
    "guard, 1e5 pairs": (lambda: counted.guarded(counted.market(2_000, 50, 200), None), 1e-4),
    "guards of markets, 1e5 pairs": (lambda: counted.guarded(counted.market(2_000, 50, 200), "market"), 1e-4),
    "slates, one label, 1e5 pairs": (lambda: counted.one_label(counted.market(2_000, 50, 200)), 1e-4),
    "slates, several labels, 1e5 pairs": (lambda: counted.several_labels(counted.market(2_000, 50, 200)), 1e-4),
    "log over thin artists, 2e5 pairs": (lambda: counted.thin(counted.market(2_000, 100, 500)), 1e-4),
    "cap per person and campaign, 2e5 pairs": (lambda: counted.by_person(counted.market(4_000, 50, 200)), 1e-4),
    **{f"long lists, {rule}, 1e5 pairs": (partial(long_lists, rule), 1e-4) for rule in LONG_LISTS},
}


def next_hour(given: Market) -> oa.Problem:
    """All values up or down by up to 6 %, and every fiftieth campaign another one, which starts without a price."""
    cands, rng = given.candidates, np.random.default_rng(7)
    value = cands.columns["value"] * (rng.integers(30, 35, cands.n_pairs) / 32.0).astype(np.float32)
    items = {name: key.codes for name, key in cands.items.items() if isinstance(key, Key)}
    n = given.campaign.size
    items["campaign"] = np.where(items["campaign"] % 50 == 7, items["campaign"] + n, items["campaign"])
    made = oa.Candidates.from_arrays(cands.indptr, cands.item, {**cands.columns, "value": value}, items=items)
    order = np.array(made.groups("campaign")) % n
    return caps_alone(replace(given, candidates=made, campaign=given.campaign[order]))


def some_limits(given: Market) -> oa.Problem:
    """Every hundredth cap an eighth lower."""
    lower = np.where(np.arange(given.campaign.size) % 100 == 3, 0.875, 1.0)
    return caps_alone(replace(given, campaign=lower * given.campaign))


def some_values(given: Market) -> oa.Problem:
    """One value in twenty an eighth higher."""
    cands, rng = given.candidates, np.random.default_rng(7)
    value = cands.columns["value"] * np.where(rng.integers(0, 20, cands.n_pairs) == 0, 1.125, 1.0).astype(np.float32)
    items = {name: key.codes for name, key in cands.items.items() if isinstance(key, Key)}
    made = oa.Candidates.from_arrays(cands.indptr, cands.item, {**cands.columns, "value": value}, items=items)
    return caps_alone(replace(given, candidates=made))


AGAIN: dict[str, Callable[[Market], oa.Problem]] = {
    "same problem": caps_alone,
    "1 % of the limits": some_limits,
    "5 % of the values": some_values,
    "next hour": next_hour,
}
"""What a solve of caps at 1e6 pairs is started again for."""


def again_name(change: str) -> str:
    """The name of the counters of a change.

    >>> again_name("next hour")
    'solving again, next hour, 1e6 pairs'
    """
    return f"solving again, {change}, 1e6 pairs"


def count_again(gap: float = 1e-4) -> dict[str, dict[str, Any]]:
    """Solve once, then each changed problem from that: {name: counters}."""
    given = market(10_000, 100, 1000)
    first, found = oa.solve(caps_alone(given), gap=gap, threads=1), {}
    for name, build in AGAIN.items():
        solution = oa.solve(build(given), gap=gap, threads=1, start=first)
        found[again_name(name)] = {
            "status": solution.status.name,
            "passes": round(solution.passes, 2),
            "gap_reached": bool(solution.gap <= gap),
            "feasible": bool(solution.violation <= _FEASIBLE),
        }
    return found


def count(names: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Solve the problems on one thread: {name: counters}, and what is compiled by then under "signatures".

    Signatures are those of the process: count first, in a process of its own. Memory is that of large programs, whose
    pairs are not converted once but in every pass.
    """
    with SIZES.using(wide_bytes=0):
        found = _count(names)
    found["signatures"] = signatures()
    return found


def _count(names: list[str] | None) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in PROBLEMS if names is None else names:
        build, gap = PROBLEMS[name]
        problem = build()
        solution = oa.solve(problem, gap=gap, threads=1)
        infeasible = solution.status is oa.Status.INFEASIBLE
        data, work = resident(problem)
        found[name] = {
            "status": solution.status.name,
            "passes": round(solution.passes, 2),
            "gap_reached": bool(solution.gap <= gap) or infeasible,
            "feasible": bool(solution.violation <= _FEASIBLE) or infeasible,
            "data_bytes_a_pair": round(data, 3),
            "work_bytes_a_pair": round(work, 3),
        }
    if names is None:
        found |= count_again() | shape_counters.count()
    return found


def resident(problem: oa.Problem) -> tuple[float, float]:
    """Bytes per pair of the candidates' arrays, and of all else that a lowered problem and its engine hold."""
    candidates = problem.candidates
    owned = dict(_arrays(candidates, set()))
    data = sum(owned.values())
    program = lower(problem)
    with Threads(program, 1) as engine:
        engine.visit(np.zeros(program.n_rows), 1.0)
        seen: set[int] = set()
        for part in (program, engine):
            owned.update(_arrays(part, seen))
    return data / candidates.n_pairs, (sum(owned.values()) - data) / candidates.n_pairs


def _arrays(thing: Any, seen: set[int]) -> Iterator[tuple[int, int]]:
    """(identity, bytes) of the memory behind every array that is reached from an object."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        while isinstance(thing.base, np.ndarray):
            thing = thing.base
        yield id(thing), thing.nbytes
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from _arrays(part, seen)
    elif hasattr(thing, "keys") and hasattr(thing, "values"):
        for part in list(thing.values()):
            yield from _arrays(part, seen)
    elif is_dataclass(thing):
        for field in fields(thing):
            yield from _arrays(getattr(thing, field.name), seen)
    elif type(thing).__module__.startswith("oasis_alloc"):
        for part in list(vars(thing).values()):
            yield from _arrays(part, seen)


def signatures() -> dict[str, int]:
    """How many argument types every kernel is compiled for in this process; those of none are left out."""
    return {name: len(kernel.signatures) for name, kernel in _compiled_kernels() if kernel.signatures}


def compiled() -> int:
    """How many of these this process compiled itself, and did not find on disk."""
    return sum(sum(kernel.stats.cache_misses.values()) for _, kernel in _compiled_kernels())


def _compiled_kernels() -> Iterator[tuple[str, Any]]:
    found = pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}.")
    for info in sorted(found, key=lambda info: info.name.rpartition(".")[2]):
        module = importlib.import_module(info.name)
        for name, value in sorted(vars(module).items()):
            if not isinstance(value, type) and hasattr(value, "signatures") and value.__module__ == module.__name__:
                yield f"{info.name.rpartition('.')[2]}.{name}", value
