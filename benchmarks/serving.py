"""What a request costs in a service, call by call, compared with the same in NumPy.

    python -m benchmarks.serving                 # one thread, warm; medians and minima of batches of calls
    python -m benchmarks.serving --only top-k

Each row is a function below that returns a `Case`: ours, and what it is compared with, if anything. The two run in
turns, in one process, and answer the same (checked before anything is timed). A call is from Python, with what Python
costs. Buffers of `policy.prepare` are filled before, because a host writes its candidates once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - reads the environment

import oasis_alloc as oa  # noqa: E402

_BATCHES = 150
_SECONDS = 0.002  # of a batch of calls, about: shorter than a turn of another process on a shared core
_ITEMS = 20_000


@dataclass(frozen=True)
class Case:
    """One row: two calls to compare, the limit in microseconds, and pairs of a call where rates count."""

    name: str
    ours: Callable[[], object]
    other: Callable[[], object] | None = None
    what: str = "NumPy"
    limit: float | None = None
    pairs: int = 0


@cache
def policy(rules: bool = False, size: int = 10, keep: float | None = None) -> oa.Policy:
    """A policy over 20,000 items of 1,000 campaigns, 2,000 artists and 20 genres."""
    rng = np.random.default_rng(1)
    n_users, each = 400, 100
    item = np.concatenate([rng.choice(_ITEMS, each, replace=False) for _ in range(n_users)])
    relevance, organic = rng.random((2, item.size)).astype(np.float32)
    cands = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * each, item, {"relevance": relevance, "organic": organic},
        items={
            "campaign": rng.integers(-1, 1000, _ITEMS), "artist": rng.integers(0, 2000, _ITEMS),
            "genre": rng.integers(0, 20, _ITEMS),
        },
    )  # fmt: skip
    slate = oa.Slate(size, at_most={"artist": 2}, diminishing={"genre": 1.0 / size}) if rules else oa.Slate(size)
    slate = slate if keep is None else oa.Slate(size, at_most={"artist": 2}, keep={"organic": keep})
    problem = oa.Problem(
        cands, oa.total("relevance"), oa.exposure("campaign") <= (3.0 if keep is None else 10.0), slate
    )
    return oa.solve(problem, gap=1e-2, time_limit=30).policy()


def request(n: int) -> tuple[Any, Any]:
    """(items, relevance) of n candidates."""
    rng = np.random.default_rng(n)
    return rng.choice(_ITEMS, n, replace=False), rng.random(n)


def filled(served: oa.Policy, n: int, **how: Any) -> tuple[Any, Any, Any]:
    """(prepared buffers with a request of n candidates, its items, its relevance)."""
    hot, (items, relevance) = served.prepare(n, **how), request(n)
    hot.items[:], hot.columns[0] = items, relevance
    return hot, items, relevance


def prices(served: oa.Policy) -> Any:
    """(n_items,) what one showing of each item costs, as a host that has NumPy alone would hold it."""
    zero = np.zeros(_ITEMS)
    return -served.score(np.arange(_ITEMS), {"relevance": zero})


def top_k(n: int, limit: float) -> Case:
    """Scores and the best ten, through prepared buffers."""
    served, price, k = policy(), prices(policy()), 10
    (hot, items, relevance), user = filled(served, n), served.user()

    def numpy() -> Any:
        scores = relevance - price[items]
        best = np.argpartition(scores, n - k)[n - k :]
        return best[np.argsort(-scores[best])]

    shown = hot.select(n, user)
    assert hot.positions[:shown].tolist() == numpy().tolist()
    return Case(f"priced top-k, {n:,} candidates, k 10", lambda: hot.select(n, user), numpy, limit=limit)


def top_k_100() -> Case:
    return top_k(100, 2.0)


def top_k_1_000() -> Case:
    return top_k(1_000, 3.0)


def top_k_20_000() -> Case:
    return top_k(20_000, 25.0)


def rules() -> Case:
    """Two of an artist, every further item of a genre worth 0.1 less."""
    served = policy(rules=True)
    (hot, items, relevance), user = filled(served, 100), served.user()
    shown = hot.select(100, user)
    assert hot.positions[:shown].tolist() == served.select(items, {"relevance": relevance}).tolist()
    return Case("diminishing categories + caps, 100, k 10", lambda: hot.select(100, user), limit=5.0)


def kept() -> Case:
    """Two of an artist, and a share of another column that this request does not keep by itself."""
    served = policy(keep=0.8)
    (hot, _, _), user = filled(served, 100), served.user()
    hot.columns[1] = np.random.default_rng(9).random(100)
    shown, scores = hot.select(100, user), hot.scores
    assert set(hot.positions[:shown]) != set(np.argsort(-scores)[:10])
    return Case("caps, 80 % of a column kept, 100, k 10", lambda: hot.select(100, user))


def checked_score() -> Case:
    """The friendly call, every argument checked."""
    served, (items, relevance), price = policy(), request(100), prices(policy())
    columns, user = {"relevance": relevance}, policy().user()
    return Case(
        "policy.score, 100, checked", lambda: served.score(items, columns, user), lambda: relevance - price[items]
    )


def checked(n: int, limit: float, rules: bool = False) -> Case:
    """The friendly call for a slate; prepared buffers, which were filled before and check nothing, are compared."""
    served = policy(rules=rules)
    (hot, items, relevance), user = filled(served, n), served.user()
    columns = {"relevance": relevance}
    shown = hot.select(n, user)
    assert hot.positions[:shown].tolist() == served.select(items, columns, user).tolist()
    title = f"policy.select{' with rules' if rules else ''}, {n:,}, checked"
    return Case(title, lambda: served.select(items, columns, user), lambda: hot.select(n, user), "prepared", limit)


def checked_select_100() -> Case:
    return checked(100, 6.0)


def checked_select_1_000() -> Case:
    return checked(1_000, 10.0)


def checked_select_20_000() -> Case:
    return checked(20_000, 60.0)


def checked_select_rules() -> Case:
    return checked(100, 10.0, rules=True)


def checked_exclude() -> Case:
    """Two positions left out: options are checked one by one."""
    served, (items, relevance) = policy(), request(100)
    columns, user = {"relevance": relevance}, served.user()
    return Case("policy.select with exclude, 100, checked", lambda: served.select(items, columns, user, exclude=[3, 5]))


def explain() -> Case:
    served, (items, relevance) = policy(rules=True), request(100)
    return Case("policy.explain, 100", lambda: served.explain(items, {"relevance": relevance}))


def batch() -> Case:
    """Twenty thousand users of a hundred candidates each: float32 relevance, uint16 items, as candidates hold them."""
    served, rng, n_users, each = policy(), np.random.default_rng(5), 20_000, 100
    items = rng.integers(0, _ITEMS, n_users * each).astype(np.uint16)
    columns = {"relevance": rng.random(items.size, np.float32)}
    indptr, out, price = np.arange(n_users + 1) * each, np.empty(items.size), prices(served)
    expected = columns["relevance"] - price[items]
    assert (served.score_batch(indptr, items, columns, out=out) == expected).all()
    return Case(
        "score_batch, 2,000,000 pairs", lambda: served.score_batch(indptr, items, columns, out=out),
        lambda: np.subtract(columns["relevance"], price[items], out=out), limit=items.size / 300.0, pairs=items.size,
    )  # fmt: skip


def several(users: int, with_rules: bool) -> Case:
    """Users of a hundred candidates in one call, through prepared buffers, compared with a checked call."""
    served, n = policy(rules=with_rules), users * 100
    rng, user, indptr = np.random.default_rng(users), served.user(), np.arange(users + 1) * 100
    items = np.concatenate([rng.choice(_ITEMS, 100, replace=False) for _ in range(users)])
    relevance = rng.random(n)
    hot, kind = served.prepare_batch(users, n), "with rules" if with_rules else "top-k"
    for _ in range(users):
        hot.add(100, user)
    hot.items[:], hot.columns[0] = items, relevance

    def checked() -> Any:
        return served.select_batch(indptr, items, {"relevance": relevance}, [user] * users)

    assert hot.select() == users
    assert (hot.positions == checked()).all()
    return Case(f"prepared batch {kind}, {users} x 100, k 10", hot.select, checked, "checked", pairs=n)


def several_32() -> Case:
    return several(32, False)


def several_128() -> Case:
    return several(128, False)


def several_128_rules() -> Case:
    return several(128, True)


def diverse(name: str, n: int, d: int, k: int, limit: float | None) -> Case:
    """Prices and two of an artist, scored and picked by vectors, compared with pyversity, which has neither."""
    served = policy(rules=True, size=k)
    rng = np.random.default_rng(d)
    centers = rng.normal(size=(50, d))
    vectors = (centers[rng.integers(0, 50, _ITEMS)] + rng.normal(size=(_ITEMS, d))).astype(np.float32)
    rules: dict[str, oa.MMR | oa.DPP] = {"mmr": oa.MMR(0.5), "dpp": oa.DPP(0.5)}
    rule, embeddings = rules[name], oa.Embeddings(vectors)
    (hot, items, relevance), user = filled(served, n, diversify=rule, embeddings=embeddings), served.user()
    shown = hot.select(n, user)
    checked = served.select(items, {"relevance": relevance}, diversify=rule, embeddings=embeddings)
    assert shown == k
    assert hot.positions[:shown].tolist() == checked.tolist()
    other = None
    try:
        import pyversity
    except ImportError:
        print("pyversity is not installed: diverse slates are compared with nothing (pip install pyversity)")
    else:
        mine = vectors[items]

        def other() -> Any:
            return pyversity.diversify(mine, relevance, k, strategy=name, diversity=0.5)

    title = f"{name.upper()} + caps + prices, {n:,}, d {d}, k {k}"
    return Case(title, lambda: hot.select(n, user), other, "pyversity", limit)


def mmr_100() -> Case:
    return diverse("mmr", 100, 64, 10, 12.0)


def dpp_100() -> Case:
    return diverse("dpp", 100, 64, 10, 10.0)


def mmr_1_000() -> Case:
    return diverse("mmr", 1_000, 256, 50, None)


def dpp_1_000() -> Case:
    return diverse("dpp", 1_000, 256, 50, None)


def sample() -> Case:
    """Ten of two hundred with inclusion probabilities exactly x; compared with `choice`, which does not keep them."""
    from oasis_alloc.kernels.draw.sample import systematic

    rng, k = np.random.default_rng(3), 10
    x = rng.random(200) ** 3
    for _ in range(50):
        x = np.minimum(x * k / x.sum(), 1.0)
    out, share = np.empty(200, np.int64), x / x.sum()
    assert systematic(x, k, 1, 0, out) in (k - 1, k)
    return Case(
        "exact-marginal sample of 10 in 200", lambda: systematic(x, k, 1, 0, out),
        lambda: rng.choice(200, k, replace=False, p=share), "choice", 1.0,
    )  # fmt: skip


def policy_sample() -> Case:
    """The whole call, checked: scores, propensities of all candidates, and a draw."""
    served, (items, relevance) = policy(), request(100)
    rule = oa.Exploration(share=0.05, smoothing=0.05)
    return Case("policy.sample, 100", lambda: served.sample(items, {"relevance": relevance}, rng=1, exploration=rule))


def policy_sample_rules() -> Case:
    served, (items, relevance) = policy(rules=True), request(100)
    rule = oa.Exploration(share=0.05, smoothing=0.05)
    return Case(
        "policy.sample with rules, 100",
        lambda: served.sample(items, {"relevance": relevance}, rng=1, exploration=rule),
    )


CASES = [
    top_k_100, top_k_1_000, top_k_20_000, rules, kept, mmr_100, dpp_100, mmr_1_000, dpp_1_000, sample, batch,
    several_32, several_128, several_128_rules,
    checked_score, checked_select_100, checked_select_1_000, checked_select_20_000, checked_select_rules,
    checked_exclude, explain, policy_sample, policy_sample_rules,
]  # fmt: skip


def measure(case: Case) -> list[tuple[float, float]]:
    """(median, minimum) microseconds of a call, of ours and of the other, batches in turns."""
    calls = [call for call in (case.ours, case.other) if call is not None]
    sizes = []
    for call in calls:
        call()
        started = time.perf_counter()
        call()
        sizes.append(max(1, int(_SECONDS / max(time.perf_counter() - started, 1e-7))))
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(_BATCHES):
        for call, size, mine in zip(calls, sizes, times, strict=True):
            started = time.perf_counter()
            for _ in range(size):
                call()
            mine.append((time.perf_counter() - started) / size * 1e6)
    return [(statistics.median(mine), min(mine)) for mine in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    given = parser.parse_args()
    seconds = policy().warmup()
    print("warm-up: " + ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
    print(f"{'call':<44} {'us, median':>11} {'least':>9} {'limit':>8}   {'other':<9} {'median':>9} {'least':>9}")
    for make in CASES:
        case = make()
        if given.only not in case.name:
            continue
        (median, least), *others = measure(case)
        limit = "" if case.limit is None else f"{case.limit:,.0f}"
        line = f"{case.name:<44} {median:>11,.2f} {least:>9,.2f} {limit:>8}"
        for other in others:
            line += f"   {case.what:<9} {other[0]:>9,.2f} {other[1]:>9,.2f}"
        if case.pairs:
            line += f"   {case.pairs / median:,.0f} million pairs a second"
        print(line, flush=True)


if __name__ == "__main__":
    main()
