"""What a controller sees at a tick, and what it has to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats

if TYPE_CHECKING:
    from oasis_alloc.kernels.pace.prices import Interval

STEP = 0.25  # of the scale: the most that a price moves in a tick


@dataclass(frozen=True, eq=False)
class View:
    """One interval between two ticks, an entry per goal; only those that are `live` may be changed."""

    live: npt.NDArray[np.bool_]
    price: Floats
    base: Floats  # the price that the pacer began with
    low: Floats  # the box
    high: Floats
    scale: Floats
    used: Floats
    floor: Floats  # planned for the interval; minus infinity without a floor
    cap: Floats  # infinite without a cap
    floor_whole: Floats  # the same from the whole limit instead of what remains of it
    cap_whole: Floats
    floor_seen: Floats  # from what remains, for the requests that have come, whenever they came
    cap_seen: Floats
    unit: Floats  # the limit, as a size to divide by
    elapsed: Floats  # share of the flight's traffic up to now, in [0, 1]
    seconds: float  # since the last tick
    after_gap: bool  # the interval is longer than ticks usually are


class Controller(Protocol):
    """Moves prices. A controller has no clock and no accounts, and never decides that something stops."""

    def step(self, view: View) -> Floats:
        """The prices for the next interval, (n,)."""

    def pass_rates(self, n: int) -> Floats | None:
        """The share of requests in which a goal's candidates take part; None where all do."""

    def merged(self) -> None:
        """Prices were replaced by those of a full solve."""

    def state(self) -> dict[str, Any]:
        """What `restore` needs: lists and numbers."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""


class Stateless:
    """The parts of a controller that keeps nothing between ticks."""

    def pass_rates(self, n: int) -> Floats | None:
        return None

    def merged(self) -> None:
        return None

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        return None


def within(values: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """As `np.clip`, which takes several times as long for the few numbers of a tick."""
    out: Floats = np.minimum(np.maximum(values, low), high)
    return out


def interval_of(view: View, floor: Floats, cap: Floats) -> Interval:
    """What the kernels of the controllers take of a view: with one of its three pairs of what was planned."""
    from oasis_alloc.kernels.pace.prices import Interval

    return Interval(view.live, view.price, view.low, view.high, view.scale, view.used, floor, cap, view.unit)


def error(view: View, floor: Floats, cap: Floats) -> Floats:
    """How far an interval is above its plan: of the cap where the price is above 0, of the floor where it is below."""
    from oasis_alloc.kernels.pace import prices

    out = np.empty(view.price.size)
    prices.errors(view.price, view.used, floor, cap, view.unit, out)
    return out
