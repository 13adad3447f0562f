"""Object storage and web servers, over real sockets: tables, policies and stores."""

from __future__ import annotations

import gc
import hashlib
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from jobs import in_python, make_job, make_tables
from published import keys, priced

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.common.remote import Files, RemoteFolder, is_remote


def upload(folder: Path, address: str) -> None:
    remote = RemoteFolder(address)
    for path in folder.iterdir():
        if path.suffix in (".parquet", ".csv"):
            remote.write(path.name, path.read_bytes())


def remote_job(tmp_path: Path, bucket: str) -> Path:
    """A job whose tables and policies are in the bucket."""
    path = make_job(tmp_path / "job", solve='start = "last run"', checks='fresh = ["pairs"]')
    text = path.read_text().replace('directory = "policies"', f'directory = "{bucket}/policies"')
    for name in ("pairs.parquet", "users.parquet", "items.parquet", "campaigns.csv"):
        text = text.replace(f'"{name}"', f'"{bucket}/tables/{name}"')
        (tmp_path / "job" / name).rename(tmp_path / name)
    path.write_text(text)
    upload(tmp_path, f"{bucket}/tables")
    return path


@pytest.mark.full
def test_a_job_from_bucket_to_bucket(tmp_path: Path, bucket: str) -> None:
    path = remote_job(tmp_path, bucket)
    first = oa.run_job(path, run="monday")
    assert first.status == "published", first
    expected = in_python(tmp_path).policy_id
    store = oa.PolicyStore(f"{bucket}/policies/manifest.json", refresh=None)
    assert store.policy.policy_id == expected
    assert store.stats()["store"] == f"{bucket}/policies/manifest.json"
    late = oa.run_job(path, run="tuesday")
    assert (late.status, late.steps["checks"]["findings"][0]["passed"]) == ("check failed", False)
    make_tables(tmp_path, day=1)
    upload(tmp_path, f"{bucket}/tables")
    assert oa.run_job(path, run="tuesday").status == "published"
    assert store.refresh()
    assert store.policy.policy_id == oa.PolicyDirectory(f"{bucket}/policies").load().policy_id != expected
    assert sorted(RemoteFolder(f"{bucket}/policies").names())[-1] == "manifest.json"


