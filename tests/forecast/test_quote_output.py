"""What a quote shows: text, HTML, frames, JSON and a plot, of the same numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from quoted import problem

import oasis_alloc as oa


@pytest.fixture(scope="module")
def quotes() -> oa.Quotes:
    solution = oa.solve(problem("plain", 0, users=30, items=16, degree=6))
    labels = solution.problem.candidates.groups("campaign")
    asked = [oa.QuoteRequest(of={"campaign": label}) for label in labels]
    best = max(oa.quote(solution, asked), key=lambda quote: quote.max_units.low)
    of = best.request.of
    return oa.quote(
        solution,
        [
            oa.QuoteRequest(of=of, units=2.0, max_price=0.5, name="<b>Spring</b>"),
            oa.QuoteRequest(of=of, units=best.max_units.high * 0.9),
            oa.QuoteRequest(of=of),
        ],
    )


def test_a_report_fits_a_screen(quotes: oa.Quotes) -> None:
    for quote in quotes:
        lines = str(quote).splitlines()
        assert len(lines) <= 45
        assert max(map(len, lines)) <= 100
    text = str(quotes[0])
    for part in ("2 more impressions can be delivered", "cost", "proven", "who gives way", "at a price up to 0.5"):
        assert part in text
    assert str(quotes).splitlines()[0].split()[:2] == ["campaign", "units"]
    assert len(str(quotes).splitlines()) == 1 + len(quotes)
    assert "no units are asked for" in str(quotes[2])


def test_html_escapes_names(quotes: oa.Quotes) -> None:
    for page in (quotes[0]._repr_html_(), quotes._repr_html_()):
        assert "<b>Spring" not in page
        assert "&lt;b&gt;Spring" in page
        assert "<script" not in page


@pytest.mark.parametrize("table", ["curve", "groups", "displaced", "gained", "limits"])
def test_frames_have_the_numbers_of_the_quote(quotes: oa.Quotes, table: str) -> None:
    quote = quotes[0]
    frame = quote.to_frame(table, "pandas")
    if table == "curve":
        assert np.array_equal(frame["cost_low"], quote.curve.cost_low)
    elif table == "groups":
        assert frame["most"].sum() == sum(row.most for rows in quote.groups.values() for row in rows)
    else:
        rows = getattr(quote, table)
        assert frame["units"].tolist() == [row.units for row in rows]


def test_a_list_is_a_frame_with_a_row_per_quote(quotes: oa.Quotes) -> None:
    frame = quotes.to_frame("pandas")
    assert frame["name"].tolist() == [quote.name for quote in quotes]
    assert frame["cost_high"].tolist() == [quote.cost.high for quote in quotes]
    assert set(frame["feasible"]) <= {"yes", "no", "open"}


def test_a_document_is_json_with_points_of_low_mid_and_high(quotes: oa.Quotes) -> None:
    document = json.loads(json.dumps(quotes.to_dict(), allow_nan=False))
    assert document["format"] == "oasis_alloc.quotes"
    one = document["quotes"][0]
    assert one["method"] == "modeled"
    assert one["cost"]["low"] == quotes[0].cost.low
    assert len(one["points"]) == quotes[0].curve.units.size
    for point in one["points"]:
        assert set(point["metrics"]["impressions"]) == {"low", "mid", "high"}
        assert set(point["metrics"]["cost"]) == {"low", "mid", "high"}
    assert one["inventory_shortfall"] == 0.0


def test_the_documented_members_are_those_of_the_document(quotes: oa.Quotes) -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")
    section = page.split("## `oasis_alloc.quote`")[1].split("## ")[0]
    documented = {
        name.strip().strip("`")
        for line in section.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].split(",")
    }
    assert documented == set(quotes[0].to_dict()) - {"format", "schema"}


@pytest.mark.full
def test_a_plot_has_the_curve_and_the_quote(quotes: oa.Quotes) -> None:
    pytest.importorskip("matplotlib").use("agg")
    axes = quotes[0].plot()
    assert axes.get_title() == "<b>Spring</b>"
    lines = {line.get_label(): line for line in axes.lines}
    assert np.allclose(lines["at least"].get_ydata(), quotes[0].curve.cost_low)
    assert lines["this quote"].get_xdata()[0] == 2.0
