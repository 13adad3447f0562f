"""Codes of the labels and ids in requests, of any type: `docs/labels.md`."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.labels import all_same, as_listed, is_none, kind_of, kinds_of, same, shown
from oasis_alloc.errors import InputError

_log = logging.getLogger("oasis_alloc.serving")


class Lookup:
    """The codes of some labels, and their kind.

    >>> import numpy as np
    >>> lookup = Lookup(("DE", "SE"))
    >>> lookup.code("SE"), lookup.code("NO"), lookup.code(None), lookup.codes(np.array(["SE", "FI"])).tolist()
    (1, -1, -1, [1, -1])
    >>> lookup.is_mistyped([3, None]), lookup.is_mistyped(["FI", 3]), lookup.is_mistyped([None])
    (True, False, False)
    """

    def __init__(self, labels: Sequence[Any]) -> None:
        self._codes: dict[Hashable, int] = {one: code for code, one in enumerate(all_same(labels))}
        self.kinds = kinds_of(self._codes)
        self.has_tuples = any(isinstance(label, tuple) for label in labels[:1])  # a tuple is then one label

    def code(self, label: object) -> int:
        """The code of a label, -1 for a missing or unknown one; `InputError` for values that cannot be labels."""
        return self._codes.get(label if type(label) is str else same(label), -1)

    def codes(self, labels: Iterable[Any]) -> npt.NDArray[np.int64]:
        """(n,) the codes of labels."""
        given = all_same(as_listed(labels))
        return np.fromiter(map(self._codes.get, given, repeat(-1)), np.int64, len(given))

    def is_mistyped(self, labels: Iterable[Any]) -> bool:
        """True if there are labels, and none of them has the kind of any label here."""
        if not self.kinds:
            return False
        given = kinds_of(all_same(as_listed(labels)))
        return bool(given) and not given & self.kinds


class Numbers(Lookup):
    """Codes of items whose numbers are their ids: the code of each of 0 to n - 1 is itself.

    >>> from decimal import Decimal
    >>> Numbers(3).codes([2, 2.0, Decimal(1), True, "1", 3, -1, None]).tolist()
    [2, 2, 1, -1, -1, -1, -1, -1]
    """

    def __init__(self, n: int) -> None:
        self._n, self.kinds, self.has_tuples = n, frozenset({"number"}), False

    def code(self, label: object) -> int:
        return self._number(same(label))

    def codes(self, labels: Iterable[Any]) -> npt.NDArray[np.int64]:
        given = all_same(as_listed(labels))
        return np.fromiter((self._number(one) for one in given), np.int64, len(given))

    def _number(self, one: Hashable) -> int:
        if isinstance(one, (int, float)) and 0 <= one < self._n and one == int(one):
            return int(one)
        return -1


def warn(what: str, labels: Iterable[Any], kinds: frozenset[str], policy_id: str) -> None:
    """Log that a request has ids or labels of another kind than the policy's, with the first of them."""
    first = next((label for label in as_listed(labels) if not is_none(label)), None)
    _log.warning(
        "%s such as %s, %s: policy %s has those of kind %s, and 1 is not equal to '1'. They count as never seen. "
        "See docs/labels.md; policy.mistyped_requests counts such requests.",
        what, shown(first), _described(first), policy_id, " and ".join(sorted(kinds)),
    )  # fmt: skip


def _described(label: Any) -> str:
    kind = kind_of(same(label))
    return "bytes" if kind == "bytes" else f"of type {type(label).__name__}" if kind == "other" else f"a {kind}"


def by_key(attributes: Mapping[str, object]) -> Mapping[str, object]:
    """The attributes of a request by key: those that came as arguments, and those in a mapping `attributes=`.

    >>> by_key({"artist": ["x"], "attributes": {"user": ["y"]}})
    {'artist': ['x'], 'user': ['y']}
    """
    inner = attributes.get("attributes")
    if not isinstance(inner, Mapping):
        return attributes
    return {**{key: labels for key, labels in attributes.items() if key != "attributes"}, **inner}


def listed(what: str, given: object, n: int) -> list[Any]:
    """A list of n labels, of a list, an array, or a column of any library."""
    try:
        labels = as_listed(given)
    except InputError as error:
        raise InputError(f"{what}: expected {n} labels, one per item (None where there is none): {error}") from None
    if len(labels) != n:
        raise InputError(f"{what}: {len(labels)} labels; expected {n} labels, one per item (None where there is none).")
    return labels
