"""What a calibrated column costs a request: compiled scoring with and without it.

    python -m benchmarks.calibrated

Times are those of the fastest batch of calls, in microseconds per request of 1,000 candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

import oasis_alloc as oa
from oasis_alloc.data.column_map import ColumnMap

N, ITEMS, KNOTS = 1000, 100_000, 5


def fastest(calls: list[Callable[[], object]], batch: int = 50, rounds: int = 400) -> list[float]:
    """Microseconds of each call: of its fastest batch. Calls take turns, so that other load meets all of them."""
    times = [float("inf")] * len(calls)
    for _ in range(rounds):
        for k, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(batch):
                call()
            times[k] = min(times[k], (time.perf_counter() - start) / batch * 1e6)
    return times


def calls_of(policy: oa.Policy) -> list[Callable[[], object]]:
    """One request answered in three ways."""
    rng = np.random.default_rng(1)
    items, columns = rng.permutation(ITEMS)[:N], {"r": rng.random(N), "p": rng.random(N)}
    user, hot = policy.user(market="SE"), policy.prepare(N)
    hot.items[:] = items
    hot.columns[:] = [columns[column] for column in hot.names]
    return [
        partial(policy.score, items, columns, user), partial(policy.select, items, columns, user),
        partial(hot.select, N, user),
    ]  # fmt: skip


def policies() -> dict[str, oa.Policy]:
    """The same policy without a calibration, with one per market of the user, and with one per label of the item."""
    rng = np.random.default_rng(0)
    item = rng.permutation(ITEMS)[: 40 * N]
    cands = oa.Candidates.from_arrays(
        np.arange(41) * N, item, {"r": rng.random(40 * N), "p": rng.random(40 * N)},
        users={"market": ["SE", "DE"] * 20}, items={"artist": rng.integers(0, 500, ITEMS)},
    )  # fmt: skip
    x, y = np.linspace(0.0, 1.0, KNOTS), np.sort(rng.random((501, KNOTS)), axis=1)
    maps = {
        "none": None,
        "by market": ColumnMap(x, y[:3], "market", ("DE", "SE")),
        "by artist": ColumnMap(x, y, "artist", tuple(range(500))),
    }
    out = {}
    for name, one in maps.items():
        given = cands if one is None else cands.calibrated({"r": one})
        cap = oa.exposure(by="artist") <= 5.0
        out[name] = oa.solve(oa.Problem(given, oa.total("r") + 0.4 * oa.total("p"), cap, oa.Slate(10))).policy()
    return out


def main() -> None:
    """Print the table."""
    made = policies()
    found = np.array(fastest([call for policy in made.values() for call in calls_of(policy)])).reshape(len(made), -1)
    print(f"{'':12} {'score':>8} {'select':>8} {'prepared':>9}   factors")
    for name, row in zip(made, found, strict=True):
        factors = " ".join(f"{factor:.2f}" for factor in row / found[0])
        print(f"{name:12} {row[0]:8.2f} {row[1]:8.2f} {row[2]:9.2f}   {factors}")


if __name__ == "__main__":
    main()
