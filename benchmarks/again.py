"""Solving again from an earlier solution: passes and seconds for kinds of changes, next to a solve from the beginning.

    python -m benchmarks.again                            # caps alone and the whole program at 1e6 pairs
    python -m benchmarks.again --pairs 1e7 --programs caps
    python -m benchmarks.again --shapes caps frequency crossing

Changes: none; 1 % of the caps, by a fifth up or down; 5 % of the values, by about a tenth; the next hour, in which all
values move by about 5 % and 2 % of the campaigns are others. The markets are those of whole.py and shapes.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import oasis_alloc as oa
from benchmarks import shapes, whole
from benchmarks.machine import description, heading
from benchmarks.results import save
from benchmarks.tables import table

CHANGES = ("none", "limits", "values", "hour")


@dataclass(frozen=True, eq=False)
class Given:
    """Candidates, with limits by campaign in the order of the labels."""

    cands: oa.Candidates
    caps: np.ndarray
    floors: np.ndarray


def changed(given: Given, change: str, seed: int = 1) -> Given:
    """The market after a change of CHANGES."""
    rng = np.random.default_rng(seed)
    cands, caps, floors = given.cands, given.caps.copy(), given.floors
    if change == "none":
        return given
    if change == "limits":
        moved = rng.permutation(caps.size)[: max(1, caps.size // 100)]
        caps[moved] *= rng.choice([0.8, 1.2], moved.size)
        return Given(cands, caps, np.minimum(floors, caps))
    columns = {name: np.array(column) for name, column in cands.columns.items()}
    items = {name: key.labels[key.codes] for name, key in cands.items.items() if isinstance(key.labels, np.ndarray)}
    users = {name: key.labels[key.codes] for name, key in cands.users.items()}
    share, spread = (0.05, 0.1) if change == "values" else (1.0, 0.05)
    for column in columns.values() if change == "hour" else [columns["value"]]:
        some = rng.random(column.size) < share
        column[some] *= np.exp(spread * rng.standard_normal(int(some.sum()))).astype(column.dtype)
    if change == "hour":
        new = rng.permutation(caps.size)[: max(1, caps.size // 50)]
        items["campaign"] = np.where(np.isin(items["campaign"], new), items["campaign"] + caps.size, items["campaign"])
    made = oa.Candidates.from_arrays(cands.indptr, cands.item, columns, items=items, users=users)
    order = np.array(made.groups("campaign")) % caps.size
    return Given(made, caps[order], floors[order])


def measure(name: str, stated: Callable[[Given], oa.Problem], given: Given, gap: float) -> list[dict[str, object]]:
    """Solve, then solve every changed problem from the beginning and again."""
    first = oa.solve(stated(given), gap=gap, threads=1)
    rows: list[dict[str, object]] = []
    for change in CHANGES:
        problem = stated(changed(given, change))
        row: dict[str, object] = {"program": name, "pairs": given.cands.n_pairs, "change": change, "asked": gap}
        for how, start in (("cold", None), ("again", first)):
            started = time.process_time()
            solution = oa.solve(problem, gap=gap, threads=1, start=start)
            row |= {f"{how}_seconds": time.process_time() - started, f"{how}_passes": solution.passes}
        row |= {"gap": solution.gap, "violation": solution.violation, "status": solution.status.name}
        rows.append(row)
        print(f"{name}, {change}: {row['again_passes']:.1f} passes, {row['cold_passes']:.1f} cold", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, default=1e6)
    parser.add_argument("--programs", nargs="*", choices=("caps", "whole"), default=["caps", "whole"])
    parser.add_argument("--shapes", nargs="*", choices=tuple(shapes.SHAPES), default=[])
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    about = description()
    print(heading(about), flush=True)
    rows: list[dict[str, object]] = []
    if options.programs:
        given = Given(*whole.candidates(int(options.pairs)))
        stated: dict[str, tuple[Callable[[Given], oa.Problem], float]] = {
            "caps": (lambda g: whole.caps_alone(g.cands, g.caps), 1e-4),
            "whole": (lambda g: whole.whole(g.cands, g.caps, g.floors), 1e-3),
        }
        for name in options.programs:
            rows += measure(name, stated[name][0], given, stated[name][1])
    if options.shapes:
        given = Given(*shapes.market(int(options.pairs) // 50))
        for name in options.shapes:
            rows += measure(name, partial(_shape, shapes.SHAPES[name]), given, 1e-4)
    if options.json is not None:
        save(options.json, about, vars(options), rows)
    heads = ("program", "change", "cold_passes", "again_passes", "cold_seconds", "again_seconds", "gap", "status")
    forms = ("", "", ".1f", ".1f", ".2f", ".2f", ".1e", "")
    cells = [[format(row[h], f) for h, f in zip(heads, forms, strict=True)] for row in rows]
    print("\n" + table(heads, cells, text=(0, 1, 7)))


def _shape(build: Callable[[shapes.Given], oa.Problem], given: Given) -> oa.Problem:
    """A program of shapes.py of these candidates, caps and floors."""
    return build(shapes.Given(given.cands, given.caps, given.floors))


if __name__ == "__main__":
    main()
