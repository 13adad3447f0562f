"""A quote as a plain document, in the words that sellers of media exchange: points with low, mid and high."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oasis_alloc.common.documents import jsonable

if TYPE_CHECKING:
    from oasis_alloc.forecast.quote_result import Bracket, Quote

SCHEMA = 1


def document_of(quote: Quote) -> dict[str, Any]:
    """See `Quote.to_dict`; `docs/json.md` lists the members."""
    curve = quote.curve
    return {
        "format": "oasis_alloc.quote",
        "schema": SCHEMA,
        "name": quote.name,
        "level": quote.level,
        "method": "guaranteed" if quote.level == "certified" else "modeled",
        "feasible": quote.feasible,
        "units_now": quote.units_now,
        "units": quote.units,
        "floor": quote.floor,
        "cost": _range(quote.cost),
        "price": jsonable(quote.price),
        "relevance": {"column": quote.relevance.column, "lost": jsonable(quote.relevance.lost)},
        "max_units": _range(quote.max_units),
        "units_at_price": jsonable(quote.units_at_price),
        "forecast_range_unit": "availability",
        "points": [
            {
                "metrics": {
                    "impressions": _same(curve.units[k]),
                    "cost": {
                        "low": jsonable(float(curve.cost_low[k])),
                        "mid": None,
                        "high": jsonable(float(curve.cost_high[k])),
                    },
                },
                "price": jsonable(float(curve.price[k])),
                "relevance": jsonable(float(curve.relevance[k])),
            }
            for k in range(curve.units.size)
        ],
        "groups": {
            key: [row._asdict() | {"label": jsonable(row.label)} for row in rows] for key, rows in quote.groups.items()
        },
        "displaced": [row._asdict() | {"label": jsonable(row.label)} for row in quote.displaced],
        "gained": [row._asdict() | {"label": jsonable(row.label)} for row in quote.gained],
        "limits": [
            limit._asdict() | {"label": jsonable(limit.label), "price": jsonable(limit.price)} for limit in quote.limits
        ],
        "inventory_shortfall": _shortfall(quote),
        "seconds": quote.seconds,
        "passes": quote.passes,
    }


def _range(bracket: Bracket) -> dict[str, Any]:
    return {name: jsonable(float(number)) for name, number in bracket._asdict().items()}


def _same(number: float) -> dict[str, float]:
    return {"low": float(number), "mid": float(number), "high": float(number)}


def _shortfall(quote: Quote) -> float:
    """Impressions that are asked for and proven to be missing."""
    return max(0.0, quote.units - quote.max_units.high)
