"""The report of a solution: it fits a screen, says the numbers, and takes any label."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.results.report import report, report_html

LINES, COLUMNS = 40, 100


def market(labels: list[Any], users: int = 40, degree: int = 8, seed: int = 0) -> oa.Candidates:
    """Users with candidates among one item per label; `promotion` is 1 for every second item."""
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(len(labels), min(degree, len(labels)), replace=False) for _ in range(users)])
    keys = np.empty(len(labels), dtype=object)
    keys[:] = labels
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * min(degree, len(labels)),
        item,
        columns={"relevance": rng.random(item.size), "promotion": (item % 2).astype(float)},
        items={"campaign": keys, "kind": np.where(np.arange(len(labels)) % 3 == 0, "new", "old")},
    )


NAMES = [f"campaign-{k:03d}" for k in range(12)]


def solved(*constraints: Any, labels: list[Any] = NAMES, **options: Any) -> oa.Solution:
    objective = oa.total("relevance") + 0.4 * oa.total("promotion")
    return oa.solve(oa.Problem(market(labels), objective, constraints, oa.Slate(2)), threads=1, **options)


def caps(limit: Any = 6.0) -> Any:
    return (oa.exposure(by="campaign") <= limit).named("campaign caps")


def columns(line: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in line)


def assert_fits(text: str) -> None:
    lines = text.splitlines()
    assert len(lines) <= LINES, text
    assert max(map(columns, lines)) <= COLUMNS, text
    assert all(line == line.rstrip() for line in lines)
    assert "nan" not in re.findall(r"[a-z]+", text)
    assert "inf" not in re.findall(r"[a-z]+", text)


class Read(HTMLParser):
    """Tags, whether each was closed in turn, and the text of every cell."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("td", "th"):
            self.cells[-1] += data


def row_of(text: str, start: str, nth: int = 0) -> list[str]:
    """The cells of the nth line that starts with `start`, after it."""
    found = [line[len(start) :] for line in text.splitlines() if line.startswith(start)]
    return re.split(r"\s{2,}", found[nth].strip())


def test_the_numbers_are_the_solution_s() -> None:
    floors = (oa.exposure(by="campaign") >= {"campaign-003": 8.0}).named("floors")
    solution = solved(caps(7.0), floors.measure >= {"campaign-003": 7.0}, gap=1e-9)
    text = str(solution)
    assert_fits(text)
    assert text.startswith("solved: the requested gap is proven")
    assert row_of(text, "value")[0] == f"{solution.value:,.8g}"
    assert row_of(text, "bound")[0] == f"{solution.bound:,.8g}"
    assert "40 users, 12 items, 320 pairs; slates of up to 2" in text
    part = solution.parts['total("relevance")']
    share = 100 * part / sum(solution.parts.values())
    assert row_of(text, 'total("relevance")') == [f"{part:,.6g}", f"{share:.1f} %"]
    prices, totals = solution.prices["campaign caps"], solution.totals["campaign caps"]
    binding = int((np.abs(prices) > 1e-9).sum())
    assert row_of(text, "campaign caps") == ["12", str(binding), f"{totals.sum():.6g}", "<= 84", "kept"]
    assert binding > 0
    heaviest = int(np.argmax(prices))
    assert row_of(text, "campaign caps", 1)[:3] == [f"'{NAMES[heaviest]}'", "<= 7", "7"]
    assert float(row_of(text, "campaign caps", 1)[3]) == pytest.approx(prices[heaviest], rel=1e-3)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (caps(), r"one more impression for campaign 'campaign-\d+' \(campaign caps\) would add \d\.\d+ relevance"),
        (
            (oa.exposure(by="campaign") >= {"campaign-002": 20.0}).named("promises"),
            r"one more impression for campaign 'campaign-002' \(promises\) would cost 0\.\d+ relevance",
        ),
        (
            (oa.total("promotion") <= 30.0).named("promotion budget"),
            r"one more unit of promotion allowed by 'promotion budget' would add 0\.\d+ relevance",
        ),
        (
            (oa.total("relevance") >= 62.0).named("guard"),
            r"one more unit of relevance promised by 'guard' would cost \d\.\d+ of the objective",
        ),
        (
            (oa.exposure(by="kind") <= 0.6 * oa.exposure()).named("shares"),
            r"one more unit of the limit for kind 'old' \(shares\) would add 0\.\d+ relevance",
        ),
        (
            (oa.exposure(by="campaign") == {"campaign-002": 20.0}).named("exactly"),
            r"one more impression for campaign 'campaign-002' \(exactly\) would cost 0\.\d+ relevance",
        ),
    ],
    ids=["cap", "floor", "all", "guard", "share", "equality"],
)
def test_a_price_is_said_in_words(constraint: Any, words: str) -> None:
    solution = solved(constraint)
    text = str(solution)
    assert_fits(text)
    assert re.search(words, text.replace("\n", " ")), text
    price = max(abs(prices).max() for prices in solution.prices.values())
    said = re.search(r"would (?:add|cost) (\S+)", text.replace("\n", " "))
    assert said is not None
    assert float(said[1]) == pytest.approx(price, rel=1e-3)


