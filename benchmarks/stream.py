"""One market solved from memory and from Parquet files, with the page cache warm and cold.

    python -m benchmarks.stream                              # 5e7 pairs; files in a directory that is removed after
    python -m benchmarks.stream --pairs 1e9 --skip memory --directory /data/pairs --limit 2GiB     # files are kept

Each way is a process of its own. "cold at the start" drops the files from the page cache once, before the scan; "cold
passes" drops them before every pass over all pairs, as where files are larger than memory. Kernels are compiled before
anything is timed. The scan, which checks all files, is apart from the solve; in memory it stands for `from_arrays`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.instances import shape_of
from benchmarks.machine import description, forget_peak, heading, peak, resident
from benchmarks.tables import table
from oasis_alloc.engines.stream import ParquetStream
from oasis_alloc.markets import matching
from oasis_alloc.markets.market import Market

WAYS = ("memory", "warm", "cold start", "cold passes")


def market_of(pairs: int) -> Any:
    users, degree, campaigns = shape_of(pairs)
    return matching(users=users, degree=degree, campaigns=campaigns, seed=0)


def write(market: Market, directory: Path, compact: bool = True) -> None:
    """The market block by block, never more of it in memory."""
    first = 0
    for number, block in enumerate(market.blocks()):
        name, users = f"pairs-{number:06d}", len(block.indptr) - 1
        part = oa.Candidates.from_arrays(block.indptr, block.item, block.columns, n_items=market.n_items)
        part.to_parquet(directory, name=name, first_user=first, compact=compact)
        first += users


def drop(directory: Path) -> None:
    """Ask the system to forget what it has read of the files."""
    for path in directory.glob("*.parquet"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # what is not on the disk yet cannot be forgotten
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def before_passes(directory: Path) -> list[float]:
    """Drop the files before every pass that reads them; what that takes is kept apart."""
    seconds: list[float] = []
    original = ParquetStream._pieces

    def cold(self: ParquetStream, job: Any, stride: int = 1) -> None:
        if stride == 1 or self._sample is None:
            started = time.perf_counter()
            drop(directory)
            seconds.append(time.perf_counter() - started)
        original(self, job, stride)

    ParquetStream._pieces = cold  # type: ignore[method-assign]
    return seconds


def measure(way: str, given: argparse.Namespace) -> dict[str, Any]:
    """Solve in this process."""
    market = market_of(int(given.pairs))
    small = matching(users=4_000, degree=100, campaigns=200, seed=1)
    with tempfile.TemporaryDirectory() as directory:  # compiles
        in_memory = small.candidates()
        write(small, Path(directory))
        streamed = oa.Candidates.from_parquet(directory, items=small.item_attributes())
        for candidates in (in_memory, streamed):
            oa.solve(small.problem().replace(candidates=candidates), gap=1e-4)
    lost: list[float] = []
    if way == "memory":
        arrays = [(block.item, block.columns["value"]) for block in market.blocks()]
        item, value = (np.concatenate(side) for side in zip(*arrays, strict=True))
        del arrays
        started, before = time.perf_counter(), resident()
        indptr = np.arange(market.users + 1) * market.degree
        candidates = oa.Candidates.from_arrays(indptr, item, {"value": value}, items=market.item_attributes())
    else:
        if way != "warm":
            drop(given.directory)
        started, before = time.perf_counter(), resident()
        forget_peak()
        candidates = oa.Candidates.from_parquet(
            given.directory, items=market.item_attributes(), memory=given.limit, user="user", item="item"
        )
    scan = time.perf_counter() - started
    if way == "cold passes":
        lost = before_passes(given.directory)
    elif way == "cold start":
        drop(given.directory)
    caps = (oa.exposure(by="campaign") <= market.caps).named("caps")
    problem = oa.Problem(candidates, oa.total("value"), [caps], oa.Slate(3))
    started = time.perf_counter()
    solution = oa.solve(problem, gap=given.gap, threads=given.threads)
    seconds = time.perf_counter() - started - sum(lost)
    return {
        "way": way, "pairs": candidates.n_pairs, "scan": scan, "solve": seconds, "passes": solution.passes,
        "gap": solution.gap, "violation": solution.violation, "value": solution.value, "bound": solution.bound,
        "new_megabytes": peak() - before, "limit": given.limit, "status": solution.status.name,
        "held_megabytes": 0.0 if candidates.stream is None else candidates.stream.budget.peak / 1e6,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, default=5e7)
    parser.add_argument("--gap", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", default="96MiB", help="memory= of the candidates from files")
    parser.add_argument("--directory", type=Path, help="where the files are written, or are already")
    parser.add_argument("--plain", action="store_true", help="write items plain, not as a dictionary")
    parser.add_argument("--skip", nargs="*", default=[], choices=WAYS)
    parser.add_argument("--only-write", action="store_true", help="write the files and measure nothing")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way, given)))
        return
    with tempfile.TemporaryDirectory() as made:
        directory = given.directory or Path(made)
        directory.mkdir(parents=True, exist_ok=True)
        if not any(directory.glob("*.parquet")):
            write(market_of(int(given.pairs)), directory, not given.plain)
        if given.only_write:
            return
        about = description()
        size = sum(path.stat().st_size for path in directory.glob("*.parquet"))
        print(heading(about))
        print(f"{given.pairs:,.0f} pairs, {size / 1e6:,.0f} MB in files, {given.threads} threads")
        results = []
        for way in WAYS:
            if way not in given.skip:
                command = [sys.executable, "-m", "benchmarks.stream", *sys.argv[1:]]
                command += ["--directory", str(directory), "--way", way]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results.append(json.loads(done.stdout))
    base = results[0]["solve"] / results[0]["passes"]
    rows = [
        [
            r["way"], f"{r['scan']:.2f}", f"{r['solve']:.2f}", f"{r['passes']:.1f}",
            f"{r['passes'] * r['pairs'] / r['solve'] / 1e6:,.0f}", f"{base / (r['solve'] / r['passes']):.2f}",
            f"{r['gap']:.1e}", f"{r['new_megabytes']:,.0f}", f"{r['held_megabytes']:,.0f}",
        ]
        for r in results
    ]  # fmt: skip
    heads = ["pairs are", "scan, s", "solve, s", "passes", "1e6 pairs/s", "speed", "gap", "new MB", "of pairs"]
    print(table(heads, rows))
    values = {r["value"] for r in results} | {r["bound"] for r in results}
    print("the same bits in all ways" if len(values) == 2 else f"values and bounds differ: {sorted(values)}")
    if given.json:
        given.json.write_text(json.dumps({"about": about, "results": results}, indent=1))


if __name__ == "__main__":
    main()
