"""What-if questions: seconds per question, and served against planned by gap.

    python -m benchmarks.what_if --pairs 1e6

The market is that of whole.py, with caps and floors per campaign. Seconds are of the processor, on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks import whole
from benchmarks.machine import description, heading
from benchmarks.results import save
from benchmarks.tables import table


def questions(plan: oa.Solution, caps: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Questions by name."""
    labels = plan.problem.labels("caps")
    some = np.random.default_rng(0).permutation(len(labels))[: max(1, len(labels) // 100)].tolist()
    bound = int(np.argmax(plan.prices["caps"]))
    totals = plan.totals["caps"]
    asked = int(np.argmax(caps - totals))  # the campaign with most room

    def limits(name: str, numbers: dict[int, float | None]) -> Callable[[], oa.WhatIf]:
        changed: dict[Any, float | None] = {labels[g]: number for g, number in numbers.items()}
        return lambda: oa.what_if(plan, limits={name: changed})

    return {
        "the first question: a cap": limits("caps", {bound: 1.1 * caps[bound]}),
        "a cap": limits("caps", {bound: 1.2 * caps[bound]}),
        "a floor that the plan meets": limits("floors", {asked: 0.99 * totals[asked]}),
        "1 % of the caps": limits("caps", {g: 1.1 * caps[g] for g in some}),
        "a cap that is lifted": limits("caps", {bound: None}),
        "a song that is opted out": lambda: oa.what_if(plan, opt_out=[bound]),
        "a curve of six points": lambda: oa.limit_curve(
            plan, "caps", labels[bound], [f * caps[bound] for f in (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)]
        ),
        "who gains, by artist": lambda: oa.what_if(plan).moved("artist"),
        "reasons": lambda: oa.reasons(plan, labels[bound]),
        "served against planned": lambda: oa.served(plan, close=False),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, default=1e6)
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    about = description()
    print(heading(about), flush=True)
    cands, caps, floors = whole.candidates(int(options.pairs))
    campaign = oa.exposure(by="campaign")
    limits = [(campaign <= caps).named("caps"), (campaign >= floors).named("floors")]
    plan = oa.solve(oa.Problem(cands, oa.total("value"), limits, oa.Slate(3)), threads=1)
    rows: list[dict[str, object]] = []
    for name, ask in questions(plan, caps).items():
        began = time.process_time()
        ask()
        rows.append({"question": name, "seconds": time.process_time() - began})
        print(rows[-1], flush=True)
    if options.json is not None:
        save(options.json, about, vars(options), rows)
    print("\n" + table(("question", "seconds"), [[str(r["question"]), f"{r['seconds']:.2f}"] for r in rows], text=(0,)))


if __name__ == "__main__":
    main()