def test_what_one_more_unit_is_worth_is_what_it_turns_out_to_be_worth() -> None:
    """The words against a second solve with the limit moved."""
    before, after = (
        solved((oa.exposure(by="campaign") >= {"campaign-002": floor}).named("floor"), gap=1e-10)
        for floor in (20.0, 20.5)
    )
    said = re.search(r"would cost (\S+) relevance", str(before).replace("\n", " "))
    assert said is not None
    # prices are constant between the kinks of a linear program, and larger beyond them
    assert float(said[1]) * 0.5 <= (before.value - after.value) * 1.001
    assert float(said[1]) > 0


def test_sentences_of_every_constraint_come_before_the_second_of_one() -> None:
    solution = solved(
        caps(), (oa.exposure(by="kind") <= 0.6 * oa.exposure()).named("shares"), (oa.exposure() <= 60).named("slots")
    )
    said = [line for line in str(solution).splitlines() if line.startswith("one more")]
    assert len(said) == 5
    assert sum("slots" in line for line in said) == sum("shares" in line for line in said) == 1
    assert str(solution) == solution.report()


def test_sentences_keep_to_one_line_each() -> None:
    long = "a column with a name that is far longer than what a line of a screen can hold, and then some"
    cands = oa.Candidates.from_arrays(
        [0, 2, 4], [0, 1, 0, 1], {long: [0.9, 0.5, 0.8, 0.7]}, users={"k" * 60: ["u" * 90, "v" * 90]}
    )
    caps_ = (oa.total(long, by="k" * 60) <= 0.4).named("n" * 120)
    slots = (oa.exposure() <= 0.7).named("{braces} " * 20)
    text = str(oa.solve(oa.Problem(cands, 1e-7 * oa.total(long), [caps_, slots], oa.Slate(1))))
    assert_fits(text)
    said = [line for line in text.splitlines() if line.startswith("one more")]
    assert len(said) == 2
    assert said[0].endswith("would add 0.8 a column with a name ...")  # 0.8e-7 of the objective
    assert "{braces}" in said[0]
    assert said[1].endswith("would add 1.111e-08 of the objective")
    assert re.search(r" for k+\.+ \(n+\.+\) ", said[1])


def test_the_price_that_weighs_most_is_told_and_every_binding_constraint_is_listed() -> None:
    solution = solved(
        caps(),
        (oa.exposure(by="kind") <= 0.6 * oa.exposure()).named("shares"),
        (oa.exposure() <= 60).named("all slots"),
    )
    text = str(solution)
    table = text[text.index("largest prices") :].splitlines()[1:]
    weights = [
        (float(price) if price else 0.0) * max(1.0, float(limit))
        for limit, price in (re.match(r".*[<>=]= (\S+) +\S+ +(\S+)$", line).groups() for line in table if "<=" in line)  # type: ignore[union-attr]
    ]
    assert weights == sorted(weights, reverse=True)
    for name, prices in solution.prices.items():
        assert any(line.startswith(name) for line in table) == bool((np.abs(prices) > 1e-9).any())


def test_no_constraints() -> None:
    text = str(solved())
    assert_fits(text)
    assert "no constraints" in text
    assert "price" not in text.replace("the allocation and the prices", "")


def test_limits_that_do_not_bind() -> None:
    text = str(solved(caps(1000.0)))
    assert_fits(text)
    assert row_of(text, "campaign caps")[1] == "0"
    assert "no limit binds" in text
    assert "largest prices" not in text


