"""What notebooks show: tables with aligned numbers, escaped labels, names next to ids, and what signs mean."""

from __future__ import annotations

import copy
import pickle
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from effort import full_only

import oasis_alloc as oa

SCREEN = 60  # rows of all tables together
EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Rows of cells and their classes, paragraphs, and the tags that were used."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[tuple[str, bool]]] = []
        self.text = ""
        self.tags: set[str] = set()
        self._right: bool | None = None
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append(("", ("class", "n") in attrs))
            self._right = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._right = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._right is not None:
            text, right = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, right)


def campaigns(n: int, first: str = "c-0000") -> list[str]:
    return [first, *(f"c-{k:04d}" for k in range(1, n))]


def market(n: int, first: str = "c-0000") -> oa.Candidates:
    rng = np.random.default_rng(3)
    users, degree = 3 * n, min(n, 6)
    item = np.concatenate([rng.choice(n, degree, replace=False) for _ in range(users)])
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * degree, item, {"relevance": rng.random(item.size)},
        items={"campaign": campaigns(n, first)},
    )  # fmt: skip


def solved(n: int, first: str = "c-0000", name: str = "caps") -> oa.Solution:
    cands = market(n, first)
    caps = (oa.exposure(by="campaign") <= 2.0).named(name)
    floors = (oa.exposure(by="campaign") >= {campaigns(n, first)[1]: 1.5}).named("floors")
    return oa.solve(oa.Problem(cands, oa.total("relevance"), [caps, floors], oa.Slate(1)), gap=1e-3)


@pytest.fixture(scope="module")
def small() -> oa.Solution:
    return solved(5, EVIL, "<b>caps</b>")


@pytest.fixture(scope="module")
def large() -> oa.Solution:
    return solved(1_000)


def shown(solution: oa.Solution) -> dict[str, Any]:
    """Everything of a solution that a notebook shows as HTML."""
    curve = oa.frontier(solution.problem, vary=solution.problem.names[0], points=[1.9, 2.0], gap=1e-2)
    policy = solution.policy(unproven=True)
    explained = policy.explain([0, 1, 2], {"relevance": [0.9, 0.5, 0.1]})
    nothing = oa.solve(oa.Problem(solution.problem.candidates, oa.total("relevance"), slate=oa.Slate(1)), gap=1e-3)
    return {"solution": solution, "problem": solution.problem, "prices": solution.shadow_prices(), "frontier": curve,
            "explanation": explained, "comparison": oa.compare(nothing, solution)}  # fmt: skip


@pytest.mark.parametrize("size", ["small", *full_only("large")])
def test_pages_are_escaped_aligned_short_and_of_no_color(size: str, request: pytest.FixtureRequest) -> None:
    for what, item in shown(request.getfixturevalue(size)).items():
        source = item._repr_html_()
        assert source.startswith('<div class="oasis-alloc">'), what
        page = Page(source)
        assert not page.tags & {"script", "b"}, what
        assert len(page.rows) <= SCREEN, what
        style = re.search(r"<style>(.*?)</style>", source)
        assert style, what
        assert set(re.findall(r"(?<!-)color:(\w+)", style[1])) == {"inherit"}, "light and dark are the page's"
        assert not re.search(r"#[0-9a-f]{3}|white|black", source.replace("white-space", "")), what
        for row in page.rows:
            for text, right in row:
                if re.fullmatch(r"-?[\d,]+(\.\d+)?", text) and what != "explanation":
                    assert right, (what, row)
                if re.fullmatch(r"[a-z]{5,}", text) and text not in (
                    "relevance",
                    "point",
                    "value",
                    "passes",
                    "price",
                    "total",
                    "limit",
                    "groups",
                    "share",
                    "weight",
                    "before",
                    "after",
                    "change",
                ):
                    assert not right or text in ("score", "marginal", "margin"), (what, row)  # fmt: skip


def test_labels_and_names_are_there_as_they_are(small: oa.Solution) -> None:
    for what in ("solution", "problem", "prices", "comparison"):
        assert "<b>caps</b>" in Page(shown(small)[what]._repr_html_()).text


def test_signs_are_explained_where_prices_are_shown(small: oa.Solution) -> None:
    for what, item in shown(small).items():
        text = " ".join(Page(item._repr_html_()).text.split())
        if what != "problem":
            assert "floor" in text.split("price", 1)[1], what
            assert re.search(r"below 0", text), what
    assert "A floor's is below 0: one more promised would cost" in " ".join(repr(small.shadow_prices()).split())


def test_a_thousand_prices_are_counted_and_not_listed(large: oa.Solution) -> None:
    prices = large.shadow_prices()
    assert len(prices) > 200
    page = Page(prices._repr_html_())
    assert f"... and {len(prices) - 20:,} more" in page.text
    assert len(page.rows) == 21
    some = large.shadow_prices(limit=3)
    assert list(some) == list(prices)[:3]
    assert f"... and {len(prices) - 3:,} more" in repr(some)


