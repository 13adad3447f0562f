"""What a pass, a round and a solve cost on Ray actors, next to threads; and what sizes beyond this machine would cost.

    python -m benchmarks.cluster                             # 2e7 pairs; 1, 2 and 4 actors next to 1 and 2 threads
    python -m benchmarks.cluster --pairs 1e8 --actors 2 --directory /data/partitions       # partitions are kept
    python -m benchmarks.cluster --pairs 1e8 --pairwise 2 --directory /data/partitions     # 2 actors against 2 threads
    python -m benchmarks.cluster --pairs 1e6 1e7 3e7 --json benchmarks/runs/cluster.json   # of docs/benchmarks.md

Each way is a process of its own, with pairs in memory: threads hold all of them, actors a part each. A pass visits all
users at fixed prices; its processor seconds are those of all actors, or of the process, and say something where other
programs run. A round is a call of all actors that has nothing to do: it is what a cluster adds to each pass and to each
product with the curvature. The last table is not measured: it is the cost model of `cluster_model.py` with the
numbers of the first one.

"own MB / pairs'" is what actors hold beyond what they held after a small solve, without what processes share, over the
bytes of the pairs; "start s" has that solve, and loading.

`--pairwise` alternates passes of actors and of threads in one process, so that other programs disturb both. The ratio
of their minima, and the median of their ratios, say what a pass over a cluster costs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks import cluster_model
from benchmarks.instances import shape_of
from benchmarks.machine import description, heading, peak, resident
from benchmarks.results import save
from benchmarks.tables import table
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.ray.cluster import Cluster
from oasis_alloc.engines.ray.driver import RayChunks
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.markets import matching
from oasis_alloc.program.lowering import lower

REPEATS, ROUNDS, PAIRWISE = 7, 50, 40
_PAIRWISE, _FEW = "pairwise", 100_000
_ROW = "row: "  # begins the line of a process that has its numbers: libraries print, too
ATTEMPTS = 4  # Ray gives a node 30 seconds to start, which is too short where many programs run


def market_of(pairs: int) -> Any:
    users, degree, campaigns = shape_of(pairs)
    return matching(users=users, degree=degree, campaigns=campaigns, seed=0)


def partitions_of(pairs: int, directory: Path) -> tuple[oa.Partitions, float]:
    """(the market as partitions, seconds that `oa.partition` took; 0 if they were there)."""
    market = market_of(pairs)
    if not (directory / "partitions" / "_partitions.json").exists():
        first = 0
        for number, block in enumerate(market.blocks()):
            part = oa.Candidates.from_arrays(block.indptr, block.item, block.columns, n_items=market.n_items)
            part.to_parquet(directory / "pairs", name=f"pairs-{number:06d}", first_user=first)
            first += len(block.indptr) - 1
    started = time.perf_counter()
    made = oa.partition(directory / "pairs", directory / "partitions")
    return made, (time.perf_counter() - started) if made.written else 0.0


def problem_of(stored: oa.Partitions, in_memory: bool) -> oa.Problem:
    market = market_of(stored.n_pairs)
    attributes: Any = market.item_attributes()
    candidates = stored.candidates(items=attributes)
    if in_memory:
        item = candidates.item[0 : stored.n_pairs]
        columns = {name: candidates.columns[name][0 : stored.n_pairs] for name in candidates.columns}
        candidates = oa.Candidates.from_arrays(candidates.indptr, item, columns, items=attributes)
    caps = (oa.exposure(by="campaign") <= market.caps).named("caps")
    return oa.Problem(candidates, oa.total("value"), [caps], oa.Slate(3))


def median(call: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def passes_of(engine: Chunked, processor: Callable[[], float]) -> dict[str, float]:
    """Seconds and processor seconds of a pass, seconds of a round, at prices at which about half of the caps bind."""
    prices, gamma = _point(engine)
    nothing = np.empty(0, np.int64)

    def ask() -> object:
        return engine.fetch(nothing) if isinstance(engine, RayChunks) else engine.add_up(nothing, np.empty(0))

    for _ in range(2):  # loads kernels, and finds thresholds
        engine.visit(prices, gamma)
        ask()
    before = processor()
    seconds = median(lambda: engine.visit(prices, gamma), REPEATS)
    used = (processor() - before) / REPEATS
    return {"pass": seconds, "pass_cpu": used, "round": median(ask, ROUNDS)}


def pairwise(pairs: int, given: argparse.Namespace) -> dict[str, Any]:
    """Passes of n actors and of n threads by turns; what these take, and the ratios."""
    n, took = given.pairwise, np.empty((2, PAIRWISE))
    stored, _ = partitions_of(pairs, Path(given.directory))
    near, far = (lower(problem_of(stored, in_memory=here)) for here in (True, False))
    _start_ray(n)
    with oa.RayEngine(actors=n)._started() as cluster, engine_for(near, n) as threads, cluster.engine(far) as actors:
        engines = actors, threads
        prices, gamma = _point(threads)
        for k in range(-2, PAIRWISE):  # the first two load kernels, and find thresholds
            for which in (0, 1) if k % 2 else (1, 0):
                started = time.perf_counter()
                engines[which].visit(prices, gamma)
                took[which, k] = time.perf_counter() - started
    best, ratios = took.min(axis=1), took[0] / took[1]
    return {
        "way": f"{n} actors against {n} threads", "pairs": stored.n_pairs, "passes": PAIRWISE, "actors": best[0],
        "threads": best[1], "ratio_of_minima": best[0] / best[1], "median_ratio": float(np.median(ratios)),
        "quarters": np.quantile(ratios, [0.25, 0.75]).tolist(),
    }  # fmt: skip


def _point(engine: Chunked) -> tuple[np.ndarray, float]:
    """(prices by row, smoothing) at which about half of the caps bind."""
    size = engine.survey().size
    return np.where(np.arange(engine.program.n_rows) % 2 == 0, 0.3 * size, 0.0), 0.05 * size


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def row_in(printed: str) -> dict[str, Any]:
    """The row of a process, from all that it printed."""
    rows = [line.removeprefix(_ROW) for line in printed.splitlines() if line.startswith(_ROW)]
    if not rows:
        raise ValueError(f"a process printed no line that begins with {_ROW!r}; its last words: {printed[-200:]!r}")
    row: dict[str, Any] = json.loads(rows[-1])
    return row


def _start_ray(actors: int) -> None:
    import ray

    cores = max(actors, os.cpu_count() or 1)  # more actors than cores wait for each other
    ray.init(
        address="local", num_cpus=cores, object_store_memory=200_000_000, include_dashboard=False, log_to_driver=False
    )  # fmt: skip


def processor_of(processes: list[int]) -> float:
    """Processor seconds that processes of this machine have used."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # of the user and of the system
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(way: str, pairs: int, given: argparse.Namespace) -> dict[str, Any]:
    """One way, in this process."""
    kind, _, number = way.partition(" ")
    stored, _ = partitions_of(pairs, Path(given.directory))
    row: dict[str, Any] = {"way": way, "pairs": stored.n_pairs}
    before = resident()
    if kind == "threads":
        problem = problem_of(stored, in_memory=True)
        with engine_for(lower(problem), int(number)) as engine:
            row |= passes_of(engine, time.process_time)
        started = time.perf_counter()
        solution = oa.solve(problem, gap=given.gap, threads=int(number))
    else:
        import ray

        problem = problem_of(stored, in_memory=False)
        _start_ray(int(number))
        with oa.RayEngine(actors=int(number)) as settings:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:  # a small solve, so that libraries and kernels are loaded
                few, _ = partitions_of(_FEW, Path(folder))
                with SIZES.using(chunk_pairs=_FEW // 64, max_small=0):  # all actors have chunks
                    oa.solve(problem_of(few, in_memory=False), gap=given.gap, engine=settings)
            empty = sum(ray.get(actor.place.remote())["own_bytes"] for actor in settings._idle or ())
            with settings._started() as cluster, cluster.engine(lower(problem)) as engine:
                engine.survey()  # actors load with their first call
                row["start"] = time.perf_counter() - started
                processes = [place["process"] for place in cluster.places()]
                row |= passes_of(engine, lambda: processor_of(processes))
                used = sum(place["peak_bytes"] for place in cluster.places()) / 1e6
                loaded = sum(place["own_bytes"] for place in cluster.places())
                row["over_data"] = (loaded - empty) / (cluster_model.BYTES * stored.n_pairs)
            counted = rounds_of()
            started = time.perf_counter()
            solution = oa.solve(problem, gap=given.gap, engine=settings)
            row |= {"actors_megabytes": used, "rounds": counted[-1].rounds}
    row["solve"] = time.perf_counter() - started
    row |= {"passes": solution.passes, "value": solution.value, "bound": solution.bound, "gap": solution.gap}
    row["driver_megabytes"] = peak() - before
    return row


def rounds_of() -> list[Cluster]:
    """The clusters of the solves to come, which count their rounds."""
    made, out = Cluster.__init__, []

    def remember(self: Cluster, settings: oa.RayEngine) -> None:
        made(self, settings)
        out.append(self)

    Cluster.__init__ = remember  # type: ignore[method-assign]
    return out


def report(rows: list[dict[str, Any]]) -> str:
    heads, body = cluster_model.measured(rows)
    return table(heads, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, nargs="+", default=[2e7])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--actors", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--pairwise", type=int, help="this many actors against as many threads, and nothing else")
    parser.add_argument("--gap", type=float, default=1e-3)
    parser.add_argument("--directory", help="where partitions are, or are written; by default they are removed after")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--note", default="", help="what else ran on the machine, for the page")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        way = pairwise if given.one == _PAIRWISE else partial(measure, given.one)
        print(_ROW + json.dumps(way(int(given.pairs[0]), given)), flush=True)
        return
    if given.pairwise is not None and not 1 <= given.pairwise <= cores():
        parser.error(
            f"--pairwise {given.pairwise}: expected the number of actors, 1 to {cores()}, one per core of this "
            f"machine; the number of passes is always {PAIRWISE}"
        )
    about, rows = description(), list[dict[str, Any]]()
    print(heading(about))
    for pairs in given.pairs:
        rows += all_ways(int(pairs), given)
    if given.pairwise:
        return
    print(report(rows))
    few = cluster_model.fewest(rows)
    if few and few[-1]["pass_cpu"] >= cluster_model.SHORTEST:
        print("predicted, not measured:")
        print(table(*cluster_model.predicted(rows)))
    if given.json:
        options = {"pairs": given.pairs, "gap": given.gap, "note": given.note}
        save(given.json, about, options, rows)


def all_ways(pairs: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Every way at one size, each in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        directory = str(Path(given.directory or temporary) / f"{pairs}")
        stored, seconds = partitions_of(pairs, Path(directory))
        if seconds:
            print(f"partition: {seconds:.1f} s, {stored.n_pairs / seconds / 1e6:.2f} million pairs a second")
        ways = [f"threads {n}" for n in given.threads] + [f"actors {n}" for n in given.actors]
        for way in [_PAIRWISE] if given.pairwise else ways:
            command = [sys.executable, "-m", "benchmarks.cluster", "--one", way, "--pairs", str(pairs)]
            command += ["--directory", directory, "--gap", str(given.gap)]
            command += ["--pairwise", str(given.pairwise)] if given.pairwise else []
            for attempt in range(ATTEMPTS):
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=attempt == ATTEMPTS - 1)
                if done.returncode == 0:
                    break
            rows.append(row_in(done.stdout))
            print(f"{way}: {rows[-1]}", flush=True)
    return rows


if __name__ == "__main__":
    main()
