"""A manifest has one form: what a publisher does not write is refused, whatever it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.publish.manifest import (
    Manifest,
    PublishedVersion,
    checked_text,
    checked_texts,
    line,
    signed_bytes,
)

printable = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
DIGEST = "ab" * 32
TIME = "2026-11-30T04:00:00.125Z"


def version(manifest: Manifest, **how: Any) -> PublishedVersion:
    given = {"kind": "publish", "digest": DIGEST, "policy_id": "p", "name": "radio", "time": TIME}
    return manifest.following(**given | how)


def some(count: int = 3) -> Manifest:
    manifest = Manifest()
    for k in range(count):
        manifest = manifest.with_version(version(manifest, reasons=(f"day {k}",)))
    return manifest


@settings(max_examples=examples(100))
@given(
    st.lists(st.tuples(printable, st.lists(printable, max_size=3), st.dictionaries(printable, printable, max_size=2)))
)
def test_what_is_written_is_read(versions: list[tuple[str, list[str], dict[str, str]]]) -> None:
    manifest = Manifest()
    for name, reasons, accepted in versions:
        manifest = manifest.with_version(version(manifest, name=name, reasons=tuple(reasons), accepted=accepted))
    raw = manifest.to_bytes()
    assert raw.isascii()
    assert Manifest.read(raw) == manifest
    found = json.loads(raw)["versions"]
    for before, after in pairwise(found):
        text = json.dumps(before, sort_keys=True, separators=(",", ":"))
        assert after["parent"] == hashlib.sha256(text.encode()).hexdigest(), "as the page says, for other languages"


def test_what_is_signed_is_what_the_page_says() -> None:
    one = version(Manifest(), key="0" * 16)
    members = json.loads(line(one))
    del members["signature"]
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    assert signed_bytes(one) == b"oasis_alloc.manifest.1\n" + text.encode()


@settings(max_examples=examples(300))
@given(st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
def test_changed_bytes_are_refused(at: int, put: bytes, gone: int) -> None:
    """Bytes inserted, removed or replaced: refused, or the same bytes; of the last line, which nothing follows, too."""
    raw = some().to_bytes()
    at %= len(raw) + 1
    changed = raw[:at] + put + raw[at + gone :]
    last = raw.rindex(b"\n{")
    if changed == raw or at > last:  # the last line is covered by its signature, not by a line after it
        return
    with pytest.raises(SnapshotError):
        Manifest.read(changed)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(300))
@given(st.sampled_from(sorted(PublishedVersion.__dataclass_fields__)), json_values)
def test_members_of_other_types_are_refused(member: str, value: Any) -> None:
    members = json.loads(line(version(Manifest()))) | {member: value}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    raw = b'{"format":"oasis_alloc.manifest","schema":1,"versions":[\n' + text.encode() + b"\n]}\n"
    try:
        found = Manifest.read(raw)
    except SnapshotError:
        return
    assert found.to_bytes() == raw
    assert type(found.versions[0].to_dict()[member]) is type(value)


@pytest.mark.parametrize(
    "how",
    [
        {"policy_id": "\x1b[31m"},
        {"reasons": ("a\nb",)},
        {"accepted": {"a\u202e": "b"}},
        {"kind": "other"},
        {"kind": "rollback", "of": 1},
        {"of": 7},
        {"digest": DIGEST.upper()},
        {"time": "2026-11-30"},
        {"key": "0" * 16},
        {"key": "0" * 16, "signature": "0" * 127},
        {"signature": "0" * 128},
    ],
)
def test_versions_that_no_publisher_writes_are_refused(how: dict[str, Any]) -> None:
    raw = Manifest((replace(version(Manifest()), **how),)).to_bytes()
    with pytest.raises(SnapshotError) as caught:
        Manifest.read(raw)
    assert caught.value.reason == "tampered"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a snapshot"),
        (b"{}", "not a snapshot"),
        (b'{"format":"oasis_alloc.manifest","schema":2,"versions":[\n\n]}\n', "newer schema"),
        (b'{"format":"oasis_alloc.manifest","schema":"1","versions":[\n\n]}\n', "tampered"),
        (b'{"format":"oasis_alloc.manifest","schema":1,"versions":[\n\n]}', "tampered"),
        (b'{"format":"oasis_alloc.manifest","schema":1,"schema":1,"versions":[\n\n]}\n', "tampered"),
        (b'{"format":"oasis_alloc.manifest"' + b"[" * 100_000, "tampered"),
        (b'{"format":"oasis_alloc.manifest",\xff', "tampered"),
    ],
)
def test_other_files_are_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        Manifest.read(raw)
    assert caught.value.reason == reason


def test_texts() -> None:
    assert checked_text("a 🎵", "x") == "a 🎵"
    assert checked_texts("one", "x") == ("one",)
    for wrong in (["a"] * 51, [""], [None], {"a": 1}, 3):
        with pytest.raises(InputError):
            checked_texts(wrong, "x")
