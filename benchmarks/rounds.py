"""Rounds of one solve over a cluster, by the method that actors are called for, and memory of the driver.

    python -m benchmarks.rounds                                 # 1e6 and 1e7 pairs to a gap of 1e-3, three programs
    python -m benchmarks.rounds --pairs 1e6 3e7 --programs caps                    # users grow with the pairs
    python -m benchmarks.rounds --pairs 1e6 3e7 --programs caps --users 10000      # only the pairs per user grow

Programs are those of whole.py: caps alone; fair, with floors, shares of licensors and log fairness; and diminishing,
the same with genres whose items are worth less one by one. A guard (`keep`) is not possible on a cluster. Each solve
has a process of its own. Its memory is the growth of its peak from before the solve, with Ray started.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import oasis_alloc as oa
from benchmarks.machine import description, heading, peak, resident
from benchmarks.results import save
from benchmarks.tables import table
from oasis_alloc.engines.ray.cluster import Cluster
from oasis_alloc.markets import matching

_DEGREE, _SIZE, _ITEMS = 100, 3, 5
PROGRAMS = ("caps", "fair", "diminishing")


def stored(pairs: int, users: int, directory: Path) -> tuple[oa.Partitions, dict[str, np.ndarray]]:
    """(the market as partitions, attributes of its items and what campaigns would get); written at the first call."""
    degree = pairs // users
    campaigns = max(-(-degree // _ITEMS), round(1000 * 2.0 ** np.log10(users * _DEGREE / 1e6)))
    n_items = campaigns * _ITEMS
    number = np.arange(n_items)
    rng = np.random.default_rng(0)
    items = {
        "item": number,
        "campaign": number % campaigns,
        "artist": number // 2,
        "licensor": rng.integers(0, 20, n_items),
    }
    items["genre"] = rng.integers(0, 15, n_items)
    if not (directory / "demand.npy").exists():
        demand, first = np.zeros(campaigns), 0
        for k, block in enumerate(matching(users, degree, n_items, size=_SIZE).blocks()):
            value, item = block.columns["value"], np.asarray(block.item)
            part = oa.Candidates.from_arrays(block.indptr, item.ravel(), {"value": value.ravel()}, n_items=n_items)
            part.to_parquet(directory / "pairs", name=f"pairs-{k:06d}", first_user=first)
            first += len(block.indptr) - 1
            best = np.argpartition(value.reshape(-1, degree), -_SIZE, axis=1)[:, -_SIZE:]
            shown = np.take_along_axis(item.reshape(-1, degree), best, axis=1).ravel()
            demand += np.bincount(items["campaign"][shown], minlength=campaigns)
        oa.partition(directory / "pairs", directory / "partitions")
        np.save(directory / "demand.npy", demand)
    items["demand"] = np.load(directory / "demand.npy")
    return oa.partition(directory / "pairs", directory / "partitions"), items


def problem(name: str, made: oa.Partitions, given: dict[str, np.ndarray]) -> oa.Problem:
    items, demand = {key: part for key, part in given.items() if key != "demand"}, given["demand"]
    candidates = made.candidates(items=pd.DataFrame(items))  # by id: items of no pair are not numbered
    rng = np.random.default_rng(1)
    caps = np.maximum(1.0, 0.9 * (0.7 * demand + 0.3 * demand.mean() * rng.exponential(size=demand.size)))
    limits = [(oa.exposure(by="campaign") <= caps).named("caps")]
    if name == "caps":
        return oa.Problem(candidates, oa.total("value"), limits, oa.Slate(_SIZE))
    floors = np.where(np.arange(caps.size) % 3 == 0, np.minimum(1.15 * demand, 0.9 * caps), 0.0)
    limits.append((oa.exposure(by="campaign") >= floors).named("floors"))
    limits.append((oa.exposure(by="licensor") <= 0.07 * oa.exposure()).named("licensor shares"))
    weight = 0.02 * _SIZE * candidates.n_users / candidates.items["artist"].n_groups
    slate = oa.Slate(_SIZE, diminishing={"genre": 0.2}) if name == "diminishing" else oa.Slate(_SIZE)
    return oa.Problem(candidates, oa.total("value") + weight * oa.log(oa.exposure(by="artist")), limits, slate)


def measure(name: str, pairs: int, given: argparse.Namespace) -> dict[str, Any]:
    """One solve, in this process; "files" only writes them."""
    users = given.users or pairs // _DEGREE
    files = stored(pairs, users, Path(given.directory) / f"{pairs}-{users}")
    if name == "files":
        return {}
    import ray

    asked = problem(name, *files)
    kinds: collections.Counter[str] = collections.Counter()
    ask = Cluster.ask

    def counted(self: Cluster, key: int, method: str, arguments: Any) -> Any:
        kinds[method] += 1
        return ask(self, key, method, arguments)

    Cluster.ask = counted  # type: ignore[method-assign, assignment]
    ray.init(address="local", num_cpus=max(2, given.actors), object_store_memory=200_000_000, log_to_driver=False)
    with oa.RayEngine(actors=given.actors) as engine:
        oa.solve(problem(name, *stored(10_000, 100, Path(given.directory) / "first")), gap=given.gap, engine=engine)
        kinds.clear()
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins here
        before, started = resident(), time.perf_counter()
        solution = oa.solve(asked, gap=given.gap, engine=engine)
    return {
        "program": name, "pairs": asked.candidates.n_pairs, "users": users, "status": solution.status.name,
        "gap": solution.gap, "passes": solution.passes, "rounds": sum(kinds.values()), "kinds": dict(kinds),
        "seconds": time.perf_counter() - started, "shown": int(solution.pairs.size),
        "driver_megabytes": peak() - before,
    }  # fmt: skip


def report(rows: list[dict[str, Any]]) -> str:
    heads = ["program", "pairs", "users", "passes", "rounds", "gap", "driver MB", "rounds by kind"]
    body = []
    for row in rows:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(row["kinds"].items(), key=lambda of: -of[1]))
        numbers = [f"{row['pairs']:.0e}", f"{row['users']:,}", f"{row['passes']:.1f}", str(row["rounds"])]
        body.append([row["program"], *numbers, f"{row['gap']:.1e}", f"{row['driver_megabytes']:.0f}", kinds])
    return table(heads, body, text=(0, 7))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, nargs="*", default=[1e6, 1e7])
    parser.add_argument("--programs", nargs="*", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--users", type=int, help="the same for all sizes; by default there are 100 pairs per user")
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--gap", type=float, default=1e-3)
    parser.add_argument("--directory", help="where partitions are, or are written; by default they are removed after")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, int(given.pairs[0]), given)))
        return
    about, rows = description(), []
    print(heading(about), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        directory = given.directory or temporary
        for pairs in given.pairs:
            for name in ["files", *given.programs]:
                command = [sys.executable, "-m", "benchmarks.rounds", "--one", name, "--pairs", str(pairs)]
                command += ["--directory", directory, "--gap", str(given.gap), "--actors", str(given.actors)]
                command += ["--users", str(given.users)] if given.users else []
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                row = json.loads(done.stdout.splitlines()[-1])
                if not row:
                    continue
                rows.append(row)
                print(f"{name}: {row}", flush=True)
                if given.json is not None:
                    save(given.json, about, {"pairs": given.pairs, "gap": given.gap}, rows)
    print(report(rows))


if __name__ == "__main__":
    main()
