"""The signed directory in tests/golden/ is what today's code writes, and what docs/publishing.md says."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

import oasis_alloc as oa

pytest.importorskip("cryptography")
GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

import published_directory  # noqa: E402 # after the path to it

FOLDER = published_directory.FOLDER


def test_the_files_are_those_that_the_code_writes() -> None:
    assert published_directory.files() == {path.name: path.read_bytes() for path in FOLDER.iterdir()}


def test_a_store_serves_the_roll_back(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "radio")
    trust = oa.Trust(FOLDER / "radio.pub", name="radio")
    directory = oa.PolicyDirectory(tmp_path / "radio", trust=trust)
    assert [(version.kind, version.of) for version in directory.history()] == [
        ("publish", 1), ("publish", 2), ("rollback", 1),
    ]  # fmt: skip
    assert directory.load().policy_id == directory.history()[0].policy_id
    store = oa.PolicyStore(tmp_path / "radio" / "manifest.json", refresh=None, trust=trust)
    assert set(store.stats()["refused_snapshots"]) == {"expired"}, "it is of another year, and its signature is right"
    assert store.stats()["version"] == 3


def test_a_reader_from_the_page_alone() -> None:
    """Python's own types, and a library for Ed25519: what a reader in another language does."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    public = load_pem_public_key((FOLDER / "radio.pub").read_bytes())
    raw = (FOLDER / "manifest.json").read_bytes()
    lines = raw.split(b"\n")
    assert lines[0] == b'{"format":"oasis_alloc.manifest","schema":1,"versions":['
    assert lines[-2:] == [b"]}", b""]
    before = ""
    for number, text in enumerate(lines[1:-2], start=1):
        line = text.removesuffix(b",")
        version = json.loads(line)
        assert (version["version"], version["parent"]) == (number, before)
        before = hashlib.sha256(line).hexdigest()
        policy = (FOLDER / f"{version['digest']}.policy").read_bytes()
        assert hashlib.sha256(policy).hexdigest() == version["digest"]
        key = hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]
        assert version["key"] == key
        signature = bytes.fromhex(version.pop("signature"))
        members = json.dumps(version, sort_keys=True, separators=(",", ":")).encode()
        assert (
            line
            == json.dumps({**version, "signature": signature.hex()}, sort_keys=True, separators=(",", ":")).encode()
        )
        public.verify(signature, b"oasis_alloc.manifest.1\n" + members)  # type: ignore[union-attr,call-arg]
