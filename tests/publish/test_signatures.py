"""Signed versions: what is not signed as it has to be is never served, whatever was changed."""

from __future__ import annotations

import json
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest
from effort import full_only
from published import priced

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.publish.manifest import Manifest


def trust(where: Path, key: str = "one", **how: object) -> oa.Trust:
    return oa.Trust(where.parent / f"{key}.pub", **how)  # type: ignore[arg-type]


def refusal(where: Path, **how: object) -> str | None:
    """Why a new store serves nothing; None if it serves a policy."""
    store = oa.PolicyStore(where / "manifest.json", refresh=None, trust=trust(where), **how)  # type: ignore[arg-type]
    stats = store.stats()
    if stats["policy_id"] is not None:
        assert not stats["refused_snapshots"]
        return None
    (reason,) = stats["refused_snapshots"]
    return str(reason)


def test_a_signed_version_is_served(where: Path) -> None:
    store = oa.PolicyStore(where / "manifest.json", refresh=None, trust=trust(where, name="radio"))
    assert store.policy.policy_id == priced(1).policy_id
    assert store.stats()["version"] == 2
    version = oa.PolicyDirectory(where, trust=trust(where)).history()[-1]
    assert version.is_signed
    assert version.key in trust(where).keys


def flipped(path: Path, places: np.ndarray[tuple[int], np.dtype[np.int64]], where: Path) -> list[int]:
    """Places of a file at which a changed bit is accepted."""
    raw, accepted = path.read_bytes(), []
    rng = np.random.default_rng(0)
    for at in places.tolist():
        changed = bytearray(raw)
        changed[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(changed))
        if refusal(where) is None:
            accepted.append(at)
    path.write_bytes(raw)
    assert refusal(where) is None
    return accepted


@pytest.mark.parametrize("every", [29, *full_only(1)])
def test_no_changed_byte_is_accepted(where: Path, every: int) -> None:
    policy = where / oa.PolicyDirectory(where).history()[-1].file
    for path in (where / "manifest.json", policy):
        assert flipped(path, np.arange(0, path.stat().st_size, every), where) == []


def test_a_manifest_that_was_written_by_another_hand_is_refused(where: Path) -> None:
    path = where / "manifest.json"
    raw = path.read_bytes()
    spelled = json.dumps(json.loads(raw)).encode()
    for other in (raw + b"\n", raw.replace(b",\n", b",\n\n"), raw[:-1], raw.replace(b"[\n", b"[")):
        path.write_bytes(other)
        assert refusal(where) == "tampered"
    path.write_bytes(spelled)
    assert refusal(where) in ("tampered", "unsigned")
    lines = raw.split(b"\n")
    for changed in ([lines[0], *lines[2:]], [*lines[:1], lines[2] + b",", lines[1].rstrip(b","), *lines[3:]]):
        path.write_bytes(b"\n".join(changed))
        if changed[1:2] == lines[2:3]:  # the first version left out: the last one is as it was signed
            assert refusal(where) is None
        else:
            assert refusal(where) == "tampered"


def test_other_keys_are_refused(where: Path) -> None:
    two = where.parent / "two.key"
    assert oa.publish(priced(1), where, sign=two).version == 3, "the same policy, signed by the other key"
    assert refusal(where) == "unknown key"
    oa.publish(priced(2), where, sign=two)
    path = where / "manifest.json"
    raw = path.read_bytes()
    ids = [version.key for version in Manifest.read(raw).versions]
    assert ids[0] != ids[2]
    path.write_bytes(raw.replace(ids[2].encode(), ids[0].encode()))
    assert refusal(where) in ("bad signature", "tampered")
    path.write_bytes(raw)
    assert refusal(where) == "unknown key"


def test_the_signature_of_another_version_is_refused(where: Path) -> None:
    path = where / "manifest.json"
    raw = path.read_bytes()
    first, second = Manifest.read(raw).versions
    path.write_bytes(raw.replace(second.signature.encode(), first.signature.encode()))
    assert refusal(where) == "bad signature"


