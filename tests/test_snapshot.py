"""The container: what is written comes back bit for bit, and what is wrong is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from policies import CREATED, policies, small
from strategies import curved_problems

import oasis_alloc as oa
from oasis_alloc import snapshot
from oasis_alloc.errors import OasisAllocError, SnapshotError
from oasis_alloc.serving.build import content_id
from oasis_alloc.serving.content import decode, encode
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.snapshot import from_bytes, read_arrays, to_bytes, write_arrays

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


def with_header(raw: bytes, change: Any) -> bytes:
    """The file with its parsed header changed, and the checksum made right again."""
    length = int.from_bytes(raw[:8], "little")
    described = json.loads(raw[8 : 8 + length])
    metadata = described["__metadata__"]
    described = change(described) or described
    if isinstance(metadata, dict):
        metadata["checksum"] = "0" * 64
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    out = len(text).to_bytes(8, "little") + text + raw[8 + length :]
    return out.replace(b'"checksum":"' + b"0" * 64, b'"checksum":"' + hashlib.sha256(out).hexdigest().encode(), 1)


def refused(raw: bytes) -> str:
    with pytest.raises(SnapshotError) as caught:
        from_bytes(raw)
    assert caught.value.reason in SnapshotError.REASONS
    assert isinstance(caught.value, OasisAllocError)
    return caught.value.reason


@given(st.dictionaries(st.text(max_size=8), arrays, max_size=4), st.dictionaries(st.text(max_size=8), st.text()))
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
        (forged({}, schema="2"), "newer schema"),
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
    for path in (tmp_path / "none", tmp_path, tmp_path / "none" / "p"):
        with pytest.raises(SnapshotError, match="cannot be read") as caught:
            read_arrays(path)
        assert caught.value.reason == "unreadable"


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
from oasis_alloc.snapshot import write_arrays
for k in range(10**6):
    write_arrays(sys.argv[1], {"k": np.full(100_000, k)}, {"policy_id": str(k)})
"""


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


# A policy in the container.


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, types included."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return type(b) is tuple and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@given(policies())
def test_a_policy_comes_back_to_the_bit(data: PolicyData) -> None:
    arrays, header = from_bytes(to_bytes(*encode(data)))
    again = decode(arrays, header)
    assert same(again, data)
    assert to_bytes(*encode(again)) == to_bytes(*encode(data))


def test_a_saved_policy_scores_as_it_did(tmp_path: Path) -> None:
    policy = oa.Policy(small())
    policy.save(tmp_path / "p")
    again = oa.Policy.load(tmp_path / "p")
    assert 1000 < (tmp_path / "p").stat().st_size < 6000
    columns = {name: np.random.default_rng(0).random(6) for name in policy.columns}
    for user in (None, 0, 1, 2, 3, {"market": "se"}, {"market": "fr"}):
        scores = [p.score([0, 1, 2, 3, 4, -1], columns, user=user) for p in (policy, again)]
        assert scores[0].tobytes() == scores[1].tobytes()
    assert again.encode(["ç", "x"]).tolist() == [2, -1]
    assert (again.policy_id, again.created, again.valid_until) == (policy.policy_id, CREATED, CREATED + 3600)
    assert content_id({f.name: getattr(again.data, f.name) for f in fields(again.data)[3:]}) == policy.policy_id


