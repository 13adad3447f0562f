"""What a calibrated column costs a request: compiled scoring with and without it.

    python -m benchmarks.calibrated

Times are those of the fastest batch of calls, in microseconds per request of 1,000 candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

import oasis_alloc as oa
from oasis_alloc.common.types import Floats
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


def calls_of(policy: oa.Policy, mapped: Floats | None = None) -> list[Callable[[], object]]:
    """One request answered in four ways; with `mapped` values of r instead of those that requests bring."""
    items, r, p = request()
    columns = {"r": r if mapped is None else mapped, "p": p}
    user, hot = policy.user(market="SE"), policy.prepare(N)
    hot.items[:] = items
    hot.columns[:] = [columns[column] for column in hot.names]
    return [
        partial(policy.score, items, columns, user), partial(policy.select, items, columns, user),
        partial(hot.select, N, user), partial(hot.score, N, user),
    ]  # fmt: skip


def request() -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Items of a request and its two columns."""
    rng = np.random.default_rng(1)
    return rng.permutation(ITEMS)[:N], rng.random(N), rng.random(N)


def compared() -> dict[str, list[Callable[[], object]]]:
    """Calls of two policies, with a map per market of the user and per label of the item, each after those without.

    A policy without a map is given the values that the map makes. So both have the same prices, scores and slates, and
    selecting takes as long.
    """
    rng = np.random.default_rng(0)
    item = rng.permutation(ITEMS)[: 40 * N]
    artist = rng.integers(0, 500, ITEMS)

    def candidates(columns: Mapping[str, npt.NDArray[np.floating]]) -> oa.Candidates:
        users, items = {"market": ["SE", "DE"] * 20}, {"artist": artist}
        return oa.Candidates.from_arrays(np.arange(41) * N, item, columns, users=users, items=items)

    cands = candidates({"r": rng.random(40 * N), "p": rng.random(40 * N)})
    x, y = np.linspace(0.0, 1.0, KNOTS), np.sort(rng.random((501, KNOTS)), axis=1)
    items, r, _ = request()
    maps: dict[str, tuple[ColumnMap, npt.NDArray[np.int64] | int]] = {
        "by market": (ColumnMap(x, y[:3], "market", ("DE", "SE")), 2),
        "by artist": (ColumnMap(x, y, "artist", tuple(range(500))), 1 + artist[items]),
    }
    out = {}
    for name, (one, rows) in maps.items():
        calibrated = cands.calibrated({"r": one})
        plain = candidates(calibrated.columns)
        for title, given, mapped in (("no map", plain, one.mapped(r, rows)), (name, calibrated, None)):
            cap = oa.exposure(by="artist") <= 5.0
            problem = oa.Problem(given, oa.total("r") + 0.4 * oa.total("p"), cap, oa.Slate(10))
            out[f"{title}, values of {name}" if given is plain else title] = calls_of(
                oa.solve(problem).policy(), mapped
            )
    return out


def main() -> None:
    """Print the table."""
    calls = compared()
    found = np.array(fastest([call for row in calls.values() for call in row])).reshape(len(calls), -1)
    print(f"{'':28} {'score':>8} {'select':>8} {'prepared':>9} {'its score':>10}   factors")
    for k, (name, row) in enumerate(zip(calls, found, strict=True)):
        factors = " ".join(f"{factor:.2f}" for factor in row / found[k - k % 2])
        print(f"{name:28} {row[0]:8.2f} {row[1]:8.2f} {row[2]:9.2f} {row[3]:10.2f}   {factors}")


if __name__ == "__main__":
    main()