def test_a_version_without_a_signature(where: Path) -> None:
    with pytest.raises(oa.InputError, match="version 2 is signed"):
        oa.publish(priced(2), where)
    with pytest.raises(oa.InputError, match="--sign"):
        oa.PolicyDirectory(where).rollback(reason="x")
    other = where.parent / "plain"
    oa.publish(priced(3), other)
    store = oa.PolicyStore(other / "manifest.json", refresh=None, trust=trust(where))
    assert set(store.stats()["refused_snapshots"]) == {"unsigned"}
    lenient = oa.PolicyStore(other / "manifest.json", refresh=None, trust=trust(where, required=False))
    assert lenient.policy.policy_id == priced(3).policy_id
    priced(4).save(where.parent / "snapshot")
    plain = oa.PolicyStore(where.parent / "snapshot", refresh=None, trust=trust(where))
    assert set(plain.stats()["refused_snapshots"]) == {"unsigned"}
    strict = oa.PolicyStore(where / "manifest.json", refresh=None, trust=trust(where, "two", required=False))
    assert set(strict.stats()["refused_snapshots"]) == {"unknown key"}, "a wrong signature is refused in any case"


def test_a_version_of_another_publication_is_refused(where: Path) -> None:
    mixes = where.parent / "mixes"
    oa.publish(priced(5), mixes, sign=where.parent / "one.key")
    named = oa.Trust(where.parent / "one.pub", name="radio")
    assert oa.PolicyStore(where / "manifest.json", refresh=None, trust=named).policy
    store = oa.PolicyStore(mixes / "manifest.json", refresh=None, trust=named)
    assert set(store.stats()["refused_snapshots"]) == {"another name"}


def test_yesterdays_manifest_is_refused(where: Path) -> None:
    path, key = where / "manifest.json", where.parent / "one.key"
    yesterday = path.read_bytes()
    store = oa.PolicyStore(path, refresh=None, trust=trust(where))
    oa.publish(priced(2), where, sign=key)
    store.refresh()
    assert store.policy.policy_id == priced(2).policy_id
    path.write_bytes(yesterday)
    assert not store.refresh()
    assert store.policy.policy_id == priced(2).policy_id
    assert store.stats()["refused_snapshots"] == {"replayed": 1}
    assert refusal(where) is None, "a new process without a memory cannot know"


def test_a_later_process_remembers_the_version(where: Path) -> None:
    path, memory = where / "manifest.json", where.parent / "radio.version"
    yesterday = path.read_bytes()
    remembering = trust(where, remember=memory)
    oa.publish(priced(2), where, sign=where.parent / "one.key")
    assert oa.PolicyStore(path, refresh=None, trust=remembering).policy
    assert memory.read_text() == "3\n"
    assert oa.PolicyStore(path, refresh=None, trust=remembering).policy, "the same version again"
    path.write_bytes(yesterday)
    store = oa.PolicyStore(path, refresh=None, trust=remembering)
    assert set(store.stats()["refused_snapshots"]) == {"replayed"}
    memory.write_text("many")
    store = oa.PolicyStore(path, refresh=None, trust=remembering)
    assert set(store.stats()["refused_snapshots"]) == {"unreadable"}


def test_a_signed_roll_back_is_followed(where: Path) -> None:
    store = oa.PolicyStore(where / "manifest.json", refresh=None, trust=trust(where))
    version = oa.PolicyDirectory(where).rollback(reason="wrong caps", sign=where.parent / "one.key")
    assert store.refresh()
    assert store.policy.policy_id == priced(0).policy_id == version.policy_id


def test_files_of_state_are_not_believed(where: Path) -> None:
    """Who can write the directory cannot make a store roll back by a file that is not signed."""
    plain = oa.PolicyStore(where / "manifest.json", refresh=None)
    oa.publish(priced(2), where, sign=where.parent / "one.key")
    plain.refresh()
    plain.rollback()
    assert (where / "manifest.json.state").exists()
    store = oa.PolicyStore(where / "manifest.json", refresh=None, trust=trust(where))
    assert store.policy.policy_id == priced(2).policy_id
    oa.publish(priced(3), where, sign=where.parent / "one.key")
    store.refresh()
    before = (where / "manifest.json.state").read_bytes()
    assert store.rollback().policy_id == priced(2).policy_id, "within the process"
    assert (where / "manifest.json.state").read_bytes() == before
    assert refusal(where) is None


