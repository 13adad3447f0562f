"""What a pass, a round and a solve cost on Ray actors, next to threads; and what sizes beyond this machine would cost.

    python -m benchmarks.cluster                             # 2e7 pairs; 1, 2 and 4 actors next to 1 and 2 threads
    python -m benchmarks.cluster --pairs 1e8 --actors 2 --directory /data/partitions       # partitions are kept

Each way is a process of its own, with pairs in memory: threads hold all of them, actors a part each. A pass visits all
users at fixed prices. A round is a call of all actors that has nothing to do: it is what a cluster adds to each pass
and to each product with the curvature. The last table is not measured: it is the cost model of docs/cluster.md with
the numbers of the first one.
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
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.instances import shape_of
from benchmarks.machine import description, heading, peak, resident
from benchmarks.tables import table
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.ray.cluster import Cluster
from oasis_alloc.engines.ray.driver import RayChunks
from oasis_alloc.markets import matching
from oasis_alloc.program.lowering import lower

REPEATS, ROUNDS = 7, 50
ROUNDS_OF_A_SOLVE = 25  # passes and products with the curvature, for a gap of 1e-3
BYTES = 6  # of a pair: an item in 2 and a number in 4
MODEL = (  # pairs, actors of 16 threads
    (1e9, 1), (1e10, 4), (1e11, 40), (1e12, 400),
)  # fmt: skip


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


def passes_of(engine: Chunked) -> tuple[float, float]:
    """(seconds of a pass, of a round) at prices at which about half of the caps bind."""
    program = engine.program
    prices = np.where(np.arange(program.n_rows) % 2 == 0, 0.3 * engine.survey().size, 0.0)
    gamma = 0.05 * engine.survey().size
    nothing = np.empty(0, np.int64)

    def ask() -> object:
        return engine.fetch(nothing) if isinstance(engine, RayChunks) else engine.add_up(nothing, np.empty(0))

    for _ in range(2):  # loads kernels, and finds thresholds
        engine.visit(prices, gamma)
        ask()
    return median(lambda: engine.visit(prices, gamma), REPEATS), median(ask, ROUNDS)


def measure(way: str, given: argparse.Namespace) -> dict[str, Any]:
    """One way, in this process."""
    kind, _, number = way.partition(" ")
    stored, _ = partitions_of(int(given.pairs), Path(given.directory))
    row: dict[str, Any] = {"way": way, "pairs": stored.n_pairs}
    before = resident()
    if kind == "threads":
        problem = problem_of(stored, in_memory=True)
        with engine_for(lower(problem), int(number)) as engine:
            row["pass"], row["round"] = passes_of(engine)
        started = time.perf_counter()
        solution = oa.solve(problem, gap=given.gap, threads=int(number))
    else:
        import ray

        problem = problem_of(stored, in_memory=False)
        cores = max(int(number), os.cpu_count() or 1)  # more actors than cores wait for each other
        ray.init(address="local", num_cpus=cores, object_store_memory=200_000_000, log_to_driver=False)
        with oa.RayEngine(actors=int(number)) as settings:
            started = time.perf_counter()
            with settings._started() as cluster, cluster.engine(lower(problem)) as engine:
                engine.survey()  # actors load with their first call
                row["start"] = time.perf_counter() - started
                row["pass"], row["round"] = passes_of(engine)
                used = sum(place["peak_bytes"] for place in cluster.places()) / 1e6
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
    heads = [
        "way",
        "start s",
        "pass s",
        "ns a pair",
        "round ms",
        "solve s",
        "passes",
        "rounds",
        "actors MB",
        "this process MB",
    ]
    forms = {
        "start": "{:.1f}", "pass": "{:.3f}", "ns": "{:.2f}", "round ms": "{:.1f}", "solve": "{:.1f}",
        "passes": "{:.1f}", "rounds": "{:d}", "actors_megabytes": "{:.0f}", "driver_megabytes": "{:.0f}",
    }  # fmt: skip
    body = []
    for row in rows:
        numbers = {**row, "ns": 1e9 * row["pass"] / row["pairs"], "round ms": 1e3 * row["round"]}
        body.append([row["way"], *(form.format(numbers[k]) if k in numbers else "" for k, form in forms.items())])
    return table(heads, body)


def model(rows: list[dict[str, Any]]) -> str:
    """Predicted sizes, from the pass of one actor and the round of the most actors."""
    one = min((row for row in rows if row["way"].startswith("actors")), key=lambda row: row["way"])
    per_pair, round_ = one["pass"] / one["pairs"], max(row["round"] for row in rows if row["way"].startswith("actors"))
    body = []
    for pairs, actors in MODEL:
        visit = pairs * per_pair / (16 * actors)
        whole, held = ROUNDS_OF_A_SOLVE * (visit + round_), BYTES * pairs / actors / 1e9
        body.append([f"{pairs:.0e}", str(actors), f"{visit:.2f}", f"{1e3 * round_:.0f}", f"{whole:.0f}", f"{held:.0f}"])
    return table(["pairs", "actors of 16 threads", "pass s", "round ms", "25 rounds s", "GB of pairs an actor"], body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, default=2e7)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--actors", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--gap", type=float, default=1e-3)
    parser.add_argument("--directory", help="where partitions are, or are written; by default they are removed after")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        given.directory = given.directory or temporary
        stored, seconds = partitions_of(int(given.pairs), Path(given.directory))
        about = description()
        print(heading(about))
        if seconds:
            print(f"partition: {seconds:.1f} s, {stored.n_pairs / seconds / 1e6:.2f} million pairs a second")
        rows = []
        for way in [f"threads {n}" for n in given.threads] + [f"actors {n}" for n in given.actors]:
            command = [sys.executable, "-m", "benchmarks.cluster", "--one", way, "--pairs", str(given.pairs)]
            command += ["--directory", given.directory, "--gap", str(given.gap)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{way}: {rows[-1]}", flush=True)
        print(report(rows))
        print("predicted, not measured:")
        print(model(rows))
        if given.json:
            rows.append({"way": "partition", "pairs": stored.n_pairs, "seconds": seconds})
            given.json.write_text(
                json.dumps({"about": about, "options": {"pairs": given.pairs}, "rows": rows}, indent=1)
            )


if __name__ == "__main__":
    main()
