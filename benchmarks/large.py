"""A hundred million and a billion pairs in memory: seconds, passes, gap, violation, and memory over the data's.

    python -m benchmarks.large                                       # 1e8 and 1e9, one and two threads, gap 1e-3
    python -m benchmarks.large --sizes 1e7 --threads 2 --gap 1e-4 --trace --json large.json

The markets are those of peers.py, and every size has a process of its own, which makes its market once. Kernels are
compiled before anything is counted. "sum s" is the time to add up the bytes of the same arrays once on as many threads:
what reading the data costs, so that the ratio to it carries over to other machines. "peak / data" has the whole process
in it, also the interpreter with its compiled libraries (about 0.2 GB); "new / data" is what the solve adds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.instances import Instance, Shown, generate, generate_market, judge
from benchmarks.machine import description, forget_peak, heading, peak, resident
from benchmarks.results import plain, save
from benchmarks.runners import problem_of
from benchmarks.tables import table

_SUMS = 3  # of which the fastest counts
_PART_BYTES = 1 << 22
_HEADS = (
    "pairs", "threads", "to gap", "status", "make s", "build s", "solve s", "sum s", "solve / sum", "passes", "gap",
    "violation", "judged gap", "peak MB", "peak / data", "new / data", "bytes per pair",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where a solve did not reach its gap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=lambda s: int(float(s)), default=[10**8, 10**9], help="pairs")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--gap", nargs="+", type=float, default=[1e-3])
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for a solve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trace", action="store_true", help="print every pass")
    parser.add_argument("--no-judge", action="store_true", help="leave out the check in plain NumPy (20 ns per pair)")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        for row in _rows(options.child, options):
            print(json.dumps(plain(row)), flush=True)
        return 0
    about = description()
    print(heading(about), flush=True)
    rows: list[dict[str, Any]] = []
    given = sys.argv[1:] if arguments is None else arguments
    for pairs in options.sizes:
        command = [sys.executable, "-m", "benchmarks.large", *given, "--child", str(pairs)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                rows.append(json.loads(line))
                said = [f"{head} {cell}" for head, cell in zip(_HEADS, _cells(rows[-1]), strict=True)]
                print(", ".join(said), flush=True)
                if options.json is not None:
                    save(options.json, about, vars(options), rows)
        if process.returncode != 0:
            rows.append({"pairs": pairs, "status": f"ended with code {process.returncode}"})
    print("\n" + table(_HEADS, [_cells(row) for row in rows], text=(3,)))
    if options.json is not None:
        save(options.json, about, vars(options), rows)
    return 0 if all(row["status"] == "SOLVED" for row in rows) else 1


def _cells(row: dict[str, Any]) -> list[str]:
    forms = (
        ("pairs", ","), ("threads", "d"), ("asked", ".0e"), ("status", ""), ("make_seconds", ".1f"),
        ("build_seconds", ".2f"), ("seconds", ".2f"), ("sum_seconds", ".3f"), ("ratio", ".0f"), ("passes", ".1f"),
        ("gap", ".1e"), ("violation", ".0e"), ("judged_gap", ".1e"), ("peak_mb", ",.0f"), ("peak_over_data", ".2f"),
        ("new_over_data", ".2f"), ("bytes_a_pair", ".2f"),
    )  # fmt: skip
    return [format(row[name], form) if row.get(name) is not None else "-" for name, form in forms]


def _rows(pairs: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """In the process of one size: a row for every number of threads and gap."""
    import oasis_alloc as oa

    started = time.perf_counter()
    instance = generate(pairs, options.seed, threads=max(options.threads))
    made = time.perf_counter() - started
    small = problem_of(generate_market(2_000, 100, instance.caps.size))  # the same types
    oa.solve(small, gap=1e-6)
    data = instance.value.nbytes + instance.item.nbytes + instance.indptr.nbytes
    for threads in options.threads:
        summed = sum_seconds(instance, threads)
        for gap in options.gap:
            forget_peak()
            before = resident()
            trace: list[list[Any]] = []
            note = partial(_note, trace, options.trace)
            started = time.perf_counter()
            problem = problem_of(instance)
            built = time.perf_counter()
            solution = oa.solve(problem, gap=gap, threads=threads, time_limit=options.limit, progress=note)
            solved = time.perf_counter()
            most = peak()
            verdict = None
            if not options.no_judge:
                verdict = judge(instance, Shown(solution.pairs, solution.x), solution.prices["caps"])
            yield {
                "pairs": instance.pairs,
                "users": instance.users,
                "campaigns": instance.caps.size,
                "threads": threads,
                "asked": gap,
                "status": solution.status.name,
                "make_seconds": made,
                "build_seconds": built - started,
                "seconds": solved - built,
                "sum_seconds": summed,
                "ratio": (solved - built) / summed,
                "passes": solution.passes,
                "gap": solution.gap,
                "violation": solution.violation,
                "value": solution.value,
                "bound": solution.bound,
                "judged_gap": verdict.gap if verdict else None,
                "judged_violation": verdict.violation if verdict else None,
                "judged_worst_slate": verdict.worst_slate if verdict else None,
                "binding": int(np.count_nonzero(solution.prices["caps"])),
                "data_mb": data / 1e6,
                "before_mb": before,
                "peak_mb": most,
                "peak_over_data": most * 1e6 / data,
                "new_over_data": (most - before) * 1e6 / data,
                "bytes_a_pair": most * 1e6 / instance.pairs,
                "trace": trace,
            }
            del problem, solution


def _note(trace: list[list[Any]], printed: bool, state: Any) -> None:
    trace.append([state.stage, state.seconds, state.passes, state.bound, state.value])
    if printed:
        where = f"{state.seconds:8.2f} s  {state.passes:6.2f} passes  {state.stage:<9}"
        found = f"bound {state.bound:.8g}  value {state.value:.8g}  gap {state.gap:.1e}  gamma {state.smoothing:.1e}"
        print(f"{where}  {found}", file=sys.stderr, flush=True)


def sum_seconds(instance: Instance, threads: int) -> float:
    """The least time to add up the values, and the item numbers eight bytes at a time, on so many threads."""
    arrays = (instance.value, _words(instance.item))
    parts = [part for a in arrays for part in np.array_split(a, max(threads, a.nbytes // _PART_BYTES))]
    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_SUMS):
            started = time.perf_counter()
            for _ in pool.map(np.sum, parts):
                pass
            best = min(best, time.perf_counter() - started)
    return best


def _words(array: NDArray[Any]) -> NDArray[np.uint64]:
    whole = array.nbytes // 8 * 8 // array.itemsize
    return array[:whole].view(np.uint64)


if __name__ == "__main__":
    sys.exit(main())
