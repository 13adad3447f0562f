"""Shadow prices as objects, and as a list that shows itself as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from oasis_alloc.common.arrays import objects
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.text_tables import Printed, TextTable, cut, number
from oasis_alloc.results.naming import Names, named, plain_label

SIGNS = "a price is what one more unit of the limit adds to the objective: >= 0 for a cap, <= 0 for a floor"
SIGNS_IN_WORDS = (
    "A price is what one more unit of the limit would add to the objective. A cap's is above 0: one more allowed would "
    "add that much. A floor's is below 0: one more promised would cost that much, and scores get it as a bonus, minus "
    "the price. A function's is minus what one more unit of its total is worth."
)
_ROWS = 20  # of prices that are shown


@dataclass(frozen=True)
class ShadowPrice:
    """The worth of one more unit in one group of one constraint or function; from `solution.shadow_prices()`.

    Attributes
    ----------
    name, label
        Name of the constraint or function; label of its group, None if it has no keys.
    kind
        "constraint", "soft", or "function" for functions without a limit (log, alpha-fair ...).
    sense, limit
        "<=", ">=" or "==", and the side that binds; None for a function.
    total
        The group's total in the allocation.
    price
        In units of the objective, signed as in `solution.prices`: raising the limit by d changes the optimum by at most
        `price * d` (it is concave in the limit), and by exactly that much as long as the same limits bind. For a
        function, minus the marginal worth of the group's total.
    sentence
        The same in words, in one line of 100 columns. Costs are in units of the main column, `|price| / w`, if the
        objective's linear part begins with `w * total(column)`, w > 0, and the limit is not on that column: a cost of
        0.1 relevance is a loss worth as much as 0.1 relevance. Otherwise costs are in units of the objective.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     np.array([0, 2, 4]), np.array([0, 1, 0, 1]), columns={"relevance": np.array([0.9, 0.5, 0.8, 0.7])},
    ...     items={"campaign": ["a", "b"]})
    >>> floors = (oa.exposure(by="campaign") >= {"b": 1.5}).named("floors")
    >>> solution = oa.solve(oa.Problem(cands, oa.total("relevance"), [floors], oa.Slate(1)))
    >>> for one in solution.shadow_prices():
    ...     print(one.sense, one.limit, one.sentence)
    >= 1.5 one more impression for campaign 'b' (floors) would cost 0.4 relevance
    """

    name: str
    label: Any
    kind: str
    sense: str | None
    limit: float | None
    total: float
    price: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """The attributes as plain texts and numbers, for JSON; see `docs/json.md`."""
        return cast(dict[str, Any], jsonable(self))

    def __str__(self) -> str:
        return self.sentence


class ShadowPrices(Printed, list[ShadowPrice]):
    """The prices of a solution, heaviest first: a list, which a notebook or a terminal shows as a table.

    From `Solution.shadow_prices`. Parts of it are plain lists.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
    >>> caps = (oa.exposure(by="song") <= {"a": 0.5}).named("caps")
    >>> prices = oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1))).shadow_prices()
    >>> len(prices), prices[0].label, prices.to_frame("pandas")["price"].round(6).tolist()
    (1, 'a', [0.4])
    """

    def __init__(
        self,
        prices: Iterable[ShadowPrice] = (),
        of: int = 0,
        by: Mapping[str, tuple[str, ...]] | None = None,
        names: Names | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__(prices)
        self._by, self._names = dict(by or {}), dict(names or {})  # keys of each function; names of labels
        self._of = of  # how many there are, where not all are in this list
        self._backend = backend

    def to_frame(self, backend: str | None = None) -> Any:
        """One row per price: `name`, `group`, `kind`, `sense`, `limit`, `total`, `price` and `sentence`.

        `group` is the label as text, with the name that `Solution.with_names` gave it. A function has no `sense` and a
        `limit` of NaN. `backend` is as in `Solution.to_frame`.
        """
        from oasis_alloc.data.frames import table

        columns: dict[str, Any] = {"name": objects(one.name for one in self)}
        groups = (plain_label(self._by.get(one.name, ()), one.label, self._names) for one in self)
        columns["group"] = objects(groups)
        columns |= {name: objects(getattr(one, name) for one in self) for name in ("kind", "sense")}
        columns["limit"] = np.array([np.nan if one.limit is None else one.limit for one in self], np.float64)
        columns |= {name: np.array([getattr(one, name) for one in self], np.float64) for name in ("total", "price")}
        columns["sentence"] = objects(one.sentence for one in self)
        return table(columns, backend or self._backend)

    def _parts(self) -> list[str | TextTable]:
        if not self and not self._of:
            return ["no price differs from 0: a limit that gives way would not change the optimum"]
        rows = [
            (
                cut(one.name, 32),
                "all" if one.label is None else cut(named(self._by.get(one.name, ()), one.label, self._names), 32),
                "" if one.limit is None else f"{one.sense} {number(one.limit, 6)}",
                number(one.total, 6),
                number(one.price, 4),
            )
            for one in self[:_ROWS]
        ]
        left = max(self._of, len(self)) - len(rows)
        more = f"... and {left:,} more" if left else ""
        return [TextTable(("price of", "group", "limit", "total", "price"), "llrrr", rows, more), SIGNS_IN_WORDS]
