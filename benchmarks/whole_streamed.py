"""The programs of whole.py from Parquet files, compared with memory: passes, processor seconds and memory.

    python -m benchmarks.whole_streamed                            # 1e6 pairs of 10,000 users, and 5e6 of as many
    python -m benchmarks.whole_streamed --degrees 1000 --limit 64MiB

Users are the same and their lists grow, so that arrays by user do not. Each solve is a process of its own on one
thread; kernels are compiled before anything is measured. `--limit` is `memory=` of the candidates: files are larger, so
every pass reads them again. Memory is the peak of the process while it solves, less what it held before it had pairs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks import whole
from benchmarks.machine import description, forget_peak, heading, peak, resident
from benchmarks.tables import table

_SLOTS = 3
HEADS = ("pairs", "program", "from", "passes", "processor_seconds", "times_memory", "new_megabytes", "held_megabytes")


def slots_and_floor(cands: oa.Candidates, caps: np.ndarray, floors: np.ndarray) -> oa.Problem:
    """Caps under slots of three weights, two that must be filled and a kept share."""
    slate = oa.Slate(_SLOTS, slot_weights=[1.0, 0.8, 0.6], at_least=2, keep={"relevance": 0.6})
    limits = [(oa.exposure(by="campaign") <= 0.8 * caps).named("caps")]
    return oa.Problem(cands, oa.total("value"), limits, slate)


def by_user(cands: oa.Candidates, caps: np.ndarray, floors: np.ndarray) -> oa.Problem:
    """Caps, and one item of an artist per user by a key of both: too fine for a table of all combinations."""
    limits = [
        (oa.exposure(by="campaign") <= caps).named("caps"),
        (oa.exposure(by=("person", "artist")) <= 1.0).named("frequency"),
    ]
    return oa.Problem(cands, oa.total("value"), limits, oa.Slate(_SLOTS))


PROGRAMS: dict[str, Callable[..., oa.Problem]] = {
    "caps alone": lambda cands, caps, floors: whole.caps_alone(cands, caps),
    "whole": whole.whole,
    "slots": slots_and_floor,
    "frequency": by_user,
}


def write(directory: Path, users: int, degree: int) -> None:
    """The market of whole.py with longer lists, as files, and its limits."""
    made, caps, floors = whole.candidates(users * degree)
    indptr = np.arange(users + 1) * degree
    keep = np.zeros(made.n_pairs, np.bool_)
    for first, last in pairwise(indptr.tolist()):  # the lists of several users joined into one: every item once
        keep[first + np.unique(made.item[first:last], return_index=True)[1]] = True
    joined = np.concatenate([[0], np.cumsum(keep)])[indptr]
    columns = {name: column[keep] for name, column in made.columns.items()}
    lists = oa.Candidates.from_arrays(joined, made.item[keep], columns, n_items=made.n_items)
    lists.to_parquet(directory, rows_per_group=1 << 16)
    items = {name: made.items[name].codes for name in made.items}
    share = degree / 100  # the limits are of as many slates as the market had
    arrays: dict[str, Any] = {"caps": caps / share, "floors": 0.4 * floors / share, **items}
    np.savez(directory / "about.npz", **arrays)


def read(directory: Path, limit: str | None) -> tuple[oa.Candidates, np.ndarray, np.ndarray]:
    """The candidates, streamed or in memory, and their limits."""
    about = dict(np.load(directory / "about.npz"))
    caps, floors = about.pop("caps"), about.pop("floors")
    streamed = oa.Candidates.from_parquet(directory, memory=limit or "2GiB")
    users = {"person": np.arange(streamed.n_users)}
    if limit is not None:
        return oa.Candidates.from_parquet(directory, users=users, items=about, memory=limit), caps, floors
    columns = {name: column[:] for name, column in streamed.columns.items()}
    made = oa.Candidates.from_arrays(streamed.indptr, streamed.item[:], columns, users=users, items=about)
    return made, caps, floors


def measure(program: str, directory: Path, limit: str | None, gap: float) -> dict[str, Any]:
    """Solve in this process."""
    with tempfile.TemporaryDirectory() as small:  # compiles
        write(Path(small), 500, 100)
        oa.solve(PROGRAMS[program](*read(Path(small), limit)), gap=gap, threads=1)
    before = resident()
    forget_peak()
    cands, caps, floors = read(directory, limit)
    started = time.process_time()
    solution = oa.solve(PROGRAMS[program](cands, caps, floors), gap=gap, threads=1)
    return {
        "pairs": cands.n_pairs, "program": program, "from": "memory" if limit is None else "files",
        "passes": solution.passes, "processor_seconds": time.process_time() - started, "status": solution.status.name,
        "gap": solution.gap, "violation": solution.violation, "value": solution.value, "new_megabytes": peak() - before,
        "held_megabytes": 0.0 if cands.stream is None else cands.stream.budget.peak / 1e6,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--degrees", type=int, nargs="*", default=[100, 500], help="candidates of a user")
    parser.add_argument("--programs", nargs="*", default=list(PROGRAMS), choices=list(PROGRAMS))
    parser.add_argument("--limit", default="12MiB", help="memory= of the candidates in files")
    parser.add_argument("--gap", type=float, default=1e-3)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        program, directory, way = given.one
        print(json.dumps(measure(program, Path(directory), given.limit if way == "files" else None, given.gap)))
        return
    about = description()
    print(heading(about), flush=True)
    rows: list[dict[str, Any]] = []
    for degree in given.degrees:
        with tempfile.TemporaryDirectory() as directory:
            write(Path(directory), given.users, degree)
            for program in given.programs:
                for way in ("memory", "files"):
                    settings = ["--limit", given.limit, "--gap", str(given.gap), "--one", program, directory, way]
                    command = [sys.executable, "-m", "benchmarks.whole_streamed", *settings]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    rows.append(json.loads(done.stdout.splitlines()[-1]))
                    memory = next(row for row in reversed(rows) if row["from"] == "memory")
                    rows[-1]["times_memory"] = rows[-1]["processor_seconds"] / memory["processor_seconds"]
                    print(json.dumps(rows[-1]), flush=True)
    if given.json is not None:
        from benchmarks.results import save

        save(given.json, about, vars(given) | {"json": str(given.json), "one": None}, rows)
    forms = (",", "", "", ".1f", ".2f", ".2f", ".1f", ".1f")
    cells = [[format(row[h], f) for h, f in zip(HEADS, forms, strict=True)] for row in rows]
    print("\n" + table(HEADS, cells, text=(1, 2)))


if __name__ == "__main__":
    main()
