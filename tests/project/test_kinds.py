"""Every kind of program in the benchmarks: markets that differ, and other solvers that get the programs that we get."""

from __future__ import annotations

import numpy as np
import pytest

import oasis_alloc as oa
from benchmarks import shape_tables
from benchmarks.kinds_models import KINDS, Model
from benchmarks.kinds_runners import RUNNERS
from benchmarks.shape_markets import EXACT, MARKETS, SIZE, Given
from benchmarks.shapes import LIMITS, SHAPES


@pytest.fixture(scope="module")
def given() -> Given:
    return EXACT["usual"](60)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", list(KINDS))
def test_others_get_the_program_that_we_get(name: str, given: Given) -> None:
    """The optimum of the matrices is ours, and the judge finds our own value and no violation."""
    kind, runner = KINDS[name], "clarabel" if name == "log fairness" else "highs"
    model = kind.model(given)
    y, status = RUNNERS[runner].build(model.linear())()
    assert y is not None, status
    value, violation = model.judge(model.attention(y))
    assert violation <= 1e-4 if runner == "clarabel" else violation <= 1e-6
    ours = oa.solve(kind.problem(given), gap=1e-7, threads=1)
    assert ours.status is oa.Status.SOLVED
    assert value == pytest.approx(ours.bound, rel=1e-4 if runner == "clarabel" else 1e-6)
    judged, broken = model.judge(ours.allocation)
    assert judged == pytest.approx(ours.value, rel=1e-9)
    assert broken <= 1e-6


@pytest.mark.few(2)
@pytest.mark.parametrize("solver", ["highs", "highs-ipm", "clarabel", "pdlp"])
def test_every_runner_reads_rows_with_two_sides(solver: str, given: Given) -> None:
    """Floors, caps, equations of shared totals and free variables, each in its place."""
    if solver == "pdlp":
        pytest.importorskip("ortools", reason="OR-tools is in the extra 'bench'")
    model = KINDS["floors and shares"].model(given)
    y, status = RUNNERS[solver].build(model.linear())()
    assert y is not None, status
    value, violation = model.judge(model.attention(y))
    ours = oa.solve(KINDS["floors and shares"].problem(given), gap=1e-6, threads=1)
    assert value == pytest.approx(ours.value, rel=2e-3)
    assert violation <= 2e-2  # PDLP means an absolute residual, and caps are about 1


def test_the_judge_finds_what_is_broken(given: Given) -> None:
    model = KINDS["slot weights"].model(given)
    one = np.zeros(model.pairs)
    assert model.judge(one) == (0.0, 0.0)
    one[0] = 1.0
    assert model.judge(one) == (pytest.approx(float(model.value[0])), 0.0)
    one[:2] = 0.95  # the second slot has a weight of 0.9: 1.9 are at most shared by two
    assert model.judge(one)[1] == 0.0
    one[:2] = 1.0
    assert model.judge(one)[1] == pytest.approx(0.1 / 1.9)
    caps = KINDS["caps"].model(given)
    every = np.ones(caps.pairs)
    total = np.bincount(np.asarray(given.cands.items["campaign"].codes)[given.cands.item], minlength=given.caps.size)
    over = float(np.max((total - given.caps) / np.maximum(given.caps, total)))
    assert caps.judge(every)[1] == pytest.approx(max(over, (caps.degree - SIZE) / SIZE))


def test_copies_give_the_attention_of_orderings(given: Given) -> None:
    model: Model = KINDS["slot weights"].model(given)
    linear = model.linear()
    assert linear.gain.size == SIZE * model.pairs
    y = np.zeros((SIZE, model.pairs))
    for copy in range(SIZE):
        y[copy, : copy + 1] = 1.0  # the first pairs of the first user, in their order
    assert model.attention(y.ravel())[:SIZE] == pytest.approx(np.linspace(1.0, 0.1, SIZE))
    assert linear.gain @ y.ravel() == pytest.approx(float(model.value[:SIZE] @ np.linspace(1.0, 0.1, SIZE)))


def test_the_markets_differ_in_what_makes_programs_slow() -> None:
    made = {name: build(400) for name, build in EXACT.items()}
    together = {
        name: np.corrcoef(given.cands.columns["value"], given.cands.columns["relevance"])[0, 1]
        for name, given in made.items()
    }
    assert together["usual"] > 0.9
    assert 0.2 < together["long lists"] < 0.6
    assert together["few campaigns"] < -0.4
    levels = {name: np.unique(given.cands.columns["value"]).size for name, given in made.items()}
    assert levels["few campaigns"] <= 40 < 1000 < min(levels["usual"], levels["long lists"])
    assert {name: given.cands.n_pairs // 400 for name, given in made.items()} == {n: d for n, (_, d) in MARKETS.items()}
    slots = {name: given.slots / given.caps.size for name, given in made.items()}
    assert slots["long lists"] < slots["usual"]
    assert set(LIMITS) == set(SHAPES) - {"caps"}


def test_a_page_tells_what_did_not_finish() -> None:
    row = {"market": "usual", "program": "keep", "times_caps": 2.0, "at_most": 12.0, "seconds": 1.0, "passes": 20.0,
           "gap": 1e-5, "violation": 0.0, "status": "SOLVED"}  # fmt: skip
    finer = {"times": 30.0, "passes": 60.0, "gap": None, "status": "TIME_LIMIT"}
    heads, cells = shape_tables.shapes({"rows": [row, row | {"program": "reach", "finer": finer}]})
    assert [len(line) for line in cells] == [len(heads)] * 2
    assert cells[1] == [
        "",
        "reach",
        "2.0",
        "12",
        "1.00",
        "20.0",
        "1e-05",
        "0e+00",
        "SOLVED",
        "30.0",
        "60.0",
        "TIME_LIMIT",
    ]
    _, (late,) = shape_tables.shapes({"rows": [row | {"status": "STOPPED", "finer": finer}]})
    assert late[2] == "> 2.0"
    assert late[-3:] == ["", "", ""]
    run = {"pairs": 100, "program": "caps", "title": "A", "stops_at": None, "outcome": "limit", "limit": 60.0,
           "peak_mb": 5.0, "times_ours": 20.0}  # fmt: skip
    _, (line,) = shape_tables.kinds({"rows": [run, run | {"pairs": 7}]}, 100)
    assert line == ["caps", "A", "its default", "", "", "> 20.0", "", "", "", "none in 60 s"]
