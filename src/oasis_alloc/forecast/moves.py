"""Who gains and who is displaced: units by label in two plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from oasis_alloc.common.arrays import objects
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import same
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import Printed, TextTable, cut, number, signed
from oasis_alloc.results.answer import Answer, supply_weighted
from oasis_alloc.results.naming import plain_label

_ROWS = 12  # that are printed
_ROUNDING = 1e-6  # of the units of a label: changes below it are those of the last bits


@dataclass(frozen=True)
class Move:
    """A number in two plans; NaN where a plan does not have it.

    >>> import oasis_alloc as oa
    >>> oa.Move("a", 2.0, 3.5).change
    1.5
    """

    label: Any
    before: float
    after: float

    @property
    def change(self) -> float:
        """`after - before`."""
        return self.after - self.before

    def to_dict(self) -> dict[str, Any]:
        """Label, both numbers and the change, for JSON."""
        return {**jsonable(self), "change": jsonable(self.change)}


@dataclass(frozen=True, eq=False, repr=False)
class Moves(Printed, ByFields):
    """Numbers by label in two plans, the largest change first; a sequence of `Move`.

    >>> import oasis_alloc as oa
    >>> moves = oa.Moves("units", ("song",), (oa.Move("a", 2.0, 3.5), oa.Move("b", 2.0, 1.0), oa.Move("c", 1.0, 1.0)))
    >>> [one.label for one in moves], [one.label for one in moves.gained], [one.label for one in moves.displaced]
    (['a', 'b', 'c'], ['a'], ['b'])
    """

    what: str
    by: tuple[str, ...]
    rows: tuple[Move, ...]
    names: Mapping[str, Mapping[Any, str]] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Move]:
        return iter(self.rows)

    def __getitem__(self, at: int) -> Move:
        return self.rows[at]

    @cached_property
    def gained(self) -> tuple[Move, ...]:
        """Labels that have more after the change, the largest gain first."""
        return tuple(one for one in self.rows if one.change > _noise(one))

    @cached_property
    def displaced(self) -> tuple[Move, ...]:
        """Labels that have less, the largest loss first."""
        return tuple(one for one in self.rows if one.change < -_noise(one))

    def to_frame(self, backend: str | None = None) -> Any:
        """One row per label: `label` as text, `before`, `after` and `change`."""
        from oasis_alloc.data.frames import table

        columns: dict[str, Any] = {"label": objects(self._text(one) for one in self.rows)}
        columns |= {name: np.array([getattr(one, name) for one in self.rows], float) for name in _NUMBERS}
        return table(columns, backend)

    def to_dict(self) -> dict[str, Any]:
        """What is counted, by which keys, and a row per label, for JSON."""
        return {"what": self.what, "by": list(self.by), "rows": [one.to_dict() for one in self.rows]}

    def as_table(self) -> TextTable:
        """The largest changes."""
        moved = [one for one in self.rows if abs(one.change) > _noise(one) or one.change != one.change]
        rows = [
            (cut(self._text(one), 40), number(one.before, 6), number(one.after, 6), signed(one.change))
            for one in moved[:_ROWS]
        ]
        left = len(moved) - len(rows)
        more = f"... and {left:,} more" if left else ("" if rows else "nothing changes")
        head = f"{self.what} by {', '.join(self.by)}" if self.by else self.what
        return TextTable((head, "before", "after", "change"), "lrrr", rows, more)

    def _text(self, one: Move) -> str:
        return plain_label(self.by, one.label, self.names or {}) or "all"

    def _parts(self) -> list[str | TextTable]:
        return [self.as_table()]


_NUMBERS = ("before", "after", "change")


def units_by(answer: Answer, by: str | tuple[str, ...] | None) -> dict[Any, float]:
    """{label: expected units shown}, by a key or keys of the candidates."""
    candidates = answer.problem.candidates
    grouping = candidates.grouping(by)
    totals = grouping.totals(candidates, answer.pairs, supply_weighted(answer))
    return dict(zip(grouping.labels, totals.tolist(), strict=True))


def column_total(answer: Answer, column: str) -> float:
    """The total of one column in a plan."""
    if not answer.pairs.size:
        return 0.0
    return float(answer.problem.candidates.columns[column][answer.pairs].astype(np.float64) @ supply_weighted(answer))


def moves_of(
    what: str,
    by: tuple[str, ...],
    before: Mapping[Any, float],
    after: Mapping[Any, float] | None,
    names: Mapping[str, Mapping[Any, str]] | None,
) -> Moves:
    """Both numbers of every label that either plan has; `after` is None where there is no plan."""
    old = {same(label): (label, one) for label, one in before.items()}
    new = {same(label): (label, one) for label, one in (after or {}).items()}
    missing = np.nan if after is None else 0.0
    rows = [
        Move((old.get(key) or new[key])[0], old.get(key, (None, 0.0))[1], new.get(key, (None, missing))[1])
        for key in {**old, **new}
    ]
    rows.sort(key=lambda one: -abs(one.change) if one.change == one.change else 0.0)
    return Moves(what, by, tuple(rows), names)


def _noise(one: Move) -> float:
    return _ROUNDING * max(abs(one.before), abs(one.after), 1e-3)
