"""Damaged and forged snapshots: each is refused with a reason, or is a policy that serves; none crashes the host."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from effort import full_only
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from policies import small

import oasis_alloc as oa
from oasis_alloc.errors import SnapshotError
from oasis_alloc.serving.file.codec import decode, encode
from oasis_alloc.serving.file.container import from_bytes, to_bytes

ARRAYS, HEADER = encode(small())
SMALL = to_bytes(ARRAYS, HEADER)
DOCUMENTS = {name: json.loads(HEADER[name]) for name in ("policy", "certificate")}


def reason(raw: bytes) -> str | None:
    """Why a file is refused; None where it is accepted, and then it serves and comes out as it went in."""
    found = None
    try:
        data = decode(*from_bytes(raw))
    except SnapshotError as error:
        found = error.reason
    if found is None:
        assert to_bytes(*encode(data)) == raw
        policy = oa.Policy(data)
        n = min(data.n_items, 5)
        scores = policy.score(np.arange(-1, n), {name: np.ones(n + 1) for name in policy.columns})
        assert scores.shape == (n + 1,)
    assert found is None or found in SnapshotError.REASONS
    return found


@pytest.mark.parametrize("every", [4, *full_only(1)])
def test_every_byte_flipped(every: int) -> None:
    assert 2000 < len(SMALL) < 6000
    assert reason(SMALL) is None
    for at in range(0, len(SMALL), every):
        for bits in (0x01, 0x20, 0x80, 0xFF):
            raw = bytearray(SMALL)
            raw[at] ^= bits
            assert reason(bytes(raw)) is not None, f"byte {at} ^ {bits}"


def test_every_truncation() -> None:
    for length in range(len(SMALL)):
        assert reason(SMALL[:length]) == "truncated", length


@given(st.data())
def test_bytes_changed_removed_and_put_in(data: st.DataObject) -> None:
    raw = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    assert (reason(bytes(raw)) is None) == (bytes(raw) == SMALL)


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1))
def test_any_bytes_at_all(raw: bytes, length: int) -> None:
    assert reason(raw) is not None
    assert reason(length.to_bytes(8, "little") + raw) is not None
    assert reason(len(raw).to_bytes(8, "little") + raw) is not None


# From here on the checksum is right: only the content is not.

names = st.sampled_from(["relevance", "campaign", "genre", "market", "caps", "str", "int", ""])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 6),
    st.sampled_from([-(2**63), 2**31, 2**63, 10**30]),
    st.floats(allow_nan=False, allow_infinity=False),
    names,
    st.text(max_size=4),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)


def places(document: Any) -> list[tuple[Any, ...]]:
    """The way to every value of a document."""
    if not isinstance(document, (dict, list)):
        return [()]
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    return [(), *((key, *way) for key, value in inner for way in places(value))]


def put(document: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    parts = dict(document) if isinstance(document, dict) else list(document)
    parts[way[0]] = put(parts[way[0]], way[1:], value)
    return parts


PLACES = {name: places(document) for name, document in DOCUMENTS.items()}


@given(st.data())
def test_documents_with_another_value_somewhere(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["policy", "policy", "policy", "certificate"]))
    changed = put(DOCUMENTS[name], data.draw(st.sampled_from(PLACES[name])), data.draw(values))
    text = json.dumps(changed, ensure_ascii=False, separators=(",", ":"))
    reason(to_bytes(ARRAYS, HEADER | {name: text}))


@given(st.dictionaries(st.sampled_from([*HEADER, "format", "schema", "more"]), st.text(max_size=12), min_size=1))
def test_headers_of_any_text(header: dict[str, str]) -> None:
    another_id = set(header) == {"policy_id"} and bool(header["policy_id"]) and header["policy_id"].isprintable()
    assert (reason(to_bytes(ARRAYS, HEADER | header)) is None) == another_id


dtypes = st.sampled_from([np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.uint8)])
shapes = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=6)


@given(st.data())
def test_arrays_of_other_numbers_types_and_shapes(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ARRAYS)))
    array = ARRAYS[name]
    kind = data.draw(st.sampled_from(["dtype", "shape", "numbers", "numbers", "missing", "both"]))
    dtype = data.draw(dtypes) if kind in ("dtype", "both") else array.dtype
    shape = data.draw(shapes) if kind in ("shape", "both") else array.shape
    whole = st.integers(0, 5) if dtype.kind == "u" else st.integers(-2, 5)
    arrays = dict(ARRAYS)
    if kind == "missing":
        del arrays[name]
    else:
        arrays[name] = data.draw(hnp.arrays(dtype, shape, elements=whole))
    found = reason(to_bytes(arrays, HEADER))
    if kind == "missing" or dtype != array.dtype:
        assert found in ("dtype", "shape")