def test_keys_are_changed_without_a_gap(where: Path) -> None:
    one, two = (where.parent / f"{name}.pub" for name in ("one", "two"))
    both = oa.PolicyStore(where / "manifest.json", refresh=None, trust=oa.Trust([one, two]))
    oa.publish(priced(2), where, sign=where.parent / "two.key")
    assert both.refresh()
    only = oa.PolicyStore(where / "manifest.json", refresh=None, trust=oa.Trust([two]))
    assert only.policy.policy_id == both.policy.policy_id, "older lines may be of keys that are gone"
    old = oa.PolicyStore(where / "manifest.json", refresh=None, trust=oa.Trust([one]))
    assert set(old.stats()["refused_snapshots"]) == {"unknown key"}


def test_keys_are_private_and_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "new", str(tmp_path / "k")]) == 0
    key = capsys.readouterr().out.split()[1]
    assert stat.S_IMODE((tmp_path / "k.key").stat().st_mode) == 0o600
    for file in ("k.key", "k.pub"):
        assert main(["keys", "show", str(tmp_path / file)]) == 0
        assert capsys.readouterr().out == f"{key}\n"
    before = (tmp_path / "k.key").read_bytes()
    assert main(["keys", "new", str(tmp_path / "k")]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert (tmp_path / "k.key").read_bytes() == before
    assert oa.Trust(tmp_path / "k.pub").keys.keys() == {key}


def test_a_key_comes_from_the_environment_and_is_never_shown(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = (where.parent / "one.key").read_text()
    monkeypatch.setenv("RADIO_KEY", secret)
    assert oa.publish(priced(6), where, sign="env:RADIO_KEY").key in trust(where).keys
    monkeypatch.setenv("RADIO_KEY", secret.replace("MC4CAQ", "MC4CAZ"))
    assert main(["rollback", str(where), "--reason", "x", "--sign", "env:RADIO_KEY"]) == 2
    said = capsys.readouterr()
    assert "the variable RADIO_KEY" in said.err
    assert not any(part in said.err + said.out for part in secret.splitlines()[1:2])


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("keys", "how", "words"),
    [
        ([], {}, "one public key"),
        (7, {}, "one public key"),
        (["no-such-file"], {}, "cannot be read"),
        (["one.key"], {}, "has a private key"),
        (["text"], {}, "not a PEM file"),
        (["rsa.pub"], {}, "another kind"),
        (["one.pub"], {"required": 1}, "required=1"),
        (["one.pub"], {"name": ""}, "name"),
        (["one.pub"], {"remember": 3}, "remember=3"),
    ],
)
def test_what_cannot_be_trusted_is_named(
    where: Path, monkeypatch: pytest.MonkeyPatch, keys: object, how: dict[str, object], words: str
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    monkeypatch.chdir(where.parent)
    Path("text").write_text("a text")
    other = generate_private_key(SECP256R1()).public_key()
    Path("rsa.pub").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(oa.InputError, match=words):
        oa.Trust(keys, **how)  # type: ignore[arg-type]


def test_a_trust_is_the_same_in_another_process(where: Path) -> None:
    one = trust(where, name="radio", remember=where.parent / "memory")
    other = pickle.loads(pickle.dumps(one))
    assert (dict(other.keys), other.name, other.remember) == (dict(one.keys), one.name, one.remember)
    assert not other.check(oa.PolicyDirectory(where).history()[-1])


def test_a_store_takes_a_trust(where: Path) -> None:
    with pytest.raises(oa.InputError, match=r"an oa\.Trust, or None"):
        oa.PolicyStore(where / "manifest.json", trust="one.pub")  # type: ignore[arg-type]
    with pytest.raises(oa.InputError, match=r"an oa\.Trust, or None"):
        oa.PolicyDirectory(where, trust="one.pub")  # type: ignore[arg-type]
