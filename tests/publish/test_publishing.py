"""Directories of published policies: what is there after every step, what is kept, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from effort import full_only
from policies import small
from published import keys, killed, priced, publisher

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.publish import manifest as manifest_module
from oasis_alloc.publish.manifest import Manifest


def served(where: Path, **how: object) -> oa.Policy:
    return oa.PolicyStore(where / "manifest.json", refresh=None, **how).policy  # type: ignore[arg-type]


def test_a_version_names_a_file_by_its_digest(tmp_path: Path) -> None:
    version = oa.publish(priced(0), tmp_path / "radio", reasons=["the first", "ünïcode 🎵"], accepted={"gap": "known"})
    file = tmp_path / "radio" / version.file
    assert hashlib.sha256(file.read_bytes()).hexdigest() == version.digest
    assert oa.Policy.load(file).policy_id == version.policy_id == priced(0).policy_id
    assert (version.version, version.kind, version.of, version.name, version.parent) == (1, "publish", 1, "radio", "")
    assert served(tmp_path / "radio").policy_id == version.policy_id
    raw = (tmp_path / "radio" / "manifest.json").read_bytes()
    (found,) = json.loads(raw)["versions"]
    assert found == version.to_dict()
    assert Manifest.read(raw).to_bytes() == raw
    assert oa.PolicyDirectory(tmp_path / "radio").history() == [version]


def test_the_last_policies_stay(tmp_path: Path) -> None:
    versions = [oa.publish(priced(k), tmp_path, keep=3) for k in range(6)]
    there = {path.name for path in tmp_path.glob("*.policy")}
    assert there == {version.file for version in versions[-3:]}
    assert [version.version for version in oa.PolicyDirectory(tmp_path).history()] == [1, 2, 3, 4, 5, 6]
    for before, after in pairwise(versions):
        line = json.dumps(before.to_dict(), sort_keys=True, separators=(",", ":")).encode()
        assert after.parent == hashlib.sha256(line).hexdigest()
    with pytest.raises(oa.SnapshotError, match="cannot be read"):
        oa.PolicyDirectory(tmp_path).load(1)
    with pytest.raises(oa.InputError, match="has been removed"):
        oa.PolicyDirectory(tmp_path).rollback(2, reason="far back")


def test_a_file_is_published_as_it_is(tmp_path: Path) -> None:
    priced(0).save(tmp_path / "made")
    version = oa.publish(tmp_path / "made", tmp_path / "policies")
    assert (tmp_path / "policies" / version.file).read_bytes() == (tmp_path / "made").read_bytes()
    assert oa.publish(tmp_path / "made", tmp_path / "policies") == version, "again: nothing changes"
    (tmp_path / "cut").write_bytes((tmp_path / "made").read_bytes()[:-1])
    before = (tmp_path / "policies" / "manifest.json").read_bytes()
    with pytest.raises(oa.SnapshotError, match="its header says"):
        oa.publish(tmp_path / "cut", tmp_path / "policies")
    assert (tmp_path / "policies" / "manifest.json").read_bytes() == before


def test_a_damaged_policy_is_written_again(tmp_path: Path) -> None:
    policy = priced(0)
    version = oa.publish(policy, tmp_path)
    (tmp_path / version.file).write_bytes(b"damaged")
    assert oa.PolicyStore(tmp_path / "manifest.json", refresh=None).stats()["refused_snapshots"] == {"tampered": 1}
    oa.publish(priced(1), tmp_path)
    assert oa.publish(policy, tmp_path).version == 3
    assert served(tmp_path).policy_id == policy.policy_id


def test_a_copy_that_arrives_in_parts_is_served_when_it_is_whole(tmp_path: Path) -> None:
    """As rsync may do it: the manifest first, the policy later, and in parts."""
    made, copy = tmp_path / "made", tmp_path / "copy"
    oa.publish(priced(0), made)
    shutil.copytree(made, copy)
    store = oa.PolicyStore(copy / "manifest.json", refresh=None)
    version = oa.publish(priced(1), made)
    raw = (made / version.file).read_bytes()
    (copy / "manifest.json").write_bytes((made / "manifest.json").read_bytes())
    assert not store.refresh()
    (copy / version.file).write_bytes(raw[:1000])
    assert not store.refresh()
    assert store.stats()["refused_snapshots"] == {"unreadable": 1, "tampered": 1}
    (copy / version.file).write_bytes(raw)
    assert store.refresh()
    assert store.policy.policy_id == version.policy_id


def test_a_roll_back_is_a_new_version_with_an_older_policy(tmp_path: Path) -> None:
    directory = oa.PolicyDirectory(tmp_path)
    ids = [directory.publish(priced(k)).policy_id for k in range(3)]
    store = oa.PolicyStore(tmp_path / "manifest.json", refresh=None)
    back = directory.rollback(reason="wrong caps")
    assert (back.version, back.kind, back.of, back.reasons) == (4, "rollback", 2, ("wrong caps",))
    assert store.refresh()
    assert store.policy.policy_id == ids[1]
    assert store.stats()["version"] == 4
    assert directory.rollback(reason="those too").of == 1, "not the one that was rolled back"
    with pytest.raises(oa.InputError, match="no earlier policy"):
        directory.rollback(reason="once more")
    assert directory.publish(priced(3)).version == 6
    assert directory.rollback(reason="back again").policy_id == ids[0]
    assert directory.rollback(3, reason="by number").policy_id == ids[2]
    with pytest.raises(oa.InputError, match="current already"):
        directory.rollback(7 + 1, reason="again")
    with pytest.raises(oa.InputError, match="has no version 99; expected 1 to 8"):
        directory.rollback(99, reason="which one")
    assert store.refresh()
    assert store.policy.policy_id == ids[2]


def test_a_roll_back_removes_no_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(17):
        oa.publish(priced(k), tmp_path, keep=17)
    assert main(["rollback", str(tmp_path), "--reason", "wrong"]) == 0
    assert len(oa.PolicyDirectory(tmp_path).available()) == 17
    oa.PolicyDirectory(tmp_path).rollback(reason="wrong", keep=2)
    assert len(oa.PolicyDirectory(tmp_path).available()) == 2
    assert "is policy" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["folder", "manifest", "both files"])
def test_a_directory_behind_links_is_followed(tmp_path: Path, what: str) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    version = oa.publish(priced(0), real)
    if what == "folder":
        link.symlink_to(real)
    else:
        link.mkdir()
        for name in ("manifest.json", *([version.file] if what == "both files" else [])):
            (link / name).symlink_to(real / name)
    store = oa.PolicyStore(link / "manifest.json", refresh=None)
    assert store.policy.policy_id == version.policy_id
    if what != "both files":
        assert oa.publish(priced(1), real).version == 2
        assert store.refresh()
        assert store.policy.policy_id == priced(1).policy_id


def test_the_current_policy_of_a_manifest_is_shown_and_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (oa.publish(priced(k), tmp_path).policy_id for k in range(2))
    manifest = str(tmp_path / "manifest.json")
    store = oa.PolicyStore(manifest, refresh=None)
    oa.publish(priced(2), tmp_path)
    assert store.refresh()
    assert main(["store", "show", manifest]) == 0
    assert f"policy {priced(2).policy_id}" in capsys.readouterr().out
    assert main(["store", "refuse", manifest]) == 0
    assert store.refresh()
    assert store.policy.policy_id == second != first
    assert main(["store", "show", manifest]) == 0
    assert f"policy {priced(2).policy_id} (rolled back)" in capsys.readouterr().out


def test_versions_and_not_times_say_which_policy_is_newer(tmp_path: Path) -> None:
    new, old = oa.Policy(small(time.time() - 10, 0.5)), oa.Policy(small(time.time() - 1000, 0.7))
    oa.publish(new, tmp_path)
    store = oa.PolicyStore(tmp_path / "manifest.json", refresh=None)
    version = oa.publish(old, tmp_path)
    assert store.refresh()
    assert store.policy.created == old.created
    assert store.stats()["version"] == version.version == 2


def test_a_manifest_is_not_overwritten_by_a_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oa.publish(priced(0), tmp_path)
    priced(1).save(tmp_path / "other")
    store, before = oa.PolicyStore(tmp_path / "manifest.json", refresh=None), (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(oa.InputError, match="would overwrite"):
        store.publish(tmp_path / "other")
    assert main(["store", "publish", str(tmp_path / "other"), str(tmp_path / "manifest.json")]) == 2
    assert "oa.publish" in capsys.readouterr().err
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_a_store_rolls_back_by_itself(tmp_path: Path) -> None:
    first, second = (oa.publish(priced(k), tmp_path).policy_id for k in range(2))
    store = oa.PolicyStore(tmp_path / "manifest.json", refresh=None)
    assert store.policy.policy_id == second
    oa.publish(priced(2), tmp_path)
    store.refresh()
    assert store.rollback().policy_id == second
    later = oa.PolicyStore(tmp_path / "manifest.json", refresh=None)
    assert later.policy.policy_id == second, "the decision is next to the manifest"
    assert later.stats()["rolled_back"] == [priced(2).policy_id]
    assert first


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"keep": 0}, "keep=0"),
        ({"keep": 1.5}, "keep=1.5"),
        ({"keep": True}, "keep=True"),
        ({"reasons": [""]}, r"reasons\[0\]"),
        ({"reasons": ["two\nlines"]}, r"reasons\[0\]"),
        ({"reasons": 3}, "reasons is 3"),
        ({"reasons": ["x" * 2001]}, "2,000 characters"),
        ({"accepted": {"gap": ""}}, r"accepted\['gap'\]"),
        ({"accepted": ["gap"]}, "accepted is"),
        ({"name": " "}, "name is"),
        ({"sign": 7}, "sign is 7"),
        ({"sign": "env:NO_SUCH_VARIABLE"}, "no variable 'NO_SUCH_VARIABLE'"),
    ],
)
def test_what_is_not_valid_changes_nothing(tmp_path: Path, how: dict[str, object], words: str) -> None:
    oa.publish(priced(0), tmp_path)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    with pytest.raises(oa.InputError, match=words):
        oa.publish(priced(1), tmp_path, **how)  # type: ignore[arg-type]
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("where", ["", "a\0b", 7, None])
def test_what_is_not_a_directory_is_refused(where: object) -> None:
    with pytest.raises(oa.InputError, match="where is"):
        oa.PolicyDirectory(where)  # type: ignore[arg-type]


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(oa.InputError, match="is a file"):
        oa.publish(priced(0), tmp_path / "file")
    with pytest.raises(oa.InputError, match="policy is 7"):
        oa.publish(7, tmp_path)  # type: ignore[arg-type]


def test_the_list_of_versions_stays_short_and_their_chain_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_module, "LISTED", 20)
    policy, other = priced(0), priced(1)
    for _ in range(11):
        oa.publish(policy, tmp_path)
        oa.publish(other, tmp_path)
    versions = oa.PolicyDirectory(tmp_path).history()
    assert (len(versions), versions[0].version, versions[-1].version) == (20, 3, 22)
    assert served(tmp_path).policy_id == other.policy_id


def test_publishers_of_one_directory_wait_for_each_other(tmp_path: Path) -> None:
    def some(first: int) -> None:
        for k in range(first, first + 8):
            oa.publish(priced(k), tmp_path, keep=50)

    threads = [threading.Thread(target=some, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = oa.PolicyDirectory(tmp_path).history()
    assert [version.version for version in versions] == list(range(1, 33))
    assert {version.policy_id for version in versions} == {
        priced(100 * k + n).policy_id for k in range(4) for n in range(8)
    }


@pytest.mark.full
@pytest.mark.parametrize("signs", [*full_only(False), True])
@pytest.mark.parametrize("seed", [0, *full_only(*range(1, 25))])
def test_kill_9_at_any_moment_leaves_a_whole_policy(tmp_path: Path, seed: int, signs: bool) -> None:
    """The same directory is killed twice; the store and a further publication go on from what is there."""
    rng = np.random.default_rng(seed)
    pairs = keys(tmp_path, "key")[:1] if signs else []
    where = tmp_path / "policies"
    trust = oa.Trust(pairs[0][1]) if pairs else None
    for number in range(2):
        done = killed(publisher(where, 10_000 * number, *(pair[0] for pair in pairs)), float(rng.uniform(0, 0.15)))
        store = oa.PolicyStore(where / "manifest.json", refresh=None, trust=trust)
        history = oa.PolicyDirectory(where, trust=trust).history()
        assert store.policy.policy_id == history[-1].policy_id
        assert history[-1].version - done[-1][0] in (0, 1), "what was acknowledged is there, and at most one more"
        assert {version.version: version.policy_id for version in history}.get(done[-1][0]) == done[-1][1]
        available = oa.PolicyDirectory(where).available()
        assert {version.digest for version in history[-3:]} <= available
    oa.publish(priced(-1), where, keep=3, sign=pairs[0][0] if pairs else None)
    there = [path.name for path in where.iterdir() if path.suffix == ".policy" and not path.name.startswith(".")]
    assert len(there) == 3, "policies without a version are removed at once, parts of files after an hour"


def test_old_temporary_files_are_removed(tmp_path: Path) -> None:
    oa.publish(priced(0), tmp_path)
    old, fresh = tmp_path / ".manifest.1-abc.tmp.json", tmp_path / ".manifest.2-abc.tmp.json"
    for path, age in ((old, 4000.0), (fresh, 10.0)):
        path.write_text("part")
        os.utime(path, (time.time() - age,) * 2)
    oa.publish(priced(1), tmp_path)
    assert not old.exists()
    assert fresh.exists()


def test_history_roll_back_and_differences_from_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(tmp_path)
    assert main(["history", where]) == 0
    assert "nothing has been published" in capsys.readouterr().out
    assert main(["rollback", where, "--reason", "x"]) == 2
    for k in range(3):
        oa.publish(
            priced(k), where, keep=2, reasons=[f"day {k}"], accepted={"churn": "a new month"} if k == 2 else None
        )
    assert main(["rollback", where, "--reason", "wrong"]) == 0
    assert f"version 4 of {where} is policy {priced(1).policy_id}, as 2 was" in capsys.readouterr().out
    assert main(["history", where]) == 0
    said = capsys.readouterr().out
    for words in ("day 0", "removed", "accepted churn: a new month", "rolled back to 2", "current", "not signed"):
        assert words in said, words
    assert main(["history", where, "--json"]) == 0
    assert [one["there"] for one in json.loads(capsys.readouterr().out)] == [False, True, True, True]
    assert main(["diff", f"{where}@-1", f"{where}@3"]) == 0
    said = capsys.readouterr().out
    assert "caps, 3: 0.301 and 0.302" in said
    assert main(["diff", f"{where}@4", f"{where}@2"]) == 0
    assert "the same prices" in capsys.readouterr().out
    assert main(["diff", f"{where}@4", f"{where}@3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in document["prices"]] == [3]
    assert main(["diff", f"{where}@9", f"{where}@3"]) == 2
    assert "has no version 9" in capsys.readouterr().err
