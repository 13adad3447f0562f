"""How often requests bring each label of a key of their users, labels that were never seen, and none."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import all_same, as_listed, plain
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Ints
from oasis_alloc.data.keys import as_vector
from oasis_alloc.errors import InputError

MAX_LABELS = 10_000  # of a key; a key with more is an id


@dataclass(frozen=True, eq=False)
class LabelCounts(ByFields):
    """Counts by label of one key; made by `of`, filled by `add`.

    - `labels`: those of the reference, in its order.
    - `counts` (n_labels + 2,): of each label, then of labels that the reference does not have, and of no label.

    >>> counts = LabelCounts.of("market", ["SE", "DE", "SE", None])
    >>> counts.labels, counts.counts.tolist()
    (('SE', 'DE'), [2, 1, 0, 1])
    >>> counts.add(["NO", "DE"])
    >>> counts.counts.tolist()
    [2, 2, 1, 1]
    """

    labels: tuple[Any, ...]
    counts: Ints

    @classmethod
    def of(cls, key: str, given: object) -> LabelCounts:
        """The counts of these labels; `InputError` for what cannot be labels, too many of them, or none."""
        listed = as_listed(as_vector(given, f"labels[{key!r}]"))
        first: dict[Hashable, Any] = {}
        for one, label in zip(all_same(listed), listed, strict=True):
            if not _is_none(one):
                first.setdefault(one, plain(label))
        if not 0 < len(first) <= MAX_LABELS:
            raise InputError(
                f"labels[{key!r}]: {len(first):,} labels in {len(listed):,} rows; expected 1 to {MAX_LABELS:,}. Leave "
                "out keys that are ids, or that no user has."
            )
        made = cls(tuple(first.values()), np.zeros(len(first) + 2, np.int64))
        made.add(listed)
        return made

    @cached_property
    def _places(self) -> dict[Hashable, int]:
        return {one: place for place, one in enumerate(all_same(list(self.labels)))}

    def empty(self) -> LabelCounts:
        """The same labels without counts."""
        return LabelCounts(self.labels, np.zeros_like(self.counts))

    def add(self, labels: Iterable[Any]) -> None:
        """Count one label per request."""
        unseen = len(self.labels)
        given = all_same(as_listed(labels))
        places = [unseen + 1 if _is_none(one) else self._places.get(one, unseen) for one in given]
        self.counts[:] += np.bincount(np.array(places, np.int64), minlength=unseen + 2)

    def is_like(self, other: LabelCounts) -> bool:
        """Whether both count the same labels in the same order."""
        return list(self._places) == list(other._places)

    def merged(self, other: LabelCounts) -> LabelCounts:
        """The sum of two counts of the same labels."""
        return LabelCounts(self.labels, self.counts + other.counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists for JSON; dates are texts, which are equal to them as labels."""
        return {"labels": jsonable(self.labels), "counts": self.counts.tolist()}

    @classmethod
    def from_dict(cls, key: str, document: Mapping[str, Any]) -> LabelCounts:
        """The counts of `to_dict`; `InputError`, `KeyError`, `TypeError` or `ValueError` for anything else."""
        labels, counts = document["labels"], np.array(document["counts"], np.int64)
        if not isinstance(labels, list):
            raise TypeError(f"{key!r} has {labels!r} for its labels")
        made = cls(tuple(labels), counts)
        is_counted = counts.shape == (len(labels) + 2,) and bool((counts >= 0).all())
        if not is_counted or len(made._places) < len(labels) or any(_is_none(one) for one in made._places):
            raise InputError(f"{key!r} has labels that are missing or appear twice, or counts that do not fit them.")
        return made


def _is_none(one: Hashable) -> bool:
    """Whether a lookup key is of no label: None, or -1 as in `Candidates`."""
    return one is None or (type(one) is int and one == -1)