def test_prices_are_a_list_and_a_frame(small: oa.Solution) -> None:
    prices = small.shadow_prices()
    assert isinstance(prices, list)
    frame = prices.to_frame("pandas")
    assert frame["price"].tolist() == [one.price for one in prices]
    assert frame["limit"].tolist() == [one.limit for one in prices]
    assert frame["group"].tolist() == [one.label for one in prices]
    assert frame.columns.tolist() == ["name", "group", "kind", "sense", "limit", "total", "price", "sentence"]
    for again in (pickle.loads(pickle.dumps(prices)), copy.deepcopy(prices)):
        assert again == prices
        assert repr(again) == repr(prices)
    for backend in ("polars", "pyarrow"):
        assert prices.to_frame(backend).shape == (len(prices), 8)
    prices.sort(key=lambda one: one.total)
    rows = [line for line in repr(prices).splitlines() if "caps" in line or "floors" in line]
    assert len(rows) == len(prices)
    for line, one in zip(rows, prices, strict=True):
        assert repr(one.label)[:20] in line, "groups stay with their prices in any order"


def test_no_prices_are_said_in_words() -> None:
    cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    free = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).shadow_prices()
    assert free == []
    assert repr(free).startswith("no price differs from 0")
    assert free.to_frame("pandas").shape == (0, 8)


def test_names_stand_next_to_labels(large: oa.Solution) -> None:
    label = large.shadow_prices()[0].label
    named = large.with_names({"campaign": {label: "Spring & <i>"}})
    assert f"{label!r} Spring & <i>" in Page(named._repr_html_()).text
    assert "<i>" not in named._repr_html_()
    assert f"{label!r} Spring & <i>" in repr(named.shadow_prices(limit=1))
    assert "Spring" in named.shadow_prices(limit=1)[0].sentence
    assert f"{label} Spring & <i>" in named.groups_frame(backend="pandas")["group"].tolist()
    assert str(large) == str(large.with_names({}))
    assert named.prices == large.prices
    assert named.groups_frame("caps", "pandas").equals(large.groups_frame("caps", "pandas"))


@pytest.mark.parametrize(
    ("names", "said"),
    [({"campain": {}}, "Did you mean 'campaign'"), ({"campaign": ["a"]}, "expected {label: name}"), ("x", "expected")],
)
def test_names_of_nothing_are_refused(small: oa.Solution, names: Any, said: str) -> None:
    with pytest.raises(oa.ProblemError, match=re.escape(said)):
        small.with_names(names)


def test_names_of_one_key_of_several() -> None:
    cands = oa.Candidates.from_arrays(
        [0, 1, 2], [0, 0], {"r": [0.9, 0.5]}, users={"market": ["US", "FR"]}, items={"campaign": ["c-1"]}
    )
    caps = (oa.exposure(by=("market", "campaign")) <= 0.5).named("caps")
    solution = oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1))).with_names({"campaign": {"c-1": "Spring"}})
    assert set(solution.shadow_prices().to_frame("pandas")["group"]) == {"FR, c-1 Spring", "US, c-1 Spring"}
    assert "('US', 'c-1') Spring" in str(solution)


def test_the_names_of_items_stand_next_to_their_ids(small: oa.Solution) -> None:
    explained = shown(small)["explanation"]
    named = explained.with_names({1: "Aria"})
    rows = {tuple(text for text, _ in row)[1:3] for row in Page(named._repr_html_()).rows if len(row) > 3}
    assert ("1", "Aria") in rows
    assert ("item", "name") in rows
    assert ("0", "") in rows
    assert named.to_dict() == explained.to_dict()
    with pytest.raises(oa.InputError, match=re.escape("expected {id: name}")):
        explained.with_names(["Aria"])


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_all_groups_are_one_frame(backend: str) -> None:
    cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    song = oa.exposure(by="song")
    limits = [(song <= {"a": 1.0}).named("caps"), oa.soft(oa.total("r") >= 9.0, penalty=0.1).named("late")]
    solution = oa.solve(oa.Problem(cands, oa.total("r") + (0.1 * oa.log(song)).named("fair"), limits, oa.Slate(1)))
    frame = solution.groups_frame(backend=backend)
    rows = (
        frame.to_pylist()
        if backend == "pyarrow"
        else frame.to_dict("records")
        if backend == "pandas"
        else frame.to_dicts()
    )
    assert [(row["name"], row["kind"], row["group"]) for row in rows] == [
        ("caps", "constraint", "a"), ("caps", "constraint", "b"), ("late", "soft", ""), ("fair", "function", "a"),
        ("fair", "function", "b"),
    ]  # fmt: skip
    assert [row["upper"] for row in rows[:2]] == [1.0, np.inf]
    for name in ("caps", "late", "fair"):
        assert [row["price"] for row in rows if row["name"] == name] == solution.prices[name].tolist()
        assert [row["total"] for row in rows if row["name"] == name] == solution.totals[name].tolist()


def test_the_problem_counts_its_limits() -> None:
    cands = market(30)
    floors = {f"c-{k:04d}": float(k) for k in range(1, 5)}
    limits = [(oa.exposure(by="campaign") >= floors).named("floors"), oa.soft(oa.exposure() <= 9.0, penalty=2.0)]
    many = [(oa.exposure(by="campaign") <= 50.0 + k).named(f"cap {k}") for k in range(20)]
    page = Page(oa.Problem(cands, oa.total("relevance"), [*limits, *many])._repr_html_())
    texts = [[text for text, _ in row] for row in page.rows]
    assert ['total("relevance")', "1"] in texts
    assert ["floors", 'exposure(by="campaign")', "", "4 of 30", ">= 1 to 4"] in texts
    assert ["soft(exposure() <= 9, penalty=2)", "exposure()", "soft, penalty 2", "1 of 1", "<= 9"] in texts
    assert "... and 7 more constraints" in page.text
