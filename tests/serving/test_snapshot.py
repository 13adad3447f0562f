"""The container: what is written comes back bit for bit, and what is wrong is refused by name."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import examples
from headers import with_header
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oasis_alloc.errors import InputError, OasisAllocError, SnapshotError
from oasis_alloc.serving.file import container as snapshot
from oasis_alloc.serving.file.container import from_bytes, read_arrays, to_bytes, write_arrays

ARRAYS = {
    "price": np.array([0.1, -2.5, 5e-324, 1.7976931348623157e308, -0.0]),
    "codes": np.array([[0, -1], [2, 1], [7, 7]], np.int32),
    "offsets": np.array([0, 3, 2**62], np.int64),
    "text": np.frombuffer("naïve".encode(), np.uint8),
    "none": np.empty((0, 3)),
    "one": np.array(0.5),
}
HEADER = {"policy_id": "p-1", "created": "1700000000.25", "text": 'a "quoted" checksum":"0', "unicode": "Björk\n"}

kinds = st.sampled_from([np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.uint8)])
arrays = kinds.flatmap(
    lambda kind: hnp.arrays(
        kind,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.floats(allow_nan=False, allow_infinity=False) if kind.kind == "f" else None,
    )
)


def forged(arrays: dict[str, Any], **header: str) -> bytes:
    """A file whose checksum is right, whatever its header says."""
    return to_bytes(arrays, header)


def refused(raw: bytes) -> str:
    with pytest.raises(SnapshotError) as caught:
        from_bytes(raw)
    assert caught.value.reason in SnapshotError.REASONS
    assert isinstance(caught.value, OasisAllocError)
    return caught.value.reason


@given(st.dictionaries(st.text(max_size=8), arrays, max_size=4), st.dictionaries(st.text(max_size=8), st.text()))
@settings(max_examples=examples(40))  # arrays of any type and shape are slow to make
def test_what_is_written_comes_back(arrays: dict[str, Any], header: dict[str, str]) -> None:
    for name in ("format", "schema", "checksum"):
        header.pop(name, None)
    raw = to_bytes(arrays, header)
    again, strings = from_bytes(raw)
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        assert again[name].shape == array.shape
        assert again[name].tobytes() == array.tobytes()
        assert not again[name].flags.writeable
        assert again[name].flags.aligned
    assert {name: strings[name] for name in header} == header
    assert to_bytes(dict(reversed(list(arrays.items()))), header) == raw, "the order of arrays is not the content"


def test_the_library_for_safetensors_reads_it(tmp_path: Path) -> None:
    from safetensors import safe_open

    write_arrays(tmp_path / "p", ARRAYS, HEADER)
    with safe_open(tmp_path / "p", "numpy") as file:
        assert set(file.keys()) == set(ARRAYS)
        for name, array in ARRAYS.items():
            assert file.get_tensor(name).tobytes() == array.tobytes()
        assert file.metadata()["text"] == HEADER["text"]


def test_the_checksum_is_of_the_file_with_its_digits_zero() -> None:
    raw = to_bytes(ARRAYS, HEADER)
    digest = from_bytes(raw)[1]["checksum"]
    assert hashlib.sha256(raw.replace(digest.encode(), b"0" * 64)).hexdigest() == digest
    assert int.from_bytes(raw[:8], "little") % 8 == 0


def test_columns_and_big_endian_arrays_are_written_row_by_row_and_little_endian() -> None:
    square = np.arange(6.0).reshape(2, 3)
    for array in (np.asfortranarray(square), square.astype(">f8"), np.repeat(square, 2, axis=1)[:, ::2]):
        assert to_bytes({"a": array}, {}) == to_bytes({"a": square}, {})


@pytest.mark.parametrize(
    ("array", "reason", "words"),
    [
        (np.array([1.0, np.nan]), "not finite", "entry 1 is nan"),
        (np.array([[-np.inf]]), "not finite", "entry 0 is -inf"),
        (np.array([1.0], np.float32), "dtype", "float32; expected float64"),
        (np.array(["a"]), "dtype", "<U1"),
        (np.array([object()]), "dtype", "object"),
        (np.array([True]), "dtype", "bool"),
    ],
)
def test_arrays_that_do_not_belong_are_not_written(tmp_path: Path, array: Any, reason: str, words: str) -> None:
    write_arrays(tmp_path / "p", ARRAYS, HEADER)
    before = (tmp_path / "p").read_bytes()
    with pytest.raises(SnapshotError, match=words) as caught:
        write_arrays(tmp_path / "p", {"bad": array}, HEADER)
    assert caught.value.reason == reason
    assert "'bad'" in str(caught.value)
    assert (tmp_path / "p").read_bytes() == before
    assert os.listdir(tmp_path) == ["p"]


RAW = to_bytes(ARRAYS, HEADER)


def nan_inside() -> bytes:
    raw = bytearray(to_bytes({"a": np.array([1.0, 123.5])}, {}))
    at = raw.index(np.float64(123.5).tobytes())
    raw[at : at + 8] = np.float64(np.nan).tobytes()
    return with_header(bytes(raw), lambda described: None)


def entry(name: str, **change: Any) -> bytes:
    return with_header(RAW, lambda described: described[name].update(change))


def empty(*shape: int) -> bytes:
    """A file whose array has no entries, in a shape that need not be one."""
    return with_header(to_bytes({"a": np.zeros(0)}, {}), lambda described: described["a"].update(shape=shape))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "truncated"),
        (RAW[:7], "truncated"),
        (RAW[:100], "truncated"),
        (RAW[:-1], "truncated"),
        (RAW + b"\0", "tampered"),
        (with_header(RAW + b"\0", lambda described: None), "shape"),
        (b"PK\x03\x04" * 100, "not a snapshot"),
        ((2**63).to_bytes(8, "little") + RAW[8:], "not a snapshot"),
        ((8).to_bytes(8, "little") + b"[1,2,3] ", "not a snapshot"),
        ((8).to_bytes(8, "little") + b'{"a":NaN', "not a snapshot"),
        ((100_000).to_bytes(8, "little") + b"[" * 100_000, "not a snapshot"),
        ((18).to_bytes(8, "little") + b'{"a": 1, "a": 1}  ', "not a snapshot"),
        (with_header(RAW, lambda described: described.update(__metadata__={})), "not a snapshot"),
        (forged({}, format="pt"), "not a snapshot"),
        (forged({}, schema="4"), "newer schema"),
        (forged(ARRAYS, schema="999"), "newer schema"),
        (forged({}, schema="one"), "not a snapshot"),
        (forged({}, schema="0"), "not a snapshot"),
        (RAW.replace(b"p-1", b"p-2"), "tampered"),
        (RAW.replace(b'"checksum"', b'"chocksum"'), "tampered"),
        (nan_inside(), "not finite"),
        (entry("price", dtype="F32"), "dtype"),
        (entry("price", dtype="F64x"), "dtype"),
        (entry("price", dtype=8), "dtype"),
        (entry("price", dtype=["F64"]), "dtype"),
        (entry("price", shape=[4]), "shape"),
        (entry("price", shape=[-5]), "shape"),
        (entry("price", shape=[2**63, 2**63]), "shape"),
        (empty(0, 2**63), "shape"),
        (empty(2**63, 0), "shape"),
        (empty(2**64 - 1, 0), "shape"),
        (empty(2**64, 0), "shape"),
        (empty(0, 2**32, 2**32), "shape"),
        (empty(*[0] * 65), "shape"),
        (empty(0, *[1] * 10_000), "shape"),
        (entry("price", shape=[5, *[1] * 64]), "shape"),
        (entry("price", data_offsets=[0, 48]), "shape"),
        (entry("price", data_offsets=[0, 10**9]), "truncated"),
        (entry("price", data_offsets=[0, "40"]), "not a snapshot"),
        (entry("price", data_offsets=None), "not a snapshot"),
        (with_header(RAW, lambda described: described.update(price=3)), "not a snapshot"),
    ],
)
def test_what_is_wrong_has_a_name(raw: bytes, reason: str, tmp_path: Path) -> None:
    assert refused(raw) == reason
    (tmp_path / "p").write_bytes(raw)
    with pytest.raises(SnapshotError, match=str(tmp_path / "p")) as caught:
        read_arrays(tmp_path / "p")
    assert caught.value.reason == reason


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, tmp_path / "none" / "p", f"{tmp_path}/a\0b"):
        with pytest.raises(SnapshotError, match="cannot be read") as caught:
            read_arrays(path)
        assert caught.value.reason == "unreadable"


def test_a_path_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="null character"):
        write_arrays(f"{tmp_path}/a\0b", ARRAYS, HEADER)


def test_the_error_survives_a_pickle_and_says_its_reason() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(SnapshotError("p: short", "truncated")))
    assert (str(error), error.reason) == ("p: short", "truncated")


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p"
    write_arrays(path, ARRAYS, HEADER)
    before = path.read_bytes()

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot.os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        write_arrays(path, {}, HEADER)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p"]


@pytest.mark.skipif(sys.platform == "win32", reason="mode bits are POSIX")
def test_others_may_read_it_as_the_mask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_arrays(tmp_path / "p", ARRAYS, HEADER)
    finally:
        os.umask(before)
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o644


WRITER = """
import sys, numpy as np
from oasis_alloc.serving.file.container import write_arrays
for k in range(10**6):
    write_arrays(sys.argv[1], {"k": np.full(100_000, k)}, {"policy_id": str(k)})
"""


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be replaced there")
def test_a_reader_beside_a_writer_that_is_killed_sees_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "p"
    environment = os.environ | {"PYTHONPATH": str(Path(snapshot.__file__).resolve().parents[1])}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], env=environment)
    try:
        end = time.monotonic() + 20
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.01)
        seen = set()
        for _ in range(60):
            arrays, header = read_arrays(path)
            assert (arrays["k"] == int(header["policy_id"])).all()
            seen.add(header["policy_id"])
    finally:
        writer.kill()
        writer.wait()
    assert len(seen) > 2
    read_arrays(path)