def test_many_constraints_and_parts_still_fit() -> None:
    constraints = [
        (oa.exposure(by="campaign") <= {name: 5.0 + k % 3}).named(
            f"a long name of a constraint, number {k:03d} of many"
        )
        for k, name in enumerate(NAMES * 3)
    ]
    slack = (oa.exposure() <= 1e6).named("slack")
    penalties = [
        oa.soft(oa.exposure(by="campaign") >= {name: 9.0}, penalty=0.01 * (k + 1)) for k, name in enumerate(NAMES)
    ]
    solution = solved(slack, *constraints, *penalties)
    text = str(solution)
    assert_fits(text)
    found = re.search(r"\.\.\. and (\d+) more constraints, (.*), (\d+) of them binding", text)
    assert found is not None
    assert int(found[1]) == len(constraints) + len(penalties) + 1 - 7
    assert "... and 10 more" in text  # of two totals and twelve penalties
    assert re.search(r"\.\.\. and \d+ more in solution.shadow_prices", text)
    assert not any(line.startswith("slack") for line in text.splitlines())  # what binds goes first


def test_the_largest_numbers_and_names_still_fit() -> None:
    solution = solved(caps().named("x" * 80), (oa.exposure(by="campaign") <= 1e12).named("y" * 80))
    huge = {name: totals + 3e12 for name, totals in solution.totals.items()}
    text = report(replace(solution, totals=huge, violation=1.0, value=-1.23e15, bound=9.87e15))
    assert_fits(text)
    assert "misses 2e+12 at" in text


class Odd:
    """A hashable label with a representation of several lines."""

    def __lt__(self, other: object) -> bool:
        return id(self) < id(other)

    def __repr__(self) -> str:
        return "<script>alert(1)</script>\n\x1b[31m" + "z" * 300


@pytest.mark.parametrize(
    "labels",
    [
        ["<script>alert(1)</script>", "</td><b>bold", 'a "quote" & more', "plain"],
        [Odd(), Odd(), Odd()],
        [7, 8, 9],
        ["音楽家の長い名前がここにあり、そして続く、さらに続く", "été", "e\u0301te\u0301"],
        ["a" * 500, "b" * 500],
    ],
    ids=["markup", "objects", "numbers", "wide", "long"],
)
def test_labels_are_text_and_keep_to_their_place(labels: list[Any]) -> None:
    solution = solved(caps(3.0), labels=labels)
    text = str(solution)
    assert_fits(text)
    assert "\x1b" not in text
    read = Read(solution._repr_html_())
    assert read.tags == {"div", "style", "p", "table", "thead", "tbody", "tr", "th", "td"}
    label = repr(solution.problem.labels("campaign caps")[0])
    assert any(
        cell and label.startswith(cell.removesuffix("...").split("?")[0])
        for cell in read.cells
        if len(cell) > 2 or cell == label
    )


def test_names_and_columns_are_escaped() -> None:
    solution = solved(caps().named("<script>caps</script>"))
    source = report_html(solution)
    assert "<script" not in source
    assert "&lt;script&gt;caps&lt;/script&gt;" in source


def test_html_has_the_numbers_of_the_text_and_no_script_nor_color_of_its_own() -> None:
    solution = solved(caps(), (oa.exposure() >= 30).named("some"))
    source = solution._repr_html_()
    assert source == report_html(solution)
    assert len(source) < 12_000
    assert "http" not in source
    style = source[source.index("<style>") : source.index("</style>")]
    assert not re.search(r"#[0-9a-f]{3}|background:(?!none)", style)
    assert set(re.findall(r"color:(\w+)", style)) == {"inherit"}
    words = set(str(solution).split())
    for cell in Read(source).cells:
        assert set(cell.split()) <= words


def infeasible(n: int, floor: float = 30.0) -> oa.Solution:
    labels = [f"campaign-{k:03d}" for k in range(n)]
    return solved(
        (oa.exposure(by="campaign") >= floor).named("promises"), (oa.exposure() <= 50).named("slots"), labels=labels
    )


