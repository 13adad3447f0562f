"""A quote as text for a terminal, HTML for a notebook, and columns for frames."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.arrays import objects
from oasis_alloc.common.text_tables import TextTable, as_page, as_text, cut, number
from oasis_alloc.results.naming import named, plain_label

if TYPE_CHECKING:
    from oasis_alloc.forecast.quote_result import Quote

_ROWS = 5  # of a table
_GROUPS = 4  # labels of a key of the users


def report(quote: Quote) -> str:
    """The quote on one screen."""
    return "\n\n".join(as_text(part) for part in _contents(quote))


def report_html(quote: Quote) -> str:
    """The same as HTML."""
    return as_page(_contents(quote))


def _contents(quote: Quote) -> Iterator[str | TextTable]:
    yield f"{quote.name}: {_verdict(quote)}"
    yield TextTable((), "lrl", list(_numbers(quote)), f"{quote.level}, in {quote.seconds:.3g} seconds")
    if quote.feasible is not False and quote.units:
        yield _curve(quote)
    if quote.displaced:
        yield _displaced(quote)
    if quote.limits:
        yield _limits(quote)
    if quote.groups:
        yield _groups(quote)


def _verdict(quote: Quote) -> str:
    units = f"{number(quote.units, 6)} more impressions"
    if not quote.units:
        return "no units are asked for; the curve and the maximum are below"
    if quote.feasible is False:
        return f"{units} cannot be delivered, and that is proven; at most {number(quote.max_units.high, 6)} can"
    if quote.feasible is None:
        some = number(quote.max_units.low, 6)
        return f"it is open whether {units} can be delivered: exchanges give {some}, and certify=True finds out"
    return f"{units} can be delivered"


def _numbers(quote: Quote) -> Iterator[tuple[str, str, str]]:
    yield "in the plan", number(quote.units_now, 6), "impressions"
    if quote.units and quote.feasible is not False:
        yield "cost", number(quote.cost.mid, 5), f"of the objective; proven: {_between(quote.cost)}"
        yield (
            "price",
            number(quote.price, 4),
            "of the next impression" + ("" if quote.level == "certified" else ", at the prices of the plan"),
        )
        if quote.relevance.column is not None:
            column = cut(quote.relevance.column, 24)
            yield "relevance", number(quote.relevance.lost, 5), f"{column} is lost in this change"
    yield "maximum", number(quote.max_units.high, 6), f"impressions on top; proven: {_between(quote.max_units)}"
    if quote.units_at_price is not None:
        price = number(float(quote.request.max_price or 0.0), 4)
        yield "at most", number(quote.units_at_price, 6), f"impressions on top at a price up to {price}, an estimate"


def _between(bracket: Any) -> str:
    if not math.isfinite(bracket.high):
        return f"at least {number(bracket.low, 5)}; no upper limit is known"
    return f"{number(bracket.low, 5)} to {number(bracket.high, 5)}"


def _curve(quote: Quote) -> TextTable:
    curve = quote.curve
    at = np.unique(np.searchsorted(curve.units, np.linspace(0.0, 1.0, _ROWS) * curve.units[-1]))
    rows = [
        [
            number(curve.units[k], 6),
            number(curve.price[k], 4),
            number(curve.cost_low[k], 5),
            number(curve.cost_high[k], 5),
        ]
        for k in at.clip(max=curve.units.size - 1)
    ]
    return TextTable(("units on top", "next price", "cost at least", "at most"), "rrrr", rows)


def _displaced(quote: Quote) -> TextTable:
    rows = [row for row in quote.displaced if row.key != "item"] or list(quote.displaced)
    names = quote.solution.label_names
    shown = [
        [row.key, "none" if row.label is None else cut(named((row.key,), row.label, names), 40), number(row.units, 5)]
        for row in rows[:_ROWS]
    ]
    more = f"... and {len(rows) - _ROWS:,} more in displaced" if len(rows) > _ROWS else ""
    return TextTable(("who gives way", "", "impressions"), "llr", shown, more)


def _limits(quote: Quote) -> TextTable:
    rows = [
        [cut(limit.constraint, 40), cut(str(limit.label), 24), number(limit.price, 4), number(limit.units, 5)]
        for limit in quote.limits[:_ROWS]
    ]
    heading = "limits it pays for" if quote.level == "certified" else "limits that stop it"
    return TextTable((heading, "", "price", "impressions"), "llrr", rows)


def _groups(quote: Quote) -> TextTable:
    rows = []
    for key, groups in quote.groups.items():
        largest = sorted(groups, key=lambda row: -row.most)[:_GROUPS]
        rows += [[key, cut(str(row.label), 24), *(number(part, 5) for part in row[1:])] for row in largest]
    return TextTable(("users", "", "now", "booked", "room for"), "llrrr", rows[: 2 * _GROUPS])


def columns_of(quote: Quote, table: str) -> dict[str, Any]:
    """One table of a quote, as columns."""
    if table == "curve":
        names = ("units", "price", "cost_low", "cost_high", "relevance")
        return {name: np.asarray(getattr(quote.curve, name)) for name in names}
    if table == "groups":
        groups = [(key, *row) for key, of in quote.groups.items() for row in of]
        return _columns(("key", "label", "now", "booked", "most"), groups, 2)
    if table == "limits":
        rows = [(limit.constraint, limit.label, limit.price, limit.units) for limit in quote.limits]
        return _columns(("constraint", "label", "price", "units"), rows, 2)
    return _columns(("key", "label", "units"), [tuple(row) for row in getattr(quote, table)], 2)


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]], texts: int) -> dict[str, Any]:
    """Columns of rows; the first are texts, because labels of several keys are of several types."""
    parts = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {
        name: objects(str(plain_label((), label, {})) for label in part) if k < texts else np.array(part, np.float64)
        for k, (name, part) in enumerate(zip(names, parts, strict=True))
    }


def columns_of_list(quotes: Sequence[Quote]) -> dict[str, Any]:
    """One row per quote, as columns."""
    numbers = {
        "units_now": [quote.units_now for quote in quotes],
        "units": [quote.units for quote in quotes],
        **{f"cost_{end}": [getattr(quote.cost, end) for quote in quotes] for end in ("low", "mid", "high")},
        "price": [quote.price for quote in quotes],
        "max_low": [quote.max_units.low for quote in quotes],
        "max_high": [quote.max_units.high for quote in quotes],
    }
    words = {True: "yes", False: "no", None: "open"}
    return {
        "name": objects(quote.name for quote in quotes),
        "level": objects(quote.level for quote in quotes),
        "feasible": objects(words[quote.feasible] for quote in quotes),
        **{name: np.array(column, np.float64) for name, column in numbers.items()},
    }


def _list_contents(quotes: Sequence[Quote]) -> TextTable:
    words = {True: "yes", False: "no", None: "open"}
    rows = [
        [
            cut(quote.name, 32), number(quote.units, 6), words[quote.feasible], number(quote.cost.low, 5),
            number(quote.cost.high, 5), number(quote.price, 4), number(quote.max_units.high, 6),
        ]
        for quote in quotes[:30]
    ]  # fmt: skip
    more = f"... and {len(quotes) - 30:,} more quotes" if len(quotes) > 30 else ""
    return TextTable(("campaign", "units", "possible", "cost from", "to", "price", "maximum"), "lrlrrrr", rows, more)


def list_report(quotes: Sequence[Quote]) -> str:
    """Several quotes as a table."""
    return as_text(_list_contents(quotes))


def list_html(quotes: Sequence[Quote]) -> str:
    """The same as HTML."""
    return as_page([_list_contents(quotes)])
