"""Explanations of a slate: numbers and sentences, computed by `explainer.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import same, shown
from oasis_alloc.common.text_tables import Folded, TextTable, as_page, as_text, cut, number
from oasis_alloc.errors import InputError
from oasis_alloc.serving.explain.score_parts import ScorePart

_SCHEMA = 1  # of `to_dict`
_ROWS = 24  # in a notebook
_SIGNS = (
    "A score is what the item is worth by its columns, minus the prices of what it would use. A cap's price is "
    "charged. A floor's price is below 0, so minus that price is a bonus."
)


@dataclass(frozen=True, slots=True)
class Change:
    """A change that would have reversed a decision: a column of the candidate, or the price of a group, at `to`."""

    kind: str  # "column" or "price"
    name: str
    group: Any
    now: float
    to: float

    def __str__(self) -> str:
        if self.kind == "column":
            return f"{self.to - self.now:+.4g} {self.name} ({self.now:.4g} to {self.to:.4g})"
        where = "" if self.group is None else f" of {self.group!r}"
        return f"a price of {self.name!r}{where} of {self.to:.4g} (now {self.now:.4g})"


@dataclass(frozen=True, slots=True)
class Reason:
    """One candidate: its score and its parts, its place, and the margin of the decision.

    Attributes
    ----------
    position, item
        Position in the request; the item's id (its number if there are no ids, None for an unknown item).
    organic, score, parts
        The host's own score; the priced score; its summands, whose `math.fsum` is the score bit for bit.
    decrement, marginal
        The decrement for earlier items of its categories, and the score after it, which greedy compares.
    rank
        Place in the slate from 0, None if it is not shown.
    rule
        Why it is not shown: "score" (others were worth more), "worth" (not worth a slot), "at_most KEY",
        "diminishing KEY", "keep COLUMN", "exclude"; or for shown items "pinned", "keep COLUMN"; "" for all others.
    threshold, margin
        The score from which it is shown, all else equal; and its score minus that (below 0 if it is not shown). NaN if
        the share of `keep`, or a pin, decides.
    rival
        Position of the runner-up: the item that would replace it, or the item that it would replace. None for an empty
        slot.
    changes
        The smallest changes that would have reversed the decision: of its organic column, and of the largest price in
        which it differs from its rival, for all candidates that pay this price. Prices keep their sign.
    """

    position: int
    item: Any
    organic: float
    score: float
    parts: tuple[ScorePart, ...] = field(repr=False)
    decrement: float
    marginal: float
    rank: int | None
    rule: str
    threshold: float
    margin: float
    rival: int | None
    rival_item: Any
    changes: tuple[Change, ...]

    @property
    def sentence(self) -> str:
        """The decision in words."""
        parts = sorted((part for part in self.parts if part.amount), key=lambda part: -abs(part.amount))
        made = " ".join(map(str, parts[:4])) + (" ..." if len(parts) > 4 else "")
        text = f"item {self.item!r} scores {self.score:.4g} = {made or '0'}"
        if self.decrement:
            text += f", {self.decrement:.4g} less for similar items before it"
        rival = "an empty slot" if self.rival is None else f"item {self.rival_item!r}"
        if self.rank is not None:
            text += f"; shown at {self.rank + 1}"
            if self.rule:
                text += f" ({self.rule})"
            elif np.isfinite(self.margin):
                text += f", {self.margin:.4g} ahead of {rival}"
        else:
            because = {"score": f"{rival} is worth more", "worth": "it is not worth a slot"}
            text += f"; not shown: {because.get(self.rule, self.rule)}"
            if np.isfinite(self.margin):
                text += f", short by {-self.margin:.4g}"
        if self.changes:
            text += "; reversed by " + ", or ".join(map(str, self.changes))
        return text


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Sequence[Reason]):
    """One `Reason` per candidate, in the order of the request; `print` shows the slate and the runners-up."""

    reasons: tuple[Reason, ...]
    policy_id: str
    organic: str  # the column
    names: Mapping[Any, str] = field(default_factory=dict)  # of items, see `with_names`

    @overload
    def __getitem__(self, at: int) -> Reason: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Reason, ...]: ...
    def __getitem__(self, at: int | slice) -> Reason | tuple[Reason, ...]:
        return self.reasons[at]

    def __len__(self) -> int:
        return len(self.reasons)

    def __iter__(self) -> Iterator[Reason]:
        return iter(self.reasons)

    @property
    def slate(self) -> tuple[Reason, ...]:
        """Those that are shown, best first."""
        shown = [reason for reason in self.reasons if reason.rank is not None]
        return tuple(sorted(shown, key=lambda reason: reason.rank or 0))

    def with_names(self, names: Mapping[Any, str]) -> Explanation:
        """The same, whose table has the names of items, `{id: name}`, next to their ids.

        Items without one show their id alone. Raises `InputError` for what is no mapping.
        """
        if not isinstance(names, Mapping):
            raise InputError(f"with_names({shown(names)}): expected {{id: name}}.")
        return replace(self, names={same(item): str(name) for item, name in names.items()})

    def to_dict(self) -> dict[str, Any]:
        """Every reason as plain texts and numbers, for JSON; see `docs/json.md`."""
        reasons = [jsonable(reason) | {"sentence": reason.sentence} for reason in self.reasons]
        about = {"format": "oasis_alloc.explanation", "schema": _SCHEMA, "policy_id": self.policy_id}
        return about | {"organic": self.organic, "reasons": reasons}

    def __str__(self) -> str:
        table, listed = self._table()
        return "\n\n".join([as_text(table), *(as_text(reason.sentence) for reason in listed)])

    def __repr__(self) -> str:
        return f"Explanation({len(self.slate)} shown of {len(self):,} candidates, policy {self.policy_id})"

    def _repr_html_(self) -> str:
        table, listed = self._table(_ROWS)
        why = TextTable((), "l", [(reason.sentence,) for reason in listed])
        return as_page([table, _SIGNS, Folded("why, in words", why)])

    def _table(self, max_rows: int | None = None) -> tuple[TextTable, list[Reason]]:
        """The slate and the runners-up, up to so many rows."""
        dropped = sorted(
            (reason for reason in self.reasons if reason.rank is None),
            key=lambda reason: (not np.isfinite(reason.margin), -reason.margin, -reason.score),
        )
        listed = [*self.slate, *dropped[: max(3, len(self.slate))]][:max_rows]
        rows = [
            (
                "-" if reason.rank is None else str(reason.rank + 1), repr(reason.item),
                *([cut(self.names.get(same(reason.item), ""), 40)] if self.names else []), number(reason.organic, 4),
                number(reason.score, 4), number(reason.marginal, 4),
                number(reason.margin, 3) if np.isfinite(reason.margin) else "", reason.rule,
            )
            for reason in listed
        ]  # fmt: skip
        more, name = len(self.reasons) - len(listed), ["name"] if self.names else []
        table = TextTable(
            ("place", "item", *name, self.organic, "score", "marginal", "margin", "rule"),
            "l" + ("r" if all(isinstance(reason.item, int) for reason in listed) else "l") + "l" * len(name) + "rrrrl",
            rows,
            f"... and {more:,} more" if more else "",
        )  # fmt: skip
        return table, listed
