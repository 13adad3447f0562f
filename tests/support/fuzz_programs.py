"""Random programs against an independent judge: `python tests/support/fuzz_programs.py --programs 5000 --seed 1`.

Every program is drawn from its own seed (`random_statements.py`), solved, and judged by a second statement of the same
mathematics (`fuzz_judge.py`). `--one SEED` prints a program, the answer and the judgment. The exit status is 1 where a
verdict is wrong or an exception is raised.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import json
import multiprocessing
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_verdicts import UNDECIDED, UNSURE, findings
from large_paths import large_paths as every_large_path
from presented import Presented, present
from random_statements import random_program

import oasis_alloc as oa

LIMIT = 20.0
"""Seconds that a solve may take; programs of some hundred pairs take some hundredths."""

_FOR_GOOD = contextlib.ExitStack()
"""What lasts until the process ends; a stack that nothing names would leave its contexts at once."""


@dataclass
class Judged:
    """One seed and what was found."""

    seed: int
    status: str
    seconds: float
    findings: list[tuple[str, str]] = field(default_factory=list)


def judged(seed: int, solver: str = "dual") -> Judged:
    """Draw, solve and judge the program of a seed; never raises but for an interrupt."""
    started = time.perf_counter()
    status, found, seconds = "none", [], 0.0
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            presented = present(random_program(seed))
            started = time.perf_counter()
            solution = oa.solve(presented.problem, solver=solver, time_limit=LIMIT, **presented.options)
            seconds = time.perf_counter() - started
        status = solution.status.name
        found += [("warning", str(w.message)) for w in said if "oasis_alloc" in str(w.filename)][:1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found += findings(presented, solution)
    except oa.SolverError as error:
        found.append(("SolverError", str(error)))
    except oa.ProblemError as error:
        found.append(("refused", str(error)))
    except Exception as error:  # whatever it is, it is counted
        where = traceback.extract_tb(error.__traceback__)[-1]
        found.append(("raw exception", f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"))
    return Judged(seed, status, seconds, found)


def main(arguments: list[str] | None = None) -> int:
    """Judge many seeds, or print one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=5000, help="how many (5000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1); others follow it")
    parser.add_argument("--one", type=int, help="print the program of this seed, its answer and the judgment")
    parser.add_argument("--seeds", help="a list of seeds, or the file of an earlier run whose failures are tried again")
    parser.add_argument("--solver", default="dual", help="dual, or one of the references, such as conic")
    parser.add_argument("--large-paths", action="store_true", help="solve by the paths of large problems")
    parser.add_argument("--processes", type=int, default=2, help="how many at once (2)")
    parser.add_argument("--write", type=Path, help="a JSON file for counts and failing seeds")
    chosen = parser.parse_args(arguments)
    if chosen.one is not None:
        _quietly(chosen.large_paths)
        return show(chosen.one, chosen.solver)
    return run(_seeds(chosen), chosen.processes, chosen.write, chosen.solver, chosen.large_paths)


def _seeds(chosen: argparse.Namespace) -> list[int]:
    if chosen.seeds and Path(chosen.seeds).is_file():
        return sorted({s for seeds in json.loads(Path(chosen.seeds).read_text())["failing"].values() for s in seeds})
    if chosen.seeds:
        return [int(seed) for seed in chosen.seeds.split(",")]
    return list(range(chosen.seed, chosen.seed + chosen.programs))


def run(seeds: list[int], processes: int, write: Path | None, solver: str = "dual", large_paths: bool = False) -> int:
    """Judge the seeds, with a line of progress now and then, and print the counts."""
    started, results = time.perf_counter(), []
    with multiprocessing.get_context("spawn").Pool(processes, _quietly, (large_paths,)) as pool:
        for one in pool.imap_unordered(functools.partial(judged, solver=solver), seeds, chunksize=4):
            results.append(one)
            if len(results) % 250 == 0 or len(results) == len(seeds):
                wrong = sum(any(is_failure(c) for c, _ in r.findings) for r in results)
                seconds = time.perf_counter() - started
                print(f"{len(results):6,} programs, {wrong} failures, {seconds:.0f} s", flush=True)
                if write is not None:  # what is known so far, should the run be stopped
                    write.write_text(json.dumps(summary(results), indent=1))
    counts = summary(results)
    print(table(counts))
    return int(counts["failures"] > 0)


def _quietly(large_paths: bool) -> None:
    """Leave Ctrl-C to the first process; turn down every threshold for large problems, as `small_steps` does."""
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if large_paths:
        _FOR_GOOD.enter_context(every_large_path())


def is_failure(category: str) -> bool:
    """True for wrong verdicts and exceptions; an open verdict or an unsure judge is neither."""
    return category not in (UNDECIDED, UNSURE)


def summary(results: list[Judged]) -> dict[str, Any]:
    """Counts by status and by category, failing seeds, and what one of each category says."""
    failing: dict[str, list[int]] = collections.defaultdict(list)
    example: dict[str, str] = {}
    for one in sorted(results, key=lambda r: r.seed):
        for category, text in one.findings:
            if one.seed not in failing[category]:
                failing[category].append(one.seed)
            example.setdefault(category, f"{one.seed}: {text}"[:400])
    wrong = {r.seed for r in results if any(is_failure(c) for c, _ in r.findings)}
    seconds = np.array([r.seconds for r in results] or [0.0])
    return {
        "programs": len(results),
        "first": min((r.seed for r in results), default=0),
        "last": max((r.seed for r in results), default=0),
        "failures": len(wrong),
        "statuses": dict(collections.Counter(r.status for r in results).most_common()),
        "failing": dict(failing),
        "examples": example,
        "slowest": [(r.seed, round(r.seconds, 2)) for r in sorted(results, key=lambda r: -r.seconds)[:5]],
        "mean seconds": round(float(seconds.mean()), 4),
    }


def table(counts: dict[str, Any]) -> str:
    """The counts as text."""
    seeds = f"seeds {counts['first']} to {counts['last']}"
    lines = [f"{counts['programs']:,} programs, {seeds}: {counts['failures']} failures"]
    lines += [f"  {n:6,}  {status}" for status, n in counts["statuses"].items()]
    for category, failing in sorted(counts["failing"].items(), key=lambda row: -len(row[1])):
        lines.append(f"  {len(failing):6,}  {category}: seeds {', '.join(map(str, failing[:8]))}")
        lines.append(f"          {counts['examples'][category]}")
    return "\n".join([*lines, f"  slowest: {counts['slowest']}, mean {counts['mean seconds']} s"])


def show(seed: int, solver: str = "dual") -> int:
    """Print the program of a seed, the answer and the judgment."""
    np.set_printoptions(threshold=60, precision=8, linewidth=160)
    program = random_program(seed)
    print(program)
    presented: Presented = present(program)
    print(presented.problem)
    for limit in presented.problem.subject_to:
        band = getattr(limit, "constraint", limit)
        print(limit.name, band, band.limit)
    print("slate", program.slate, "units", program.units, "scale", program.scale)
    try:
        solution = oa.solve(presented.problem, solver=solver, time_limit=LIMIT, **presented.options)
        claims = {name: getattr(solution, name) for name in ("value", "bound", "gap", "violation", "passes", "seconds")}
        print(solution.status.name, claims)
        for conflict in solution.conflicts:
            print(conflict)
    except Exception:
        traceback.print_exc()
    one = judged(seed, solver)
    for category, text in one.findings:
        print(f"{category}: {text}")
    return int(any(is_failure(category) for category, _ in one.findings))


if __name__ == "__main__":
    sys.exit(main())
