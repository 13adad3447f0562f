"""Packed decisions as an Arrow table.

A thread does this while requests run, so what holds the GIL is kept short: thousands of decisions are joined, cut into
columns by one call of compiled code, and given to Arrow as they are.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from oasis_alloc.common.types import Ints
from oasis_alloc.errors import require
from oasis_alloc.kernels.serve.logged import cut_logged, measure_logged
from oasis_alloc.publish.decisions.packed import NO_K, Part
from oasis_alloc.publish.decisions.schema import arrow_schema, hashed

_SLICE = 1_000  # decisions that are joined, or users that are hashed, at once: a fraction of a millisecond
_MOST = 1 << 30  # bytes of decisions in a file: Arrow counts the numbers of a column in 31 bits
_WIDE = (Part.SLATE, Part.PINNED, Part.EXCLUDED)


class Block:
    """Decisions that were taken from a queue: their bytes, one after the other."""

    def __init__(self, queue: deque[bytes], most: int) -> None:
        """Take the oldest decisions, up to `most`."""
        slices, self.count, size = [], 0, 0
        while self.count < most and size < _MOST and queue:
            rows = [queue.popleft() for _ in range(min(_SLICE, most - self.count, len(queue)))]
            slices.append(b"".join(rows))
            self.count += len(rows)
            size += len(slices[-1])
        self.packed, at = np.empty(size, np.uint8), 0
        for one in slices:  # a copy of an array leaves the GIL, joining them would not
            self.packed[at : at + len(one)] = np.frombuffer(one, np.uint8)
            at += len(one)

    def table(self, secret: bytes | None, rate: float, pause: Callable[[], object]) -> tuple[Any, list[Exception]]:
        """(table of the decisions that can be written, what is wrong with the others).

        `pause` is called between slices of users that are hashed, so that other threads get the interpreter.
        """
        parts = Parts(self.packed, self.count)
        out = parts.table(secret, rate, pause)
        wrong = parts.too_wide()
        if not wrong.any():
            return out, []
        errors: list[Exception] = [OverflowError("a position is 2^31 or more")] * int(wrong.sum())
        return out.filter(require("pyarrow", "parquet").array(~wrong)), errors


class Parts:
    """Decisions, part by part: `kernels/serve/logged.py` cuts them.

    >>> from oasis_alloc.publish.decisions.packed import Packer
    >>> row = Packer().pack("r1", 0.0, "p", "x", "fresh", {}, [5, 7], {"x": [0.5, 0.25]}, [1], None, b"")
    >>> Parts(np.array(bytearray(row)), 1).table(None, 1.0, lambda: None)["slate"].to_pylist()
    [[1]]
    """

    def __init__(self, packed: Any, count: int) -> None:
        self._pa, self._n = require("pyarrow", "parquet"), count
        self._ends, self._has = np.zeros((len(Part), count + 1), np.int64), np.zeros((len(Part), count), np.bool_)
        measure_logged(packed, self._ends, self._has)
        room = (self._ends.sum(axis=1) + 7) & ~7  # numbers begin where their type may
        self._ends[:, 0] = np.cumsum(room) - room
        self._bytes = np.empty(int(room.sum()), np.uint8)
        cut_logged(packed, self._ends, self._bytes)

    def table(self, secret: bytes | None, rate: float, pause: Callable[[], object]) -> Any:
        """The columns of `arrow_schema`."""
        pa, n = self._pa, self._n
        fixed = self._values(Part.FIXED, np.dtype([("time", np.float64), ("k", np.int64)]))
        k, texts = fixed["k"], self._text_lists(Part.TEXT_SIZES, Part.TEXTS)
        contexts = self._texts(Part.CONTEXT).dictionary_encode()
        codes, context = contexts.indices, [json.loads(one) for one in contexts.dictionary.to_pylist()]
        names = pa.array([one[3] for one in context], pa.list_(pa.string()))
        has_texts = self._has[Part.TEXTS]
        columns = {
            "request": self._texts(Part.REQUEST),
            "time": pa.array(np.ascontiguousarray(fixed["time"])),
            "policy_id": pa.array([one[0] for one in context], pa.string()).take(codes),
            "mode": pa.array([one[2] for one in context], pa.string()).take(codes),
            "user": self._users(secret, pause),
            "labels": pa.array([one[4] for one in context], pa.string()).take(codes),
            "items": self._lists(Part.ITEMS, np.int64, ~has_texts),
            "ids": self._or_null(texts, has_texts),
            "columns": self._maps(names.take(codes)),
            "scores": self._lists(Part.SCORES, np.float64, self._has[Part.SCORES]),
            "organic": pa.array([one[1] for one in context], pa.string()).take(codes),
            "slate": self._lists(Part.SLATE, np.int64),
            "propensities": self._lists(Part.PROPENSITIES, np.float64, self._has[Part.PROPENSITIES]),
            "k": pa.array(k.astype(np.int32), mask=k == NO_K),
            "pinned": self._lists(Part.PINNED, np.int64),
            "excluded": self._lists(Part.EXCLUDED, np.int64),
            "reasons": self._text_lists(Part.REASON_SIZES, Part.REASONS),
            "rate": pa.array(np.full(n, rate)),
        }
        return pa.table(columns, schema=arrow_schema())

    def too_wide(self) -> Any:
        """Whether each decision has a position that is too large for the log."""
        wrong = np.zeros(self._n, np.bool_)
        for part in _WIDE:
            values = self._values(part, np.int64)
            at = np.flatnonzero(values != values.astype(np.int32))
            wrong[np.searchsorted(self._ends_of(part, 8), at, side="right") - 1] = True
        return wrong

    def _values(self, part: Part, dtype: Any) -> Any:
        """The numbers of a part, of all decisions."""
        return self._bytes[self._ends[part, 0] : self._ends[part, -1]].view(dtype)

    def _ends_of(self, part: Part, size: int) -> Ints:
        """Where each decision's values of `size` bytes begin, and where the last one's end."""
        ends: Ints = (self._ends[part] - self._ends[part, 0]) // size
        return ends

    def _texts(self, part: Part) -> Any:
        return self._strings(self._ends_of(part, 1), part)

    def _strings(self, ends: Ints, part: Part) -> Any:
        pa = self._pa
        buffers = [pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(self._values(part, np.uint8))]
        return pa.StringArray.from_buffers(len(ends) - 1, *buffers)

    def _lists(self, part: Part, dtype: Any, has: Any = None) -> Any:
        pa = self._pa
        values = self._values(part, dtype)
        if part in _WIDE:
            values = values.astype(np.int32)
        ends = pa.array(self._ends_of(part, 8).astype(np.int32))
        if has is None or has.all():
            return pa.ListArray.from_arrays(ends, pa.array(values))
        return pa.ListArray.from_arrays(ends, pa.array(values), mask=pa.array(~has))

    def _text_lists(self, sizes: Part, texts: Part) -> Any:
        """Lists of texts; their sizes are one part, and the texts another."""
        pa = self._pa
        ends = np.concatenate([[0], np.cumsum(self._values(sizes, np.int32), dtype=np.int64)])
        return pa.ListArray.from_arrays(pa.array(self._ends_of(sizes, 4).astype(np.int32)), self._strings(ends, texts))

    def _or_null(self, values: Any, has: Any) -> Any:
        if has.all():
            return values
        pa = self._pa
        return require("pyarrow.compute", "parquet").if_else(pa.array(has), values, pa.scalar(None, values.type))

    def _maps(self, names: Any) -> Any:
        """{name: numbers} of each decision."""
        pa = self._pa
        ends = np.concatenate([[0], np.cumsum(self._values(Part.SIZES, np.int32) // 8, dtype=np.int64)])
        lists = pa.ListArray.from_arrays(
            pa.array(ends.astype(np.int32)), pa.array(self._values(Part.COLUMNS, np.float64))
        )
        return pa.MapArray.from_arrays(pa.array(self._ends_of(Part.SIZES, 4).astype(np.int32)), names.flatten(), lists)

    def _users(self, secret: bytes | None, pause: Callable[[], object]) -> Any:
        pa, has = self._pa, self._has[Part.USER]
        if secret is None or not has.any():
            return pa.nulls(self._n, pa.string())
        users, out = self._or_null(self._texts(Part.USER), has), []
        for start in range(0, self._n, _SLICE):
            given = users.slice(start, _SLICE).to_pylist()
            out += [None if user is None else hashed(user, secret) for user in given]
            pause()
        return pa.array(out, pa.string())