@given(curved_problems(most_users=4, most_items=4))
@settings(max_examples=5)
def test_what_is_loaded_scores_as_what_was_solved(case: Any) -> None:
    solution = oa.solve(case.problem, gap=1e-2)
    policy = oa.Policy(decode(*from_bytes(to_bytes(*encode(solution.policy().data)))))
    cands = case.problem.candidates
    scores = [
        policy.score(cands.item[a:b], {name: column[a:b] for name, column in cands.columns.items()}, user=u)
        for u, (a, b) in enumerate(pairwise(cands.indptr))
    ]
    assert np.concatenate(scores).tobytes() == (solution.scores() + 0.0).tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items": ("a", "b", 3, "d", "e")}, "'items' | int, str | Make them strings"),
        ({"items": ((1, 2), "b", "c", "d", "e")}, "'items' | tuple"),
        ({"items": (1, 2, 3, 4, 2**63)}, "'items' | more than 64 bits"),
        ({"items": ("a", "b", "\ud800", "d", "e")}, "'items' | not valid Unicode"),
        ({"policy_id": "\ud800"}, "not valid Unicode"),
        ({"exploration": {"share": float("nan")}}, "JSON"),
        ({"exploration": {"share": 1j}}, "JSON"),
    ],
)
def test_what_a_snapshot_cannot_keep(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        oa.Policy(replace(small(), **change)).save(tmp_path / "p")
    assert caught.value.reason == "content"
    assert all(word in str(caught.value) for word in words.split(" | "))
    assert os.listdir(tmp_path) == []


def changed(**change: Any) -> bytes:
    """A file whose policy document is not the policy's."""
    arrays, header = encode(small())
    document = json.loads(header["policy"])
    for path, value in change.items():
        *way, last = path.split("__")
        at = document
        for step in way:
            at = at[int(step) if step.isdigit() else step]
        at[int(last) if last.isdigit() else last] = value
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return to_bytes(arrays, header | {"policy": text})


def arrayed(name: str, array: Any) -> bytes:
    arrays, header = encode(small())
    arrays = arrays | {name: array}
    return to_bytes({k: v for k, v in arrays.items() if v is not None}, header)


def headed(**header: str) -> bytes:
    arrays, before = encode(small())
    return to_bytes(arrays, {k: v for k, v in (before | header).items() if v != "gone"})


@pytest.mark.parametrize(
    ("raw", "reason", "words"),
    [
        (headed(policy="gone"), "content", "policy"),
        (headed(policy="[]"), "content", ""),
        (headed(policy="{" * 100_000), "content", ""),
        (headed(policy='{"columns":[]}'), "content", "slate"),
        (headed(policy=encode(small())[1]["policy"] + " "), "content", "'policy'"),
        (headed(policy=encode(small())[1]["policy"].replace('"n_items":5', '"n_items":5,"n_items":5')), "content", ""),
        (headed(certificate="{}"), "content", "Certificate"),
        (headed(created="0x10"), "content", "float"),
        (headed(created="nan"), "content", "created is nan"),
        (headed(created=" 1"), "content", "'created'"),
        (headed(created="gone"), "content", "created"),
        (headed(valid_until="inf"), "content", "valid_until is inf"),
        (headed(policy_id=""), "content", "policy_id"),
        (headed(more="1"), "content", "'more'"),
        (changed(n_items=6), "content", "items has 5 ids; expected 6"),
        (changed(n_items=5.0), "content", ""),
        (changed(n_items=-1), "content", "n_items is -1"),
        (changed(n_items=2**40, items=None), "content", "n_items"),
        (changed(organic="nothing"), "content", "'nothing' is not among columns"),
        (changed(weights__0__1="1"), "content", "'policy'"),
        (changed(weights__0__1=True), "content", ""),
        (changed(weights__0__1=1), "content", ""),
        (changed(slate__size=0), "content", "size is 0"),
        (changed(slate__size=2.5), "content", ""),
        (changed(slate__size="3"), "content", ""),
        (changed(slate__keep=["relevance", 2.0]), "content", "share"),
        (changed(slate__keep=["relevance", 1]), "content", "'policy'"),
        (changed(slate__at_most=[["campaign", 2.0]]), "content", "'policy'"),
        (changed(slate__at_most={"campaign": 2}), "content", ""),
        (changed(columns__1=7), "content", ""),
        (changed(rank=1), "content", "'policy'"),
        (changed(terms__0__keys=["market"]), "content", ""),
        (changed(terms__1__column="nothing"), "content", "nothing"),
        (changed(constraints__0__terms=[[7, 1.0]]), "content", "term 7"),
        (changed(item_keys__0__labels="str"), "shape", "missing"),
        (changed(item_keys__0__labels="complex"), "content", "complex"),
        (changed(item_keys__0__name="market"), "content", ""),
        (changed(users=False), "shape", "segment_of_user"),
        (changed(rank=False), "shape", "rank"),
        (arrayed("terms/0/price", None), "shape", "'terms/0/price' is missing"),
        (arrayed("more", np.zeros(2)), "shape", "'more' that belongs to nothing"),
        (arrayed("terms/0/price", np.zeros(3)), "shape", "terms/0"),
        (arrayed("terms/0/price", np.zeros(2, np.int64)), "dtype", "int64; expected float64"),
        (arrayed("terms/0/groups", np.zeros((2, 1), np.int32)), "content", "not sorted and distinct"),
        (arrayed("terms/0/groups", np.array([[0], [2]], np.int32)), "content", "between 0 and 2"),
        (arrayed("segments", np.full((3, 1), 7, np.int32)), "content", "segments"),
        (arrayed("segment_of_user", np.full(4, 3, np.int32)), "content", "segment_of_user"),
        (arrayed("segment_of_user", np.full(4, -1, np.int32)), "content", "below 0"),
        (arrayed("rank", np.zeros(5, np.int64)), "content", "rank"),
        (arrayed("items/ends", np.array([0, 9, 3, 4, 5, 6])), "shape", "do not rise"),
        (arrayed("items/ends", np.zeros(0, np.int64)), "shape", "do not rise"),
        (arrayed("items/text", np.full(6, 0xFF, np.uint8)), "content", "UnicodeDecodeError"),
        (arrayed("items/text", np.full(6, 65, np.uint8)), "content", "items has something twice"),
        (arrayed("item_keys/1/indptr", np.array([0, 1, 2, 3, 4, 5])), "content", "indptr"),
        (arrayed("slate/diminishing/0", np.array([0.2, 0.1])), "content", "decrements"),
    ],
)
def test_a_file_that_is_no_policy(raw: bytes, reason: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(raw)
    with pytest.raises(SnapshotError) as caught:
        oa.Policy.load(tmp_path / "p")
    assert (caught.value.reason, words in str(caught.value)) == (reason, True), caught.value
    assert str(tmp_path / "p") in str(caught.value)
