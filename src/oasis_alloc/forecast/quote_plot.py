"""The supply curve of a quote as a plot; matplotlib is imported where something is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.errors import require
from oasis_alloc.results.plots import AT_CAP, AT_FLOOR, BETWEEN, check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from oasis_alloc.forecast.quote_result import Quote


def plot(quote: Quote, ax: Any) -> Axes:
    """See `Quote.plot`."""
    check_axes("plot", ax)
    axes: Axes = require("matplotlib.pyplot", "plot").subplots(layout="constrained")[1] if ax is None else ax
    curve = quote.curve
    low = np.where(np.isfinite(curve.cost_low), curve.cost_low, np.nan)
    axes.plot(curve.units, low, color=AT_FLOOR, label="at least")
    known = np.isfinite(curve.cost_high) & np.isfinite(curve.cost_low)
    if known.sum() > 1:
        axes.plot(curve.units[known], curve.cost_high[known], color=AT_CAP, label="at most")
        axes.fill_between(curve.units[known], curve.cost_low[known], curve.cost_high[known], color=BETWEEN, alpha=0.25)
    if quote.units and np.isfinite(quote.cost.mid):
        axes.plot([quote.units], [quote.cost.mid], "*", color=AT_CAP, markersize=12, label="this quote")
    axes.axvline(quote.max_units.high, color=BETWEEN, linestyle=":", label="maximum")
    axes.set_xlabel("impressions on top of the plan")
    axes.set_ylabel("cost in the objective")
    axes.set_title(quote.name.replace("$", r"\$"))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return axes
