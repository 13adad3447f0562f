"""Solves on Ray: the same bits as on threads, with any number of actors, and after actors were lost."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import RAY, candidates_of, clusters_that_start, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.ray import cluster as clusters
from oasis_alloc.engines.ray import driver
from oasis_alloc.engines.ray.cluster import Cluster, _check_versions
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.errors import ProblemError, SolverError

pytestmark = RAY

GAP = 1e-7


def ray() -> Any:
    """Ray, imported by tests alone: it takes as long as the rest of a collection."""
    return import_module("ray")


@pytest.fixture(scope="module", autouse=True)
def connected() -> Iterator[None]:
    ray().init(
        address="local", num_cpus=8, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False
    )
    with KEPT:
        yield
    ray().shutdown()


KEPT = oa.RayEngine()


def engine(actors: int, **settings: Any) -> oa.RayEngine:
    """Settings of a solve whose actors are those of the solve before: starting them takes longer than a test."""
    made = oa.RayEngine(actors=actors, **settings)
    object.__setattr__(made, "_idle", KEPT._idle)
    return made


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> oa.Partitions:
    return files_of(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(autouse=True)
def many_chunks() -> Iterator[None]:
    with SIZES.using(chunk_pairs=1_000, max_small=0):
        yield


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Cluster]:
    """The clusters of solves, as they start."""
    return clusters_that_start(monkeypatch)


@pytest.mark.parametrize("name", problems)
def test_the_bits_are_those_of_threads(stored: oa.Partitions, name: str) -> None:
    problem = problems[name](stored.candidates(items=candidates_of.items))
    expected = oa.solve(problems[name](candidates_of()), gap=GAP, threads=1)
    assert expected.passes > 3
    for actors in (1, 2, 3, 4):
        found = oa.solve(problem, gap=GAP, engine=engine(actors))
        same(found, expected, bits=name not in ("curved",))  # the range of a curved function is summed by chunk


def test_any_actor_may_have_any_chunk(stored: oa.Partitions, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    expected = oa.solve(problem, gap=GAP, threads=2)
    rng = np.random.default_rng(3)
    used = []

    def shuffled(self: driver.RayChunks, n: int) -> list[list[int]]:
        used.append(self.n_chunks)
        return [np.sort(part).tolist() for part in np.array_split(rng.permutation(self.n_chunks), n)]

    monkeypatch.setattr(driver.RayChunks, "dealt", shuffled)
    for actors in (2, 3, 3):
        same(oa.solve(problem, gap=GAP, engine=engine(actors)), expected)
    assert min(used) > 4


def test_actors_of_two_threads(stored: oa.Partitions) -> None:
    problem = problems["rules"](stored.candidates(items=candidates_of.items))
    same(oa.solve(problem, gap=GAP, engine=oa.RayEngine(actors=2, threads=2)), oa.solve(problem, gap=GAP))


def test_pairs_stay_at_the_actors(stored: oa.Partitions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pairs, this process gets those that are undecided, and positions of those that are shown."""
    problem = problems["supply"](stored.candidates(items=candidates_of.items))
    fetched = []
    fetch = driver.RayChunks.fetch

    def counted(self: driver.RayChunks, positions: Any) -> Any:
        fetched.append(positions.size)
        return fetch(self, positions)

    monkeypatch.setattr(driver.RayChunks, "fetch", counted)
    solution = oa.solve(problem, gap=1e-4, engine=engine(2))
    assert sum(fetched) < 0.3 * problem.candidates.n_pairs
    assert problem.candidates.stream is not None
    assert problem.candidates.stream.budget.peak == 0, "no row group was read here"
    assert solution.status.name == "SOLVED"


