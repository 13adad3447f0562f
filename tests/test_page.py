"""The page: what it shows of a solution, and that any label is safe in it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.commands.page import number, page
from oasis_alloc.commands.summary import cost, deliveries

from .reading import Page


def test_a_share_is_shown_as_a_cap_on_what_is_delivered() -> None:
    cands = oa.Candidates.from_arrays(
        [0, 2, 4], [0, 1, 0, 1], {"relevance": [0.9, 0.5, 0.8, 0.7]}, items={"licensor": ["m", "n"]},
        users={"market": ["SE", "DE"]},
    )  # fmt: skip
    problem = oa.Problem(
        cands,
        maximize=oa.total("relevance"),
        subject_to=[
            oa.exposure(by="licensor") <= 0.75 * oa.exposure(),
            oa.exposure(by=("licensor", "market")) <= 0.5 * oa.exposure(by="market"),
            (oa.exposure(by="licensor") >= 1.0).named("floor"),
            (oa.exposure(by="licensor") <= {"m": 5.0}).named("cap"),
        ],
        slate=oa.Slate(2),
    )
    positions, x = np.array([0, 1, 2]), np.array([1.0, 0.5, 1.0])
    prices = {name: np.zeros(len(problem.labels(name))) for name in problem.names}
    prices["floor"][1] = -0.2
    share, pairs, both = deliveries(problem, positions, x, prices)
    np.testing.assert_allclose(share.delivered, [2.0, 0.5])
    np.testing.assert_allclose(share.cap, [0.75 * 2.5, 0.75 * 2.5])
    assert pairs.labels == ["m · DE", "m · SE", "n · DE", "n · SE"]
    np.testing.assert_allclose(pairs.delivered, [1.0, 1.0, 0.0, 0.5])
    np.testing.assert_allclose(pairs.cap, [0.5, 0.75, 0.5, 0.75])
    assert both.names == ["floor", "cap"]
    np.testing.assert_allclose(both.floor, [1.0, 1.0])
    np.testing.assert_allclose(both.cap, [5.0, np.inf])
    np.testing.assert_allclose(both.price, [0.0, -0.2])
    assert both.state == ["", "at floor"]
    lost = cost(problem, positions, x, "relevance")
    assert lost.labels == ["DE", "SE"]
    np.testing.assert_allclose(lost.organic, [1.5, 1.4], rtol=1e-6)
    np.testing.assert_allclose(lost.kept, [0.8, 1.15], rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567.8, "1,234,568"),
        (-0.012345, "-0.01235"),
        (12.0, "12"),
        (0.0, "0"),
        (math.inf, "–"),
        (1e-12, "0"),
    ],
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_a_page_lists_the_groups_that_weigh_most_of_many() -> None:
    n = 200
    cands = oa.Candidates.from_arrays(
        np.arange(n + 1), np.arange(n), {"v": np.ones(n)}, items={"campaign": np.arange(n)}
    )
    problem = oa.Problem(
        cands, maximize=oa.total("v"), subject_to=[oa.exposure(by="campaign") <= 0.5], slate=oa.Slate(1)
    )
    solution = oa.solve(problem)
    source = page(problem, solution, "many", "v")
    Page(source)
    assert len(re.findall(r"at cap</td>", source)) == 60
    assert "Listed are the 60 whose limits weigh most." in source
