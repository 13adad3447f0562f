"""`hdfs://` goes the way of other addresses; files are renamed into their place, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import hadoop
import pytest
from jobs import in_python, make_job
from published import priced
from served import candidates, policy, request

import oasis_alloc as oa
from oasis_alloc.common import remote
from oasis_alloc.common.remote import RemoteFolder

NODE = "hdfs://namenode:8020"


def test_policies_and_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = hadoop.serve(tmp_path, monkeypatch)
    versions = [oa.publish(priced(k), f"{NODE}/radio", keep=2) for k in range(3)]
    directory = oa.PolicyDirectory(f"{NODE}/radio")
    assert [one.policy_id for one in directory.history()] == [priced(k).policy_id for k in range(3)]
    store = oa.PolicyStore(f"{NODE}/radio/manifest.json", refresh=None)
    assert store.policy.policy_id == versions[2].policy_id
    directory.rollback(reason="a test")
    assert store.refresh()
    assert store.policy.policy_id == versions[1].policy_id
    items, columns = request(candidates(), 0)
    with oa.DecisionLog(f"{NODE}/log") as log:
        log.record("r", policy("one column"), items, columns, [0])
    assert [one.request for one in oa.read_decisions(f"{NODE}/log")] == ["r"]
    priced(0).save(f"{NODE}/saved/one.policy")
    assert oa.Policy.load(f"{NODE}/saved/one.policy").policy_id == priced(0).policy_id
    assert handler.moves > 5
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.full
def test_a_job_publishes_what_python_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hadoop.serve(tmp_path / "node", monkeypatch)
    path = make_job(tmp_path / "job")
    text = path.read_text().replace('directory = "policies"', f'directory = "{NODE}/policies"')
    for name in ("pairs.parquet", "users.parquet", "items.parquet", "campaigns.csv"):
        text = text.replace(f'"{name}"', f'"{NODE}/tables/{name}"')
        RemoteFolder(f"{NODE}/tables").put(name, tmp_path / "job" / name)
    path.write_text(text + f'\n[run]\ndirectory = "{NODE}/runs"\n')
    expected = in_python(tmp_path / "job").policy_id
    for name in ("pairs.parquet", "users.parquet", "items.parquet", "campaigns.csv"):
        (tmp_path / "job" / name).unlink()
    result = oa.run_job(path, run="monday")
    assert result.status == "published", result
    assert oa.PolicyDirectory(f"{NODE}/policies").load().policy_id == expected
    assert RemoteFolder(f"{NODE}/runs/monday").exists()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = hadoop.serve(tmp_path, monkeypatch)
    folder = RemoteFolder(f"{NODE}/a/b")
    folder.write("x", b"old")

    def broken(source: str, target: str) -> None:
        raise OSError("the name node is away")

    monkeypatch.setattr(handler, "move", broken)
    with pytest.raises(OSError, match="away"):
        folder.write("y", b"new")
    assert folder.names() == ["x"]
    assert folder.read("x") == b"old"


@pytest.mark.parametrize("address", ["hdfs://namenode:8020/policies", "hdfs:///policies", "viewfs://cluster/policies"])
def test_what_is_missing_is_named(address: str) -> None:
    try:
        import pyarrow as pa

        pa.fs.HadoopFileSystem("localhost", 1)
    except OSError as error:
        if "lib" not in str(error):
            pytest.skip("Hadoop's library is there")
    with pytest.raises(oa.InputError, match=r"needs Java and Hadoop.*JAVA_HOME.*ARROW_LIBHDFS_DIR.*CLASSPATH"):
        oa.PolicyDirectory(address).history()


def test_object_stores_are_written_in_place() -> None:
    fs = pytest.importorskip("pyarrow.fs")
    types = {fs.S3FileSystem(anonymous=True, region="us-east-1").type_name, fs.GcsFileSystem(anonymous=True).type_name}
    assert types <= set(remote._OF_OBJECTS)
