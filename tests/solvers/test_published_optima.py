"""Generalized assignment instances of the OR-Library and of Yagiura, relaxed: the optimum is known to all digits.

Jobs are users with one slot that must be filled, agents are the candidates, consumption is a column with a cap by
agent, and a slot is worth a constant minus its cost. Every run has the first instance; a full run has all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

NAMES = [f"{number:02d}" for number in range(12)]
each_instance = pytest.mark.parametrize(
    "number", [0, *(pytest.param(number, marks=pytest.mark.full) for number in range(1, len(NAMES)))], ids=NAMES
)


@pytest.fixture(scope="module")
def instances(data_dir: Path) -> list[dict[str, Any]]:
    folder = data_dir / "opt-instances"
    if not (folder / "gap_pairs.parquet").is_file():
        pytest.skip(f"no published instances: {folder} has no gap_pairs.parquet; set OASIS_ALLOC_DATA to where it is")
    pd = pytest.importorskip("pandas")
    tables = {name: pd.read_parquet(folder / f"gap_{name}.parquet") for name in ("instances", "capacity", "pairs")}
    out = []
    for row in tables["instances"].to_dict("records"):
        of = {name: tables[name][tables[name]["instance"] == row["instance"]] for name in ("capacity", "pairs")}
        out.append({**row, **of})
    assert len(out) == len(NAMES)
    return out


def statement(instance: dict[str, Any], filled: str) -> tuple[oa.Problem, float]:
    """The relaxation as an allocation, and the constant of which costs are taken off."""
    pairs = instance["pairs"].sort_values(["job", "agent"])
    jobs, first = np.unique(pairs["job"].to_numpy(), return_index=True)
    agents = np.sort(instance["capacity"]["agent"].to_numpy())
    cost = pairs["cost"].to_numpy(np.float64)
    most = float(cost.max()) + 1.0
    candidates = oa.Candidates.from_arrays(
        np.append(first, len(pairs)),
        np.searchsorted(agents, pairs["agent"].to_numpy()),
        {"worth": most - cost, "consumption": pairs["consumption"].to_numpy(np.float64)},
        users={"job": jobs},
        items={"agent": agents},
    )
    assert candidates.n_pairs == instance["agents"] * instance["jobs"]
    caps = dict(zip(instance["capacity"]["agent"].tolist(), instance["capacity"]["capacity"].tolist(), strict=True))
    slots = oa.exposure(by="job")
    constraints = [
        (oa.total("consumption", by="agent") <= caps).named("capacity"),
        (slots == 1 if filled == "==" else slots >= 1).named("filled"),
    ]
    return oa.Problem(candidates, oa.total("worth"), constraints, oa.Slate(1)), most * len(jobs)


def check(instance: dict[str, Any], filled: str, solver: str, digits: float, to: float) -> None:
    problem, constant = statement(instance, filled)
    optimum = instance["lp_optimum"]
    gap = to * optimum / max(1.0, constant - optimum)  # the gap is relative to the worth, the digits to the cost
    solution = oa.solve(problem, solver=solver, gap=min(gap, to))
    assert solution.status is oa.Status.SOLVED
    assert solution.violation <= 1e-6
    # the certificate brackets the published optimum, up to what a violation of 1e-6 buys
    bought = sum(float(np.abs(solution.prices[name]).max()) for name in ("capacity", "filled")) * 1e-6
    assert constant - solution.bound <= optimum * (1 + 1e-7)
    assert constant - solution.value >= optimum * (1 - 1e-7) - bought
    assert constant - solution.value == pytest.approx(optimum, rel=digits)
    assert constant - solution.bound == pytest.approx(optimum, rel=digits)
    assert solution.totals["filled"] == pytest.approx(1.0, abs=1e-6)
    assert (solution.prices["capacity"] >= 0.0).all()
    if filled == ">=":
        assert (solution.prices["filled"] <= 0.0).all()


@each_instance
def test_dual_to_four_digits(instances: list[dict[str, Any]], number: int) -> None:
    check(instances[number], "==", "dual", 1e-4, 1e-4)


@each_instance
def test_dual_to_six_digits(instances: list[dict[str, Any]], number: int) -> None:
    check(instances[number], ">=", "dual", 1e-6, 1e-6)


@each_instance
def test_conic_to_six_digits(instances: list[dict[str, Any]], number: int) -> None:
    check(instances[number], "==", "conic", 1e-6, 1e-6)