def test_no_secret_is_in_a_file_or_message(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = remote_job(tmp_path, bucket)
    assert main(["run", str(path), "--run", "monday"]) == 0
    text = path.read_text().replace(f"{bucket}/tables/pairs", f"{bucket[:5]}a-key:a-secret@{bucket[5:]}/tables/pears")
    path.write_text(text)
    assert main(["run", str(path), "--run", "tuesday"]) == 2
    said = capsys.readouterr()
    assert "the address has a key and a secret" in said.err
    assert "a-secret" not in said.err + said.out
    for file in (tmp_path / "job" / "radio-runs").rglob("*"):
        assert file.is_dir() or b"a-secret" not in file.read_bytes()


@pytest.mark.full
def test_a_signed_directory_in_a_bucket(tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    ((private, public),) = keys(tmp_path, "radio")
    where = f"{bucket}/policies"
    ids = [oa.publish(priced(k), where, keep=2, sign=private).policy_id for k in range(3)]
    store = oa.PolicyStore(f"{where}/manifest.json", refresh=None, trust=oa.Trust(public, name="policies"))
    assert store.policy.policy_id == ids[2]
    assert len(RemoteFolder(where).names()) == 3, "two policies and the manifest"
    yesterday = RemoteFolder(where).read("manifest.json")
    assert main(["rollback", where, "--reason", "wrong", "--sign", str(private)]) == 0
    assert store.refresh()
    assert store.policy.policy_id == ids[1]
    RemoteFolder(where).write("manifest.json", yesterday)
    assert not store.refresh()
    assert store.stats()["refused_snapshots"] == {"replayed": 1}
    RemoteFolder(where).write("manifest.json", yesterday[:-3])
    assert not store.refresh()
    assert store.stats()["refused_snapshots"] == {"replayed": 1, "tampered": 1}
    capsys.readouterr()
    assert main(["history", where]) == 2
    RemoteFolder(where).write("manifest.json", yesterday)
    assert main(["diff", f"{where}@-1", f"{where}@2"]) == 0
    assert "caps, 3" in capsys.readouterr().out


def test_a_bucket_that_is_away_changes_nothing(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    where = f"{bucket}/policies"
    store = oa.PolicyStore(f"{where}/manifest.json", refresh=None)
    assert store.stats()["not_ready"] == "no policy"
    assert set(store.stats()["refused_snapshots"]) == {"unreadable"}
    with pytest.raises(oa.SnapshotError, match=f"no policy has been loaded from {where}/manifest.json"):
        _ = store.policy
    policy = oa.publish(priced(0), where)
    assert store.refresh()
    raw = RemoteFolder(where).read("manifest.json")
    RemoteFolder(where).remove("manifest.json")
    assert not store.refresh()
    assert store.policy.policy_id == policy.policy_id
    RemoteFolder(where).write("manifest.json", raw)
    oa.publish(priced(1), where)
    assert store.refresh()
    assert store.policy.policy_id == priced(1).policy_id
    assert f"policy {priced(1).policy_id} of {where}/manifest.json is active" in caplog.text


class Failing:
    """A file of this machine whose disk fails after its first `good` reads."""

    def __init__(self, path: Path, good: int) -> None:
        self._path, self._good = path, good

    def open(self, mode: str) -> Any:
        file = self._path.open(mode)
        read, left = file.read, iter(range(self._good))
        wrapped = BytesIO()

        def failing(size: int) -> bytes:
            if next(left, None) is None:
                file.close()
                raise OSError(5, "the disk fails")
            return bytes(read(size))

        wrapped.read = failing  # type: ignore[method-assign]
        return wrapped


@pytest.mark.parametrize(("size", "good"), [(9, 1), (9 << 20, 2)])
def test_a_disk_that_fails_leaves_the_object_as_it_was(tmp_path: Path, bucket: str, size: int, good: int) -> None:
    remote, source = RemoteFolder(f"{bucket}/runs"), tmp_path / "source"
    source.write_bytes(b"n" * size)
    remote.write("solution", b"old")
    for name in ("solution", "policy"):
        with pytest.raises(OSError, match="the disk fails"):
            remote.put(name, Failing(source, good))  # type: ignore[arg-type]
    gc.collect()  # a stream that is freed is closed, which would complete the object
    assert (remote.names(), remote.read("solution")) == (["solution"], b"old")
    remote.put("solution", source)
    assert remote.read("solution") == source.read_bytes()


def test_folders_are_tables_too(tmp_path: Path, bucket: str) -> None:
    remote = RemoteFolder(f"{bucket}/tables")
    for name, content in (("day=1/part-0.csv", "a\n1\n"), ("day=2/part-0.csv", "a\n2\n"), ("_SUCCESS", "")):
        remote.write(name, content.encode())
    files = Files(tmp_path)
    found = files / f"{bucket}/tables"
    assert sorted(path.relative_to(found).as_posix() for path in found.rglob("*.csv")) == [
        "day=1/part-0.csv", "day=2/part-0.csv",
    ]  # fmt: skip
    assert files / f"{bucket}/tables" == found, "copied once"
    assert files / "here.csv" == tmp_path / "here.csv"
    del files
    assert not found.exists(), "copies are removed"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://", "expected a bucket"),
        ("{bucket}/none.csv", "no such file"),
        ("s3://no-such-bucket/a.csv", "no-such-bucket"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, bucket: str, address: str, words: str) -> None:
    address = address.replace("{bucket}", bucket)
    with pytest.raises(oa.InputError, match=words) as caught:
        _ = Files(tmp_path) / address
    assert address in str(caught.value)


def test_a_job_reaches_no_address_of_output(tmp_path: Path) -> None:
    """`[output]` is for `oasis-alloc solve`: the answers of a job are in the folder of its run."""
    path = make_job(tmp_path)
    path.write_text(path.read_text().replace("[checks]", '[output]\ndirectory = "s3://nobody/out"\n[checks]'))
    assert oa.run_job(path).status == "published"


def test_a_place_is_the_same_in_another_process(bucket: str) -> None:
    oa.publish(priced(0), f"{bucket}/policies")
    directory = pickle.loads(pickle.dumps(oa.PolicyDirectory(f"{bucket}/policies")))
    assert directory.history()[0].policy_id == priced(0).policy_id
    assert is_remote("GS://bucket/x")


class Web(ThreadingHTTPServer):
    """A folder of policies with ETags, and the requests that it got."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen, self.fails = folder, list[tuple[str, int]](), False
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/radio/manifest.json"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        path = self.server.folder / name
        raw = path.read_bytes() if path.exists() else b""
        tag = f'"{hashlib.sha256(raw).hexdigest()}"'
        code = 500 if self.server.fails else 404 if not raw else 304 if self.headers["If-None-Match"] == tag else 200
        self.server.seen.append((name, code))
        self.send_response(code)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(raw) if code == 200 else 0))
        self.end_headers()
        if code == 200:
            self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal is the tests'."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path / "radio") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_store_follows_a_web_server_by_its_etag(tmp_path: Path, web: Web) -> None:
    ((private, public),) = keys(tmp_path, "radio")
    first = oa.publish(priced(0), web.folder, sign=private)
    store = oa.PolicyStore(web.address, refresh=None, trust=oa.Trust(public))
    assert store.policy.policy_id == first.policy_id
    assert not store.refresh()
    assert web.seen == [("manifest.json", 200), (first.file, 200), ("manifest.json", 304)]
    second = oa.publish(priced(1), web.folder, sign=private)
    web.fails = True
    assert not store.refresh()
    assert store.stats()["refused_snapshots"] == {"unreadable": 1}
    assert store.policy.policy_id == first.policy_id
    web.fails = False
    assert store.refresh()
    assert store.policy.policy_id == second.policy_id
    (web.folder / second.file).unlink()
    back = oa.publish(priced(2), web.folder, sign=private)
    raw = (web.folder / back.file).read_bytes()
    (web.folder / back.file).write_bytes(raw[:-1] + b"x")
    assert not store.refresh()
    assert store.stats()["refused_snapshots"]["tampered"] == 1
    assert store.policy.policy_id == second.policy_id
    (web.folder / back.file).write_bytes(raw)
    assert store.refresh(), "it is read again, although the manifest is the same"
    assert store.policy.policy_id == back.policy_id


@pytest.mark.parametrize("address", ["https://policies.example/radio", "s3://bucket/radio/policy"])
def test_an_address_is_that_of_a_manifest(address: str) -> None:
    with pytest.raises(oa.InputError, match=r"ends in /manifest\.json"):
        oa.PolicyStore(address)
