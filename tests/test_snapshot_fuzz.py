"""Damaged and forged snapshots: every one is refused with a reason, or is the same policy; none crashes the host."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oasis_alloc.errors import SnapshotError
from oasis_alloc.snapshot import from_bytes, to_bytes

SMALL = to_bytes(
    {f"a{k}": np.arange(float(k)) for k in range(9)} | {"codes": np.arange(7, dtype=np.int32)},
    {"policy_id": "p", "created": "1.5", "certificate": "{}"},
)


def reason(raw: bytes) -> str | None:
    """Why the container is refused; None where it is accepted."""
    found = None
    try:
        from_bytes(raw)
    except SnapshotError as error:
        found = error.reason
    assert found is None or found in SnapshotError.REASONS
    return found


def test_every_byte_flipped() -> None:
    assert reason(SMALL) is None
    for at in range(len(SMALL)):
        for bits in (0x01, 0x20, 0x80, 0xFF):
            raw = bytearray(SMALL)
            raw[at] ^= bits
            assert reason(bytes(raw)) is not None, f"byte {at} ^ {bits}"


def test_every_truncation() -> None:
    for length in range(len(SMALL)):
        assert reason(SMALL[:length]) in ("truncated", "not a snapshot"), length


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