def test_an_infeasible_problem_says_who_would_have_to_give_how_much() -> None:
    solution = infeasible(3)
    text = str(solution)
    assert_fits(text)
    assert text.startswith("infeasible: ")
    give = sum(conflict.give for conflict in solution.conflicts)
    assert give == pytest.approx(3 * 30 - 50)
    said = [line.split()[-1] for line in text[text.index("relax by") :].splitlines()[1:]]
    assert sum(float(word) for word in said if word != "way") == pytest.approx(give, rel=1e-5)
    for conflict in solution.conflicts:
        assert any(line.startswith(conflict.constraint) for line in text.splitlines())
    for word in ("value", "bound", "gap", "objective", "price"):
        assert not re.search(rf"^{word}", text, re.MULTILINE), word
    read = Read(report_html(solution))
    assert "promises" in read.cells
    assert "value" not in read.cells


def test_many_conflicts_are_cut_short_and_still_add_up() -> None:
    solution = infeasible(60)
    assert len(solution.conflicts) > 15
    text = str(solution)
    assert_fits(text)
    table = text[text.index("relax by") :].splitlines()[1:]
    assert len(table) <= 16
    assert table[-1] == "solution.conflicts lists every group"
    missed = sum(conflict.give > 0 for conflict in solution.conflicts)
    listed = [line for line in table if "campaign-" in line]
    assert any(line.startswith(f"... and {missed - len(listed)} more") for line in table)
    said = sum(float(line.split()[-1].replace(",", "")) for line in table[:-1] if not line.endswith("way"))
    assert said == pytest.approx(60 * 30 - 50, rel=1e-4)


def test_what_stands_in_the_way_is_counted_by_constraint() -> None:
    label = oa.Conflict("promises", "campaign-000", ">=", 30.0, 12.5, 17.5)
    met = [oa.Conflict("slots", f"market {k}", "<=", 50.0, 50.0, 0.0) for k in range(700)]
    guard = oa.Conflict("guard", None, ">=", 9.0, 9.0, 0.0)
    text = report(replace(infeasible(3), conflicts=(label, *met, guard)))
    assert_fits(text)
    assert row_of(text, "promises") == ["'campaign-000'", ">= 30", "12.5", "17.5"]
    assert row_of(text, "slots") == ["700 groups", "met", "in the way"]
    assert row_of(text, "guard") == ["all", "met", "in the way"]


def test_a_relaxed_solution_with_many_demands_fits() -> None:
    floors = [(oa.exposure(by="campaign") >= {name: 30.0}).named(f"promise to {name}") for name in NAMES]
    penalties = [oa.soft(oa.exposure() >= 1e3 + k, penalty=0.1) for k in range(7)]
    solution = solved(*floors, (oa.exposure() <= 50).named("slots"), *penalties, on_conflict="relax")
    assert solution.status is oa.Status.RELAXED
    text = str(solution)
    assert_fits(text)
    assert "relax by" in text
    assert re.search(r"\.\.\. and \d+ more constraints", text)


@pytest.mark.few(2)
@pytest.mark.parametrize("status", [status for status in oa.Status if status.name != "INFEASIBLE"])
def test_every_status_opens_with_what_to_do_next(status: oa.Status) -> None:
    text = report(replace(solved(caps()), status=status))
    assert_fits(text)
    assert " ".join(text.split("\n\n")[0].split()) == f"{status}: {status.advice}"


def test_an_allocation_that_breaks_constraints_proves_nothing() -> None:
    solution = solved(caps())
    totals = {"campaign caps": solution.totals["campaign caps"] + np.where(np.arange(12) == 4, 2.5, 0.0)}
    prices = {"campaign caps": np.zeros(12)}
    broken = replace(solution, status=oa.Status.TIME_LIMIT, totals=totals, prices=prices, violation=2.5 / 72)
    text = report(broken)
    assert_fits(text)
    assert row_of(text, "gap")[0] == "none"
    assert row_of(text, "violation")[0] == "3.5e-02"
    over = totals["campaign caps"][4] - 6.0
    assert row_of(text, "campaign caps")[-1] == f"misses {over:.3g} at 'campaign-004'"
    assert "no limit binds" not in text
    assert "prices are 0 so far" in text


def test_nothing_to_show() -> None:
    empty = oa.Candidates.from_arrays([0, 0], np.empty(0, np.int64), {"r": np.empty(0)}, n_items=1)
    text = str(oa.solve(oa.Problem(empty, oa.total("r"), oa.exposure() <= 1)))
    assert_fits(text)
    assert row_of(text, 'total("r")') == ["0", "-"]
