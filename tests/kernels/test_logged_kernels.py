"""Packed decisions cut into the parts of a log, next to a reader in Python of the form that `packed.py` describes."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from oasis_alloc.kernels.serve.logged import cut_logged, measure_logged
from oasis_alloc.publish.decisions.packed import Packer, Part, tail_of


def read(row: bytes) -> tuple[dict[Part, bytes], bytes]:
    """(the parts of the first decision, what follows it)."""
    n_columns, context, request, items, slate, tail = struct.unpack_from("<6i", row, 16)
    sizes = struct.unpack_from(f"<{n_columns}i", row, 40)
    out, at = {Part.FIXED: row[:16], Part.SIZES: row[40 : 40 + 4 * n_columns]}, 40 + 4 * n_columns
    named = [Part.CONTEXT, Part.REQUEST, Part.ITEMS, Part.COLUMNS, Part.SLATE]
    for part, size in zip(named, [context, request, items, sum(sizes), slate], strict=True):
        out[part] = row[at : at + size]
        at += size
    end = at + tail
    while at < end:
        number, size = struct.unpack_from("<2i", row, at)
        out[Part(number)] = row[at + 8 : at + 8 + size]
        at += 8 + size
    return out, row[end:]


def packed(rng: np.random.Generator) -> bytes:
    """A decision with some of all parts."""
    n = int(rng.integers(0, 6))
    texts = [f"é{k}" * k for k in range(n)]
    items: Any = rng.permutation(n) if rng.random() < 0.5 else texts
    columns = {f"c{k}": rng.random(n) for k in range(rng.integers(0, 4))}
    labels: list[dict[str, Any] | None] = [None, {}, {"market": "SE"}, {"market": 1}, {"market": True}, {"x": [1]}]
    tail = tail_of(
        "ann" if rng.random() < 0.5 else None,
        rng.random(n) if rng.random() < 0.5 else None,
        rng.random(1) if rng.random() < 0.5 else None,
        [1, 0] if rng.random() < 0.5 else (),
        {0: "heard", 3: ""} if rng.random() < 0.5 else None,
    )
    slate = rng.permutation(n)[:2]
    k = None if rng.random() < 0.5 else 2
    user = labels[rng.integers(len(labels))]
    return Packer().pack(
        f"r{rng.integers(1000)}", rng.random(), "p", "c0", "fresh", user, items, columns, slate, k, tail
    )


@pytest.mark.parametrize("seed", range(10))
def test_parts_are_those_of_a_reader_in_python(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [packed(rng) for _ in range(int(rng.integers(0, 40)))]
    whole = np.array(bytearray(b"".join(rows)), np.uint8)
    ends, has = np.zeros((len(Part), len(rows) + 1), np.int64), np.zeros((len(Part), len(rows)), np.bool_)
    assert measure_logged(whole, ends, has) == len(rows)
    lengths = ends.sum(axis=1)
    ends[:, 0] = np.cumsum(lengths) - lengths
    out = np.empty(int(lengths.sum()), np.uint8)
    cut_logged(whole, ends, out)
    rest = b"".join(rows)
    for i in range(len(rows)):
        expected, rest = read(rest)
        for part in Part:
            assert out[ends[part, i] : ends[part, i + 1]].tobytes() == expected.get(part, b"")
            assert has[part, i] == (part in expected)
    assert rest == b""


def test_contexts_are_remembered_only_where_equal_ones_are_the_same() -> None:
    packer, found = Packer(), []
    for labels in ({"x": 1}, {"x": True}, {"x": 1.0}, {"x": "1"}, {"x": [1]}, {}, None):
        row = packer.pack("r", 0.0, "p", None, "fresh", labels, [0], {"x": [1.0]}, [0], None, b"")
        found.append(json.loads(read(row)[0][Part.CONTEXT]))
    assert [one[4] for one in found] == [
        '{"x": 1}',
        '{"x": true}',
        '{"x": 1.0}',
        '{"x": "1"}',
        '{"x": [1]}',
        None,
        None,
    ]
    assert all(one[:4] == ["p", None, "fresh", ["x"]] for one in found)
