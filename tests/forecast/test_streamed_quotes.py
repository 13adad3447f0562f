"""Quotes of candidates in Parquet files: the numbers of candidates in memory, and what needs memory is refused."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from quoted import problem

import oasis_alloc as oa
from tests.support.streamed import files


def streamed(given: oa.Problem, directory: Path, memory: str = "64MiB") -> oa.Problem:
    """The same problem over files that are cut anywhere."""
    cands = given.candidates
    folder = files(cands, directory, cuts=[101, 160], rows=37)
    users = {name: cands.users[name].labels[cands.users[name].codes] for name in cands.users}
    items = {name: cands.items[name].labels[cands.items[name].codes] for name in cands.items}
    read = oa.Candidates.from_parquet(folder, items=items, users=users, memory=memory)
    return given.replace(candidates=read)


def check(one: oa.Quote, other: oa.Quote) -> None:
    for name in ("units_now", "units", "feasible", "price", "passes", "units_at_price", "groups", "level"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.cost == pytest.approx(other.cost, rel=1e-9, abs=1e-9)
    assert one.max_units == pytest.approx(other.max_units, rel=1e-9, abs=1e-9)
    assert one.relevance.lost == pytest.approx(other.relevance.lost, abs=1e-9)
    assert np.allclose(one.curve.cost_low, other.curve.cost_low)
    assert np.allclose(one.curve.cost_high, other.curve.cost_high)
    assert np.allclose(one.curve.relevance, other.curve.relevance)
    for mine, theirs in ((one.displaced, other.displaced), (one.gained, other.gained)):
        assert [row[:2] for row in mine] == [row[:2] for row in theirs]
        assert [row.units for row in mine] == pytest.approx([row.units for row in theirs])
    assert [row[:2] for row in one.limits] == [row[:2] for row in other.limits]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "kind", ["plain", "supply", "functions", *(pytest.param(k, marks=pytest.mark.full) for k in ("keep", "at_most"))]
)
def test_quotes_of_files_are_those_of_memory(kind: str, tmp_path: Path) -> None:
    here = problem(kind, 0, users=40, items=16, degree=6)
    solution = oa.solve(here, gap=1e-6)
    there = oa.solve(streamed(here, tmp_path), gap=1e-6)
    assert there.value == solution.value
    asked = [
        oa.QuoteRequest(of={"campaign": 1}, units=2.0, max_price=0.5),
        oa.QuoteRequest(of={"campaign": 2}, where={"market": ["DE", "SE"]}, units=1.0),
        oa.QuoteRequest(items=[3, 5]),
    ]
    for one, other in zip(oa.quote(there, asked), oa.quote(solution, asked), strict=True):
        check(one, other)
    budget = there.problem.candidates.stream.budget  # type: ignore[union-attr]
    del one, other
    gc.collect()
    assert budget.held == 0, "what a quote reads is not kept"
    assert budget.peak <= budget.limit


def test_what_is_promised_is_kept_by_a_solve_of_the_files(tmp_path: Path) -> None:
    solution = oa.solve(streamed(problem("plain", 0, users=40, items=16, degree=6), tmp_path), gap=1e-6)
    quote = oa.quote(solution, of={"campaign": 1}, units=1.0)
    accepted = quote.accept()
    booked = oa.solve(accepted.problem, start=accepted.start, gap=1e-6)
    name = accepted.problem.names[len(solution.problem.subject_to)]
    assert booked.totals[name].max() >= quote.floor - 1e-5
    assert quote.cost.low - 1e-4 <= solution.value - booked.value <= quote.cost.high + 1e-4


def test_what_needs_pairs_in_memory_is_refused(tmp_path: Path) -> None:
    solution = oa.solve(streamed(problem("plain", 0, users=40, items=16, degree=6), tmp_path), gap=1e-6)
    new = {"user": [0], "item": [900], "relevance": [1.0], "promotion": [0.0]}
    for how, words in (
        ({"of": {"campaign": 1}, "units": 1.0, "certify": True}, "certify=True needs candidates in memory"),
        ({"pairs": new, "attributes": {"artist": 0}}, "pairs= needs candidates in memory"),
    ):
        with pytest.raises(oa.ProblemError, match=words):
            oa.quote(solution, **how)  # type: ignore[arg-type]
    quote = oa.quote(solution, of={"campaign": 1})
    with pytest.raises(oa.ProblemError, match="in memory"):
        quote.maximum()
    budget = solution.problem.candidates.stream.budget  # type: ignore[union-attr]
    filler = type("Filler", (), {})()
    budget.take(filler, budget.limit)
    with pytest.raises(oa.ProblemError, match="more memory="):
        oa.quote(solution, of={"campaign": 1})
    budget.close(filler)
    assert oa.quote(solution, of={"campaign": 1}).cost == quote.cost


def test_slot_weights_need_memory(tmp_path: Path) -> None:
    here = streamed(problem("slot_weights", 0, users=40, items=16, degree=6), tmp_path)
    solution = oa.solve(here, gap=1e-4)
    with pytest.raises(oa.ProblemError, match="slot weights"):
        oa.quote(solution, of={"campaign": 1})
