"""What a check or a gate finds: a number, its limit, and what is wrong where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from oasis_alloc.common.documents import jsonable

NAMED = 5  # rows that a finding names


@dataclass(frozen=True)
class Finding:
    """The result of one check or gate.

    `where` names rows, ids or labels: the first few of those that do not pass. `note` says why a check could not be
    made, such as the first run, which has nothing to compare with.
    """

    name: str
    passed: bool
    value: float | None = None
    limit: Any = None
    where: tuple[str, ...] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As texts and numbers."""
        return dict(jsonable(self))

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Finding:
        """The finding of a report."""
        return cls(**{**found, "where": tuple(found["where"])})

    def __str__(self) -> str:
        said = "" if self.value is None else f" {self.value:.6g}"
        limit = "" if self.limit is None else f" (limit {_short(self.limit)})"
        rest = f": {', '.join(self.where)}" if self.where else ""
        return f"{self.name}{said}{limit}{rest}{f' ({self.note})' if self.note else ''}"


def not_possible(name: str, limit: Any, note: str = "no earlier run") -> Finding:
    """A check that passes because there is nothing to compare with."""
    return Finding(name, True, None, limit, (), note)


def some(texts: Iterable[Any], count: int) -> tuple[str, ...]:
    """The first few of `count` texts, and how many more there are.

    >>> some(["a", "b"], 2), some("abcdefgh", 8)[-1]
    (('a', 'b'), 'and 3 more')
    """
    named = tuple(str(text) for _, text in zip(range(NAMED), texts, strict=False))
    return (*named, f"and {count - NAMED:,} more") if count > NAMED else named


def _short(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)
