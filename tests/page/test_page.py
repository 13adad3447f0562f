"""The page: what it shows of a solution, and that any label is safe in it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.markets import month
from oasis_alloc.page.page import number, page
from oasis_alloc.page.summary import cost, deliveries


class Page(HTMLParser):
    """Reads a page, refuses tags that do not match, and keeps its texts and tags."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("href", "src") for name, _ in attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def test_a_page_is_whole_and_stands_alone() -> None:
    market = month(400, 20, 6)
    problem = market.problem()
    source = page(problem, oa.solve(problem), "A month", "relevance")
    read = Page(source)
    assert "script" not in read.tags
    assert "http" not in source
    assert {"svg", "table", "style"} <= read.tags
    assert set(market.policy.caps) <= set(read.texts)
    assert {"What relevance it cost", "Campaign caps, campaign floors", "Relevance guard"} <= set(read.texts)
    assert {"AU", "US"} <= set(read.texts)
    assert "nan" not in " ".join(read.texts).lower().split()


def _two_users(*subject_to: object) -> oa.Problem:
    """Two users, two items with labels that would break a page that does not escape them."""
    cands = oa.Candidates.from_arrays(
        [0, 2, 4],
        [0, 1, 0, 1],
        {"<r>": [0.9, 0.5, 0.8, 0.1]},
        items={"campaign": ["<b>bold</b> & co", "other"]},
    )
    return oa.Problem(cands, oa.total("<r>"), subject_to, oa.Slate(1))  # type: ignore[arg-type]


def test_labels_names_and_titles_are_escaped() -> None:
    problem = _two_users((oa.exposure(by="campaign") <= 1).named("<script>alert(1)</script>"))
    read = Page(page(problem, oa.solve(problem), "<i>title</i>", "<r>"))
    assert "<b>bold</b> & co" in read.texts
    assert "<script>alert(1)</script>" in read.texts
    assert "<i>title</i>" in read.texts
    assert not read.tags & {"script", "r"}


def test_a_page_without_an_allocation_says_what_conflicts() -> None:
    problem = _two_users((oa.exposure() >= 1.9).named("enough"), (oa.total("<r>") >= 1.8).named("good"))
    solution = oa.solve(problem)
    assert solution.status is oa.Status.INFEASIBLE
    read = Page(page(problem, solution, "Too much", "<r>"))
    assert {"infeasible", "What conflicts", "good"} <= set(read.texts)
    assert not any(text.startswith("What adds up") for text in read.texts)


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
    assert both.state == ["", "below floor"], "a floor that is missed is not met"
    assert replace(both, floor=both.delivered, price=both.price).state == ["at floor", "at floor"]
    assert replace(both, floor=np.array([1.0, 0.4995])).state == ["", "at floor"], "its price says that it binds"
    assert replace(both, cap=both.delivered / 2).state == ["above cap", "above cap"]
    tiny = replace(both, delivered=both.delivered / 1e6, floor=both.floor / 1e6, cap=both.cap / 1e6)
    assert tiny.state == both.state, "whatever the unit"
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
    assert "The table shows the 60 groups whose limits weigh most." in source
