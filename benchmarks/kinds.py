"""Every kind of program next to HiGHS, OR-tools PDLP and Clarabel, where they can state it.

    python -m benchmarks.kinds --json kinds.json                     # 1e5 and 1e6 pairs, one thread, 60 s each
    python -m benchmarks.kinds --pairs 1e5 --only caps keep --solvers ours:1e-4 highs

The market is the usual one of `shape_markets.py`. Every run has a process of its own, in which the market and the
matrix of the program are made before anything is counted. Seconds are processor seconds of one thread; at the limit
the system ends the process. Value and violation are computed from the allocation that a solver returns
(`Model.judge`), and gaps are to the bound that ours proves with the last of its gaps. A solver is not tried where its
own seconds or memory at the smaller size say that it cannot do it.
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
from benchmarks.kinds_models import KINDS, Floats
from benchmarks.kinds_runners import RUNNERS
from benchmarks.machine import available, description, forget_peak, heading, peak, resident
from benchmarks.reach import Reached
from benchmarks.results import load, save
from benchmarks.shape_markets import MARKETS
from benchmarks.tables import table
from oasis_alloc.kernels._compiling import told_of_compiling

_OURS = ("ours:1e-4", "ours:1e-6")
_HEADS = ("pairs", "program", "solver", "build s", "solve s", "gap", "violation", "new MB", "")
_SHARE_OF_MEMORY = 0.85  # of what is free


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where one of our own answers is not what was asked for."""
    options = _options(arguments)
    if options.child is not None:
        program, size, solver, file = options.child
        _work(program, size, solver, file, options)
        return 0
    about = description()
    print(heading(about), flush=True)
    earlier = load(options.json) if options.resume and options.json is not None else None
    rows: list[dict[str, Any]] = [] if earlier is None else earlier["rows"]
    reached: dict[tuple[str, str], Reached] = {}
    for found in sorted(rows, key=lambda found: int(found["pairs"])):
        reached.setdefault((found["program"], found["solver"]), Reached()).note(found["pairs"], found)
    for pairs in sorted(int(size) for size in options.pairs):
        for program in options.only:
            if any((row["pairs"], row["program"]) == (pairs, program) for row in rows):
                continue
            here = [
                row
                for solver in options.solvers
                if (row := _row(program, pairs, solver, reached.setdefault((program, solver), Reached()), options))
            ]
            _compare(here)
            rows += here
            print(table(_HEADS, [_cells(row) for row in here], text=(1, 2, 8)), flush=True)
            if options.json is not None:
                save(options.json, about, vars(options), rows)
    bad = [row for row in rows if row["solver"].startswith("ours") and not _proven(row)]
    for row in bad:
        print(f"{row['program']}, {row['pairs']:,} pairs: {row['solver']} is not confirmed", file=sys.stderr)
    return 1 if bad else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    solvers = (*_OURS, *RUNNERS)
    parser.add_argument("--pairs", nargs="+", type=float, default=[1e5, 1e6])
    parser.add_argument("--only", nargs="*", choices=tuple(KINDS), default=list(KINDS))
    parser.add_argument("--solvers", nargs="*", choices=solvers, default=list(solvers))
    parser.add_argument("--limit", type=float, default=60.0, help="processor seconds for building and solving")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--resume", action="store_true", help="keep what the file has, and run what it has not")
    parser.add_argument("--child", nargs=4, metavar=("PROGRAM", "PAIRS", "SOLVER", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _row(program: str, pairs: int, solver: str, reached: Reached, options: argparse.Namespace) -> dict[str, Any] | None:
    """One run in a process of its own; None where the solver cannot state the program."""
    own = solver in _OURS
    if not own and program == "log fairness" and not RUNNERS[solver].curved:
        return None
    title = "oasis_alloc" if own else RUNNERS[solver].title
    stops = float(solver.partition(":")[2]) if own else RUNNERS[solver].tolerance
    row: dict[str, Any] = {"pairs": pairs, "program": program, "solver": solver, "title": title, "stops_at": stops,
                           "limit": options.limit}  # fmt: skip
    beyond = "" if own else reached.beyond(pairs, options.limit, available() / 1e6)
    if beyond:
        return row | {"outcome": "skipped", "error": beyond, "peak_mb": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "result.json")
        command = [sys.executable, "-m", "benchmarks.kinds", "--limit", str(options.limit), "--child", program,
                   str(pairs), solver, str(file)]  # fmt: skip
        with Path(folder, "errors").open("w+") as errors:
            process = subprocess.Popen(command, stdout=errors, stderr=errors)
            _, status, used = os.wait4(process.pid, 0)
            errors.seek(0)
            said = [line.strip() for line in errors if line.strip()]
        if file.exists():
            row |= json.loads(file.read_text())
        else:
            late = os.WIFSIGNALED(status) and used.ru_utime + used.ru_stime >= options.limit
            row |= {"outcome": "limit" if late else "stopped", "peak_mb": used.ru_maxrss * 1024 / 1e6}
            row["error"] = said[-1] if said else f"ended with status {status}"
    reached.note(pairs, row)
    return row


def _work(program: str, pairs: str, solver: str, file: str, options: argparse.Namespace) -> None:
    """In the process of one run: make, solve, judge, and write the result."""
    build, degree = MARKETS["usual"]
    given = build(int(pairs) // degree)
    kind, own = KINDS[program], solver in _OURS
    model = kind.model(given)
    if own:
        gap = float(solver.partition(":")[2])
        oa.solve(kind.problem(build(400)), gap=gap, threads=1)  # compiles
        done = _ours(kind.problem(given), gap)
    else:
        done = _other(model.linear(), solver, options.limit)
    y = done.pop("y")
    if y is not None:
        value, violation = model.judge(y if own else model.attention(y))
        done |= {"value": value, "violation": violation}
    Path(file).write_text(json.dumps(done))


def _ours(problem: oa.Problem, gap: float) -> dict[str, Any]:
    """A solve that compiles nothing; building is of the program, within the solve."""
    compiled = ["kernels that the small problem did not need"]
    while compiled:
        compiled = []
        forget_peak()
        before, started = resident(), time.process_time()
        with told_of_compiling(compiled.append):
            solution = oa.solve(problem, gap=gap, threads=1)
        seconds = time.process_time() - started
    return {
        "outcome": "done" if solution.status is oa.Status.SOLVED else "stopped",
        "error": solution.status.name,
        "build_seconds": 0.0,
        "solve_seconds": seconds,
        "before_mb": before,
        "peak_mb": peak(),
        "bound": solution.bound,
        "passes": solution.passes,
        "y": solution.allocation,
    }


def _other(program: Any, solver: str, limit: float) -> dict[str, Any]:
    """Build and solve until the system ends the process."""
    import resource

    forget_peak()
    before, started = resident(), time.process_time()
    allowed, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(started + limit) + 1, most))
    data = int(_SHARE_OF_MEMORY * available())
    resource.setrlimit(resource.RLIMIT_DATA, (data, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    solve = RUNNERS[solver].build(program)
    built = time.process_time()
    y: Floats | None
    y, status = solve()
    solved = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, most))
    return {
        "outcome": "stopped" if y is None else "done",
        "error": status,
        "build_seconds": built - started,
        "solve_seconds": solved - built,
        "before_mb": before,
        "peak_mb": peak(),
        "y": y,
    }


def _compare(rows: list[dict[str, Any]]) -> None:
    """Add gaps to the best bound of ours, and seconds over those of ours to the first gap."""
    mine = [row for row in rows if row["solver"] in _OURS and row["outcome"] == "done"]
    bound = min((row["bound"] for row in mine), default=np.nan)
    for row in rows:
        if "value" in row and mine:
            row["gap"] = (bound - row["value"]) / max(abs(bound), abs(row["value"]))
        if mine and row["outcome"] in ("done", "limit"):
            seconds = row["solve_seconds"] if row["outcome"] == "done" else row["limit"]
            row["times_ours"] = seconds / mine[0]["solve_seconds"]


def _proven(row: dict[str, Any]) -> bool:
    return bool(row["outcome"] == "done" and row["gap"] <= row["stops_at"] * (1 + 1e-6) and row["violation"] <= 1e-6)


def remark_of(row: dict[str, Any]) -> str:
    """What there is to say of a run besides its numbers.

    >>> remark_of({"outcome": "limit", "limit": 60.0})
    'none in 60 s'
    """
    if row["outcome"] == "limit":
        return f"none in {row['limit']:g} s"
    return "" if row["outcome"] == "done" else f"{row['outcome']}: {row['error']}"[:70]


def _cells(row: dict[str, Any]) -> list[str]:
    forms = (("build_seconds", ".2f"), ("solve_seconds", ".2f"), ("gap", ".1e"), ("violation", ".0e"))
    name = row["title"] + ("" if row["stops_at"] is None else f" {row['stops_at']:.0e}")
    shown = [format(row[key], form) if key in row else "-" for key, form in forms]
    memory = f"{row['peak_mb'] - row.get('before_mb', 0.0):,.0f}" if row["peak_mb"] else "-"
    return [f"{row['pairs']:,}", row["program"], name, *shown, memory, remark_of(row)]


if __name__ == "__main__":
    sys.exit(main())