@pytest.mark.parametrize("name", ["limits", "rules", "kept share", "conflict"])
@pytest.mark.parametrize("elsewhere", ["a new actor", "that are left"])
def test_an_actor_that_dies_changes_nothing(
    stored: oa.Partitions, started: list[Cluster], name: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    problem = problems[name](stored.candidates(items=candidates_of.items))
    expected = oa.solve(problem, gap=GAP)
    rng = np.random.default_rng(len(name))
    timeout = 60.0
    if elsewhere == "that are left":
        timeout = 0.001
    calls = []
    ask = Cluster.ask

    def counted(self: Cluster, key: int, name: str, arguments: Any) -> Any:
        calls.append(name)
        if len(calls) in at:
            ray().kill(self._seats[int(rng.integers(len(self._seats)))].actor)
        return ask(self, key, name, arguments)

    monkeypatch.setattr(Cluster, "ask", counted)
    at: set[int] = set()
    same(oa.solve(problem, gap=GAP, engine=engine(3)), expected)
    n_calls = len(calls)
    noticed = 0
    for _ in range(3):
        calls.clear()
        at = {int(rng.integers(2, n_calls - 3))}
        with caplog.at_level(logging.WARNING, "oasis_alloc.solve"):
            found = oa.solve(problem, gap=GAP, engine=engine(3, replace_timeout=timeout))
        same(found, expected)
        noticed += started[-1].lost
        assert all(elsewhere in message for message in caplog.messages)
    assert 2 <= noticed == len(caplog.messages) <= 3, "near the end, one may die after its last answer"


def test_all_actors_may_die_one_after_the_other(stored: oa.Partitions, started: list[Cluster]) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    expected = oa.solve(problem, gap=GAP)
    kills = 0

    def kill(progress: oa.Progress) -> None:
        nonlocal kills
        if kills == started[-1].lost and kills < 3:
            kills += 1
            ray().kill(started[-1]._seats[0].actor)

    found = oa.solve(problem, gap=GAP, engine=engine(2), progress=kill)
    same(found, expected)
    assert 2 <= started[-1].lost <= kills == 3


@pytest.mark.parametrize("timeout", [60.0, 0.001])
def test_two_actors_of_one_node_may_die_at_once(
    stored: oa.Partitions, started: list[Cluster], monkeypatch: pytest.MonkeyPatch, timeout: float
) -> None:
    """And a third while its place is taken: what it had answered is asked again."""
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    expected = oa.solve(problem, gap=GAP)
    ask, restore = Cluster.ask, Cluster._restore
    calls: list[str] = []
    restored: list[int] = []
    gone: list[Any] = []

    def counted(self: Cluster, key: int, name: str, arguments: Any) -> Any:
        calls.append(name)
        if calls.count("visit") == 4 and name == "visit":
            for seat in self._seats[:2]:
                gone.append(seat)
                ray().kill(seat.actor)
        return ask(self, key, name, arguments)

    def killed(self: Cluster, heir: Any, chunks: list[int]) -> str | None:
        restored.append(len(chunks))
        if len(restored) == 1:
            if all(heir is not seat for seat in gone):  # one of the two may have answered before it died
                gone.append(heir)
            ray().kill(heir.actor)
        return restore(self, heir, chunks)

    monkeypatch.setattr(Cluster, "ask", counted)
    monkeypatch.setattr(Cluster, "_restore", killed)
    found = oa.solve(problem, gap=GAP, engine=engine(4, replace_timeout=timeout))
    same(found, expected, bits=timeout > 1.0)  # where a survivor dies, others have visited twice
    assert started[-1].lost == len(gone) >= 2


def test_the_last_actor_that_dies_is_an_error(stored: oa.Partitions, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    ask = Cluster.ask

    def killing(self: Cluster, key: int, name: str, arguments: Any) -> Any:
        if name == "visit":
            for seat in self._seats:
                ray().kill(seat.actor)
        return ask(self, key, name, arguments)

    monkeypatch.setattr(Cluster, "ask", killing)
    none = r"all actors are lost .*, and no new one could start \(none has answered within 0.001 seconds\)"
    with pytest.raises(SolverError, match=none):
        oa.solve(problem, engine=engine(2, replace_timeout=0.001))


def test_a_damaged_partition_is_named(tmp_path: Path) -> None:
    stored = files_of(tmp_path)
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    path = stored.directory / "part-00001.parquet"
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[len(damaged) // 3] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(oa.InputError, match=r"part-00001.parquet has changed since"):
        oa.solve(problem, engine=engine(2))
    again = problem.replace(candidates=stored.candidates(items=candidates_of.items))
    with pytest.raises(oa.InputError, match=r"part-00001.parquet, row group 0 of .*damaged"):
        oa.solve(again, engine=engine(2))
    path.unlink()
    with pytest.raises(oa.InputError, match=r"part-00001.parquet has changed since .* it is gone"):
        oa.solve(problem, engine=engine(2))
    with pytest.raises(oa.InputError, match=r"file 'part-00001.parquet' is not as the manifest says"):
        stored.candidates()


def test_a_user_in_two_partitions_is_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stored = files_of(tmp_path)
    path = stored.directory / "part-00001.parquet"
    table = pq.read_table(path)
    users = table.column("user").to_numpy().copy()
    last = users[0] - 1  # of the partition before
    users[0] = last
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(users)), path)
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    with pytest.raises(oa.InputError, match=rf"part-00001.parquet, row group 0, row 0: user {last}; expected user"):
        oa.solve(problem, engine=engine(2))


def test_what_is_in_memory_cannot_be_solved_there() -> None:
    with pytest.raises(ProblemError, match="RayEngine needs candidates in Parquet files"):
        oa.solve(problems["limits"](candidates_of()), engine=engine(2))


def test_more_actors_than_there_is_room_for(stored: oa.Partitions) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    with pytest.raises(SolverError, match=r"3 of 3 actors did not start within 0.5 seconds. Each asks for 9 CPU"):
        oa.solve(problem, engine=oa.RayEngine(actors=3, threads=9, start_timeout=0.5))


def test_other_versions_are_named(stored: oa.Partitions, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    newer = {**clusters.versions(), "numba": "99.1"}
    monkeypatch.setattr(clusters, "versions", lambda: newer)
    with pytest.raises(SolverError, match=r"other versions than this process: numba \S+ there and 99.1 here"):
        oa.solve(problem, engine=engine(2))
    _check_versions({"a": "1", "b": "2"}, {"a": "1"})
    with pytest.raises(SolverError, match="a None there and 1 here"):
        _check_versions({}, {"a": "1"})


def test_another_cluster_than_that_of_the_process(stored: oa.Partitions) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    with pytest.raises(SolverError, match=r"this process is connected to the cluster at"):
        oa.solve(problem, engine=oa.RayEngine(address="127.0.0.1:6379"))


def test_what_does_not_answer(stored: oa.Partitions, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    monkeypatch.setattr(ray(), "is_initialized", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as closed:
        gone = closed.getsockname()[1]
        closed.close()
        port = other.getsockname()[1]

        def answer() -> None:
            connection, _ = other.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")
            connection.close()

        serving = threading.Thread(target=answer)
        serving.start()
        for address, why in (
            (f"127.0.0.1:{port}", r"it is not a GCS of Ray"),
            (f"127.0.0.1:{gone}", r"no Ray cluster answers at '127.0.0.1:\d+' \(.*refused\)\. Check that"),
            ("ray://127.0.0.1:10001", r"expected host:port .* Ray Client \(ray://\) are not supported"),
        ):
            with pytest.raises(SolverError, match=why):
                oa.solve(problem, engine=oa.RayEngine(address=address))
        serving.join()


def test_the_code_of_the_page_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), "docs/cluster.md", "exec"), names)
    assert names["solution"].status.name == "SOLVED"
    assert json.loads(names["manifest"].read_text())["pairs"] == names["solution"].pairs.size
    same(oa.solve(names["problem"], gap=1e-4), names["solution"])


def test_checkpoints_starts_relaxations_and_the_reference_work(stored: oa.Partitions, tmp_path: Path) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    state = tmp_path / "state"
    oa.solve(problem, gap=GAP, pass_limit=3, checkpoint=state, engine=engine(2))
    here = oa.solve(problem, gap=GAP, resume=state)
    same(oa.solve(problem, gap=GAP, resume=state, engine=engine(2)), here)  # begun there, ended here or there
    same(oa.solve(problem, gap=GAP, start=here, engine=engine(2)), oa.solve(problem, gap=GAP, start=here))
    conflict = problems["conflict"](problem.candidates)
    relaxed = oa.solve(conflict, gap=1e-4, on_conflict="relax")
    assert relaxed.status.name == "RELAXED"
    same(oa.solve(conflict, gap=1e-4, on_conflict="relax", engine=engine(3)), relaxed)
    same(oa.solve(problem, solver="conic", engine=engine(2)), oa.solve(problem, solver="conic"))


def test_the_progress_can_stop_a_solve(stored: oa.Partitions) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    found = oa.solve(problem, gap=GAP, engine=engine(2), progress=lambda progress: progress.passes > 2)
    assert found.status.name == "STOPPED"
    assert found.passes < 8
    assert found.bound >= oa.solve(problem, gap=GAP).value
