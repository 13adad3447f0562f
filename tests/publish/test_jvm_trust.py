"""The store in Java reads manifests of published policies and verifies signatures as the store in Python does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from effort import full_only
from jvm_host import GOLDEN, lines, run
from jvm_store import JavaStore, java_store
from published import keys, priced
from test_remote import Web, web  # noqa: F401 - a fixture

import oasis_alloc as oa
from oasis_alloc.publish.manifest import Manifest

pytest.importorskip("cryptography", reason="needs the extra [sign]")
RADIO = GOLDEN / "published"


@pytest.fixture(scope="module")
def script() -> Iterator[JavaStore]:
    with java_store() as found:
        found.do("clock", repr(priced(0).created + 60.0))
        yield found


class Readers:
    """A new store of the same manifest in each language, and what they say."""

    def __init__(self, script: JavaStore, where: Path, key: str = "one", **how: Any) -> None:
        self.script = script
        self.path, public = where / "manifest.json", where.parent / f"{key}.pub"
        seen = how.pop("remember", None)  # each language has its own file
        remember = {} if seen is None else {name: f"{seen}-{name}" for name in ("java", "python")}
        options = {"required": True, "name": None} | how
        ages = [7200.0, 21600.0, 86400.0]  # the defaults in Python
        script.open(self.path, ages=ages, keys=[str(public)], remember=remember.get("java"), **options)
        trust = oa.Trust([public], remember=remember.get("python"), **options)
        self.store = oa.PolicyStore(self.path, refresh=None, trust=trust)

    def say(self) -> str:
        """The policy that both serve, or the reason why both serve nothing."""
        stats, expected = self.script.do("stats"), self.store.stats()
        for name in ("policy_id", "version", "refused_snapshots", "loaded_snapshots"):
            assert stats[name] == expected[name], name
        found = stats["policy_id"] or ", ".join(stats["refused_snapshots"])
        assert isinstance(found, str)
        return found

    def refresh(self) -> str:
        assert self.script.do("refresh") == self.store.refresh()
        return self.say()


def test_the_golden_directory(script: JavaStore, tmp_path: Path) -> None:
    """Its roll-back is verified; a policy of another year is expired today, and served at its own time."""
    shutil.copytree(RADIO, tmp_path / "radio")
    shutil.copy(RADIO / "radio.pub", tmp_path / "radio.pub")
    assert Readers(script, tmp_path / "radio", "radio", name="radio").say() == "expired"
    assert script.do("stats")["version"] == 3
    first, second, third = Manifest.read((RADIO / "manifest.json").read_bytes()).versions
    created = oa.Policy.load(RADIO / first.file).created
    script.do("clock", repr(created + 1.0))
    try:
        assert script.do("refresh") is True
        assert script.do("policy") == first.policy_id == third.policy_id != second.policy_id
    finally:
        script.do("clock", repr(priced(0).created + 60.0))


def test_signed_versions_and_roll_backs_are_served(script: JavaStore, where: Path) -> None:
    readers = Readers(script, where, name="radio")
    assert readers.say() == priced(1).policy_id
    oa.PolicyDirectory(where).rollback(reason="a test", sign=where.parent / "one.key")
    assert readers.refresh() == priced(0).policy_id
    assert script.do("stats")["version"] == 3
    assert script.do("publish", str(where / Manifest.read(readers.path.read_bytes()).versions[0].file)).startswith(
        "input: "
    )
    assert script.do("rollback") == priced(1).policy_id, "in this process alone"
    assert sorted(path.name for path in where.iterdir() if "state" in path.name or "kept" in path.name) == []


def test_other_keys_names_and_versions_without_a_signature(script: JavaStore, where: Path) -> None:
    assert Readers(script, where, "two").say() == "unknown key"
    assert Readers(script, where, name="podcasts").say() == "another name"
    path = where / "manifest.json"
    raw = path.read_bytes()
    first, second = Manifest.read(raw).versions
    path.write_bytes(raw.replace(second.signature.encode(), first.signature.encode()))
    assert Readers(script, where).say() == "bad signature"
    path.write_bytes(raw[:-1])
    assert Readers(script, where).say() == "tampered"
    path.write_bytes((where / second.file).read_bytes())  # a plain snapshot
    assert Readers(script, where).say() == "unsigned"
    plain = where.parent / "plain"
    oa.publish(priced(2), plain)
    assert Readers(script, plain).say() == "unsigned"
    assert Readers(script, plain, required=False).say() == priced(2).policy_id


@pytest.mark.parametrize("remembers", [False, True])
def test_an_older_manifest_is_refused(script: JavaStore, where: Path, remembers: bool) -> None:
    path = where / "manifest.json"
    yesterday = path.read_bytes()
    oa.publish(priced(2), where, sign=where.parent / "one.key")
    how = {"remember": where.parent / "seen"} if remembers else {}
    readers = Readers(script, where, **how)
    assert readers.say() == priced(2).policy_id
    path.write_bytes(yesterday)
    readers.refresh()
    assert script.do("stats")["last_refused"]["reason"] == "replayed"
    later = Readers(script, where, **how)  # another process
    assert later.say() == ("replayed" if remembers else priced(1).policy_id)


@pytest.mark.parametrize("what", ["folder", "manifest"])
def test_a_directory_behind_links_is_followed(script: JavaStore, where: Path, what: str) -> None:
    link = where.parent / "link"
    if what == "folder":
        link.symlink_to(where)
    else:
        link.mkdir()
        (link / "manifest.json").symlink_to(where / "manifest.json")
    readers = Readers(script, link)
    assert readers.say() == oa.PolicyDirectory(where).load().policy_id
    oa.publish(priced(5), where, sign=where.parent / "one.key")
    assert readers.refresh() == priced(5).policy_id


def test_a_policy_that_is_copied_after_its_manifest(script: JavaStore, where: Path) -> None:
    readers = Readers(script, where)
    oa.publish(priced(5), where, sign=where.parent / "one.key")
    file = where / Manifest.read(readers.path.read_bytes()).versions[-1].file
    whole = file.read_bytes()
    file.unlink()
    readers.refresh()
    assert script.do("stats")["last_refused"]["reason"] == "unreadable"
    file.write_bytes(whole[:100])
    readers.refresh()
    assert script.do("stats")["last_refused"]["reason"] == "tampered"
    file.write_bytes(whole)
    assert readers.refresh() == priced(5).policy_id


@pytest.mark.full
def test_a_store_follows_a_web_server_by_its_etag(script: JavaStore, tmp_path: Path, web: Web) -> None:  # noqa: F811
    """As in Python: 304 where nothing changed, faults of the server and of a policy pass, a replay does not."""
    ((private, public),) = keys(tmp_path, "radio")
    first = oa.publish(priced(0), web.folder, sign=private)
    ages = [7200.0, 21600.0, 86400.0]
    script.open(web.address, keys=[str(public)], ages=ages, required=True, name="radio")
    assert script.do("policy") == first.policy_id
    assert script.do("refresh") is False
    assert web.seen == [("manifest.json", 200), (first.file, 200), ("manifest.json", 304)]
    yesterday = (web.folder / "manifest.json").read_bytes()
    second = oa.publish(priced(1), web.folder, sign=private)
    web.fails = True
    assert script.do("refresh") is False
    assert script.do("stats")["refused_snapshots"] == {"unreadable": 1}
    assert script.do("policy") == first.policy_id
    web.fails = False
    assert script.do("refresh") is True
    assert script.do("policy") == second.policy_id
    raw = (web.folder / second.file).read_bytes()
    third = oa.publish(priced(2), web.folder, sign=private)
    whole = (web.folder / third.file).read_bytes()
    (web.folder / third.file).write_bytes(raw)
    assert script.do("refresh") is False
    assert script.do("stats")["last_refused"]["reason"] == "tampered"
    (web.folder / third.file).write_bytes(whole)
    assert script.do("refresh") is True, "it is read again, although the manifest is the same"
    (web.folder / "manifest.json").write_bytes(yesterday)
    assert script.do("refresh") is False
    assert script.do("stats")["last_refused"]["reason"] == "replayed"
    assert script.do("policy") == third.policy_id


@pytest.mark.full
@pytest.mark.parametrize("every", [37, *full_only(1)])
def test_no_changed_byte_is_accepted(where: Path, every: int) -> None:
    found = lines(run("oasisalloc.Tampering", where / "manifest.json", where.parent / "one.pub", str(every)))
    assert found.pop("intact") == "accepted"
    assert "accepted" not in found
    size = sum(path.stat().st_size for path in where.glob("manifest.json"))
    assert sum(map(int, found.values())) > size / every
    assert {"tampered", "unsigned"} <= set(found)
