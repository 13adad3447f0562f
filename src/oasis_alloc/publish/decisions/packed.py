"""Decisions on their way to the disk: the bytes of one object each.

Packing is what a request waits for. An array becomes bytes, which is three times as fast as a copy of an array, and all
parts are joined: one object per decision, which the garbage collector never visits. `tables.py` reads many at once.

A packed decision is, in little-endian numbers without gaps:

- `time` (float64), `k` (int64; the smallest is None), and six int32: the number of columns, and the bytes of context,
  request, items, slate and tail;
- the bytes of each column, int32 each;
- context, request, items, all columns, slate, tail. Texts are UTF-8; the context is the JSON of policy, organic column,
  mode, names of columns, and the JSON of labels; ids and positions are int64, columns float64. The tail has the parts
  that few decisions have: the number of the part and its bytes, both int32, and then these.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy import ndarray

from oasis_alloc.common.documents import label_as_json
from oasis_alloc.common.labels import storable

_MOST = 10_000  # contexts that are remembered
_DOUBLE, _LONG = np.dtype(np.float64), np.dtype(np.int64)
_PART = struct.Struct("<ii")
NO_K = -(2**63)


class Part(IntEnum):
    """Parts of a decision, in the order of `kernels/serve/logged.py`; those from `USER` on are in the tail."""

    FIXED = 0
    SIZES = 1
    CONTEXT = 2
    REQUEST = 3
    ITEMS = 4
    COLUMNS = 5
    SLATE = 6
    USER = 7
    TEXT_SIZES = 8
    TEXTS = 9
    SCORES = 10
    PROPENSITIES = 11
    PINNED = 12
    EXCLUDED = 13
    REASON_SIZES = 14
    REASONS = 15


class Packer:
    """Packs decisions; it remembers the contexts that it has seen."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[Any, ...], bytes] = {}
        self._heads: dict[int, Any] = {}

    def pack(
        self, request: str, at: float, policy_id: str, organic: str | None, mode: str, labels: Mapping[str, Any] | None,
        items: Any, columns: Mapping[str, Any], slate: Any, k: int | None, tail: bytes,
    ) -> bytes:  # fmt: skip
        """The bytes of a decision; raises what is wrong with it."""
        key = (policy_id, organic, mode, *columns, None, *labels, *labels.values()) if labels else (
            policy_id, organic, mode, *columns,
        )  # fmt: skip
        try:
            context = self._contexts.get(key) or self._context(key, columns, labels)
        except TypeError:  # a label that is a list
            context = self._context(key, columns, labels)
        if type(items) is ndarray and items.dtype is _LONG:
            candidates = items.tobytes()
        else:
            candidates, tail = ids(items, tail)
        try:
            parts = [one.tobytes() if one.dtype is _DOUBLE else numbers(one) for one in columns.values()]
        except AttributeError:  # one of them is no array
            parts = list(map(numbers, columns.values()))
        shown = slate.tobytes() if type(slate) is ndarray and slate.dtype is _LONG else places(slate)
        name, n = request.encode(), len(parts)
        head = (self._heads.get(n) or self._head(n))(
            at, NO_K if k is None else _int32(k), n, len(context), len(name), len(candidates), len(shown), len(tail),
            *map(len, parts),
        )  # fmt: skip
        return b"".join((head, context, name, candidates, *parts, shown, tail))

    def _head(self, n_columns: int) -> Any:
        self._heads[n_columns] = found = struct.Struct(f"<dq{6 + n_columns}i").pack
        return found

    def _context(self, key: tuple[Any, ...], columns: Mapping[str, Any], labels: Mapping[str, Any] | None) -> bytes:
        """The JSON of what many decisions share; remembered if labels are texts, because 1, 1.0 and True are equal."""
        for text in (key[2], *columns):
            if not isinstance(text, str):
                raise ValueError(f"expected texts as mode and as names of columns, got {text!r}")
        known = {str(name): label_as_json(label) for name, label in labels.items()} if labels else None
        written = None if known is None else json.dumps(known)
        found = json.dumps([*key[:3], list(columns), written]).encode()
        if all(text is None or isinstance(text, str) for text in key):
            if len(self._contexts) >= _MOST:
                self._contexts.clear()
            self._contexts[key] = found
        return found


def tail_of(
    user: Any, scores: Any, propensities: Any, pinned: Sequence[int], excluded: Mapping[int, str] | None
) -> bytes:
    """The parts that few decisions have."""
    parts: list[tuple[int, bytes]] = []
    if user is not None:
        parts.append((Part.USER, str(user).encode()))
    if scores is not None:
        parts.append((Part.SCORES, numbers(scores)))
    if propensities is not None:
        parts.append((Part.PROPENSITIES, numbers(propensities)))
    if len(pinned):
        parts.append((Part.PINNED, places(pinned)))
    if excluded:
        sizes, reasons = _texts(excluded.values())
        parts += [(Part.EXCLUDED, places(list(excluded))), (Part.REASON_SIZES, sizes), (Part.REASONS, reasons)]
    return b"".join([_PART.pack(part, len(content)) + content for part, content in parts])


def ids(values: Any, tail: bytes) -> tuple[bytes, bytes]:
    """(the bytes of whole numbers, the tail); of texts, no bytes and a longer tail."""
    listed = values.tolist() if isinstance(values, ndarray) else list(values)
    try:
        return _ids(listed, tail)
    except (TypeError, AttributeError):  # dates, UUIDs, 1.0, or texts and numbers
        known = [int(one) if isinstance(one, float) and one.is_integer() else one for one in storable(listed)]
        if {*map(type, known)} - {str, int}:
            raise
        return _ids(list(map(str, known)) if str in map(type, known) else known, tail)


def _ids(listed: list[Any], tail: bytes) -> tuple[bytes, bytes]:
    if not (listed and isinstance(listed[0], str)):
        return _converted(listed, _LONG), tail
    sizes, texts = _texts(listed)
    return b"", tail + _PART.pack(Part.TEXT_SIZES, len(sizes)) + sizes + _PART.pack(Part.TEXTS, len(texts)) + texts


def numbers(values: Any) -> bytes:
    """The bytes of float64 numbers.

    >>> numbers([0.5]) == numbers(np.array([0.5], np.float32)) == np.float64(0.5).tobytes()
    True
    """
    return _converted(values, _DOUBLE)


def places(values: Any) -> bytes:
    """The bytes of whole numbers, as int64."""
    return _converted(values, _LONG)


def _converted(values: Any, dtype: np.dtype[Any]) -> bytes:
    found = np.asarray(values)
    if not found.size:
        return b""
    if dtype is _LONG and found.dtype.kind not in "iu":
        raise TypeError(f"expected whole numbers, got {found.dtype}")
    if found.dtype == np.uint64 and found.max() > np.iinfo(np.int64).max:
        raise OverflowError(f"{found.max()} is above {np.iinfo(np.int64).max}")
    return found.astype(dtype, casting="same_kind", copy=False).tobytes()


def _texts(values: Iterable[str]) -> tuple[bytes, bytes]:
    """(sizes in bytes, the texts joined)."""
    parts = [text.encode() for text in values]
    return np.fromiter(map(len, parts), np.int32, len(parts)).tobytes(), b"".join(parts)


def _int32(k: int) -> int:
    if not -(2**31) <= k < 2**31:
        raise OverflowError(f"k is {k}")
    return k
