"""Full solves between ticks: what is left to plan, where to start from, and prices that come back by key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import same, shown
from oasis_alloc.errors import InputError

if TYPE_CHECKING:
    from oasis_alloc.pacing.core import Core
    from oasis_alloc.pacing.live import Live
    from oasis_alloc.policy import Policy
    from oasis_alloc.solution import Solution

_log = logging.getLogger("oasis_alloc.pacing")

Prices = Mapping[str, Mapping[Any, float]]


class Resolving:
    """What a pacer gives to a solve and takes from it; see `Pacer`."""

    policy: Policy
    _core: Core
    _live: Live

    def __init__(self) -> None:
        self._solving: Future[Any] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._failed_solves = 0

    def remaining(self) -> dict[Any, tuple[float, float]]:
        """{label: (floor, cap)} that remain of every goal, for the next solve; ratios as they are."""
        core = self._core
        with core.lock:
            delivered = core.delivered()
        out = {}
        for r, goal in enumerate(core.rows.goals):
            had = 0.0 if goal.per_request else float(delivered[r])
            floor, cap = goal.floor - had, goal.cap - had
            out[goal.label] = (floor, cap) if goal.per_request else (max(floor, 0.0), max(cap, 0.0))
        return out

    def start(self) -> dict[str, dict[Any, float]]:
        """{constraint: {label: price}} of now, for `oa.solve(start=...)`: the policy's, with what goals moved."""
        data = self.policy.data
        prices = self._core.rows.constraint_prices(self._core.price)
        return {
            one.name: {data.label(one.keys, codes): float(p) for codes, p in zip(one.groups, price, strict=True)}
            for one, price in zip(data.constraints, prices, strict=True)
        }

    def merge(self, prices: Solution | Prices) -> int:
        """Take over the prices of a solution, or `{constraint: {label: price}}`, by key; how many goals got one.

        Prices take effect at the next tick and stay within the penalty; goals that the solve does not have keep theirs.

        Raises `InputError` where no goal got a price, and for prices that are not finite.
        """
        given = getattr(prices, "prices_by_label", prices)
        if not isinstance(given, Mapping):
            raise InputError(
                f"merge(): expected a solution or {{constraint: {{label: price}}}}, got {type(prices).__name__}."
            )
        core = self._core
        found: dict[int, float] = {}
        names = {one.name: one for one in self.policy.data.constraints}
        place: dict[Any, int] = {}
        for r, goal in enumerate(core.rows.goals):
            terms = tuple(
                (int(core.rows.term[k]), float(core.rows.coefficient[k])) for k in np.flatnonzero(core.rows.row == r)
            )
            place[terms, same(goal.label)] = r
        for name, by_label in given.items():
            if name not in names or not isinstance(by_label, Mapping):
                continue
            for label, price in by_label.items():
                number = as_real(price)
                if number is None or not abs(number) < np.inf:
                    raise InputError(
                        f"merge(): the price of {shown(label)} in {name!r} is {shown(price)}; expected a number."
                    )
                r = place.get((tuple(names[name].terms), same(label)), -1)
                if r >= 0:
                    found[r] = found.get(r, 0.0) + number
        if not found:
            raise InputError(
                f"merge(): no goal has a price in {', '.join(map(repr, given)) or 'it'}; expected constraints of the "
                f"policy: {', '.join(map(repr, names))}."
            )
        with core.lock:
            rows = np.array(list(found), np.int64)
            core.price = core.price.copy()
            core.price[rows] = np.clip(list(found.values()), core.rows.low[rows], core.rows.high[rows])
            core.controller.merged()
        return len(found)

    def resolve(self, solve: Callable[[], Any]) -> bool:
        """Call `solve` in another thread and merge what it returns at the next tick after it; False while one runs.

        A solve that fails is logged and counted in `stats()`; prices go on from where they are.
        """
        with self._core.lock:
            if self._solving is not None:
                return False
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="oasis-alloc-resolve")
            self._solving = self._pool.submit(solve)
        return True

    def _take_resolved(self) -> None:
        solving = self._solving
        if solving is None or not solving.done():
            return
        self._solving = None
        try:
            self.merge(solving.result())
        except Exception as error:  # a solve of the host's: serving goes on
            self._failed_solves += 1
            _log.warning(
                "a solve between ticks failed; prices go on from where they are (%s: %s)", type(error).__name__, error
            )
