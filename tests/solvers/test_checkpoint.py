"""Long work is safe: a solve that is killed goes on from its last checkpoint, to the same answer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import full_only
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers import checkpoint as files

GAP = 1e-7
SOURCE = str(Path(oa.__file__).resolve().parents[1])
PATHS = os.pathsep.join([SOURCE, str(Path(__file__).parents[1] / "support")])  # of a process of its own


def candidates(seed: int = 3, n_users: int = 2_000) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(80, 12, replace=False) for _ in range(n_users)])
    return oa.Candidates.from_arrays(
        np.arange(n_users + 1) * 12, item, {"relevance": rng.random(item.size)},
        users={"market": rng.integers(0, 3, n_users)},
        items={"campaign": np.arange(80) // 4, "artist": np.arange(80) % 9},
    )  # fmt: skip


def problem(cap: float = 150.0, **changes: Any) -> oa.Problem:
    limits = [(oa.exposure(by="campaign") <= cap).named("caps"), oa.exposure(by=("market", "campaign")) <= 90.0]
    worth = oa.total("relevance") + 2.0 * oa.log(oa.exposure(by="artist"))
    return oa.Problem(candidates(), worth, limits, oa.Slate(2)).replace(**changes)


# A process that solves the problem with a checkpoint at every pass, and that somebody kills at a pass.
CHILD = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import oasis_alloc as oa
from test_checkpoint import GAP, problem
def progress(state):
    if state.passes > {after} and os.path.exists({path!r}):
        os.kill(os.getpid(), signal.SIGKILL)
oa.solve(problem(), gap=GAP, checkpoint={path!r}, checkpoint_every=1e-9, progress=progress)
"""


def killed(path: Path, after: float) -> None:
    code = CHILD.format(tests=str(Path(__file__).parent), after=after, path=str(path))
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": PATHS}, check=False)
    assert done.returncode == -signal.SIGKILL


def same_within_the_gap(one: oa.Solution, other: oa.Solution, gap: float = GAP) -> None:
    assert one.status is other.status is oa.Status.SOLVED
    assert max(one.gap, other.gap) <= gap
    size = max(1.0, abs(other.bound))
    assert one.value == pytest.approx(other.value, abs=gap * size)
    assert one.value <= other.bound + 1e-12 * size
    assert other.value <= one.bound + 1e-12 * size


@pytest.mark.full
def test_a_process_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    whole = oa.solve(problem(), gap=GAP)
    path = tmp_path / "state.safetensors"
    killed(path, after=0.6 * whole.passes)
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing half-written is left"
    seen: list[oa.Progress] = []
    again = oa.solve(problem(), gap=GAP, resume=path, checkpoint=path, progress=lambda s: seen.append(s) or False)
    same_within_the_gap(again, whole)
    assert seen[0].passes > 0.6 * whole.passes - 2, "what was spent before counts"
    assert again.passes < 1.7 * whole.passes
    # and from the last state of all there is nothing left to do but to look at it once
    last = oa.solve(problem(), gap=GAP, resume=path)
    assert last.passes == again.passes + 1
    assert (last.value, last.violation) == (again.value, again.violation)


@pytest.mark.parametrize(
    "rules", [{}, *full_only({"at_most": {"artist": 1}, "keep": {"relevance": 0.5}})], ids=["plain", "rules"]
)
def test_every_stage_can_be_gone_on_from(tmp_path: Path, rules: dict[str, Any]) -> None:
    gap = 1e-5
    asked = problem(slate=oa.Slate(2, **rules))
    whole = oa.solve(asked, gap=gap)
    stages: set[str] = set()
    for limit in np.linspace(1.0, whole.passes, 4)[:-1]:
        path = tmp_path / f"{limit}"
        part = oa.solve(asked, gap=gap, pass_limit=limit, checkpoint=path)
        assert part.status is oa.Status.PASS_LIMIT
        if not path.exists():  # no visit to all users yet
            continue
        with safe_open(path, "numpy") as file:
            stages.add(file.metadata()["stage"])
        again = oa.solve(asked, gap=gap, resume=path)
        same_within_the_gap(again, whole, gap)
        assert again.passes > part.passes
    assert len(stages) > 1


@pytest.mark.full
def test_files_and_memory_share_their_checkpoints(tmp_path: Path) -> None:
    asked = problem()
    asked.candidates.to_parquet(tmp_path / "pairs", rows_per_group=700)
    attributes = {
        "users": {"market": _codes(asked, "market")},
        "items": {"campaign": np.arange(80) // 4, "artist": np.arange(80) % 9},
    }
    streamed = oa.Candidates.from_parquet(tmp_path / "pairs", memory="1MiB", **attributes)
    path = tmp_path / "state"
    oa.solve(asked, gap=GAP, pass_limit=8, checkpoint=path)
    same_within_the_gap(oa.solve(asked.replace(candidates=streamed), gap=GAP, resume=path), oa.solve(asked, gap=GAP))


def _codes(asked: oa.Problem, key: str) -> Any:
    known = asked.candidates.users[key]
    return known.labels[known.codes]


def test_nothing_is_written_more_often_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[float] = []
    monkeypatch.setattr(files, "save", lambda *given: written.append(time.perf_counter()))
    oa.solve(problem(), checkpoint=tmp_path / "state", checkpoint_every=1e9)
    assert len(written) == 1, "the last state"
    written.clear()
    oa.solve(problem(), checkpoint=tmp_path / "state", checkpoint_every=0.01)
    assert len(written) > 2
    assert np.diff(written[:-1]).min(initial=1.0) >= 0.009


def test_a_write_that_fails_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    oa.solve(problem(), pass_limit=6, checkpoint=path)
    before = path.read_bytes()

    def full(*given: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(oa.CheckpointWarning, match="no space left"):
        assert oa.solve(problem(), checkpoint=path).status is oa.Status.SOLVED
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_has_gone_is_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, tries, save = tmp_path / "kept", [], files.save
    folder.mkdir()

    def counted(*given: Any) -> None:
        tries.append(given)
        save(*given)

    def progress(state: oa.Progress) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if len(tries) > 4:
            folder.mkdir()  # it is there again: the last state is kept

    monkeypatch.setattr(files, "save", counted)
    for _ in range(2):  # every solve says it
        tries.clear()
        folder.mkdir(exist_ok=True)
        with pytest.warns(oa.CheckpointWarning, match="cannot be written") as seen:
            solution = oa.solve(problem(), checkpoint=folder / "state", checkpoint_every=1e-9, progress=progress)
        assert solution.status is oa.Status.SOLVED
        assert len(seen) == 1
        assert len(tries) > 6
        assert (folder / "state").is_file()
    assert len(caplog.records) == 2


OTHERS = {
    "a limit": lambda: problem(cap=151.0),
    "one limit of many": lambda: problem(cap=np.where(np.arange(20) == 7, 149.0, 150.0)),
    "a weight": lambda: problem(maximize=oa.total("relevance") + 2.1 * oa.log(oa.exposure(by="artist"))),
    "an offset": lambda: problem(maximize=oa.total("relevance") + 2.0 * oa.log(oa.exposure(by="artist"), offset=2.0)),
    "the slate": lambda: problem(slate=oa.Slate(3)),
    "a rule": lambda: problem(slate=oa.Slate(2, at_most={"artist": 1})),
    "supply": lambda: problem(supply=np.linspace(1, 2, 2_000)),
    "the pairs": lambda: problem(candidates=candidates(seed=4)),
    "their order": lambda: problem(candidates=swapped()),
    "a name": lambda: problem(subject_to=[(oa.exposure(by="campaign") <= 150.0).named("other")]),
}


def swapped() -> oa.Candidates:
    """Two users of one market have each other's values."""
    same = candidates()
    market = same.users["market"].codes
    one, other = np.flatnonzero(market == 0)[:2]
    values = same.columns["relevance"].copy()
    values[12 * one : 12 * one + 12], values[12 * other : 12 * other + 12] = (
        same.columns["relevance"][12 * k : 12 * k + 12] for k in (other, one)
    )
    return oa.Candidates.from_arrays(
        same.indptr, same.item, {"relevance": values}, users={"market": _codes(problem(), "market")},
        items={"campaign": np.arange(80) // 4, "artist": np.arange(80) % 9},
    )  # fmt: skip


def test_a_checkpoint_of_another_problem_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    oa.solve(problem(), pass_limit=6, checkpoint=path)
    prints = set()
    for name, other in OTHERS.items():
        with engine_for(lower(other())) as engine:
            prints.add(files.fingerprint(engine))
        if name in ("a limit", "the pairs"):
            with pytest.raises(oa.ProblemError, match=r"checkpoint of another problem.*start="):
                oa.solve(other(), resume=path)
    with engine_for(lower(problem())) as engine, engine_for(lower(problem()), 1) as serial:
        assert files.fingerprint(engine) == files.fingerprint(serial)
        prints.add(files.fingerprint(engine))
    assert len(prints) == len(OTHERS) + 1


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    path, other = tmp_path / "state", tmp_path / "other"
    oa.solve(problem(), pass_limit=6, checkpoint=path)
    whole = path.read_bytes()
    other.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(oa.ProblemError, match=r"other.*cannot be read as a checkpoint"):
        oa.solve(problem(), resume=other)
    other.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(oa.ProblemError, match="is damaged"):
        oa.solve(problem(), resume=other)
    save_file(load_file(path), other)
    with pytest.raises(oa.ProblemError, match="not a checkpoint of this version"):
        oa.solve(problem(), resume=other)


BAD = [
    ({"checkpoint": 3}, "checkpoint=3 | path"),
    ({"checkpoint": "/no/such/directory/state"}, "checkpoint='/no/such/directory/state' | directory that exists"),
    ({"checkpoint": "."}, "checkpoint='.' | a file"),
    ({"checkpoint": "x", "checkpoint_every": 0}, "checkpoint_every=0 | positive"),
    ({"checkpoint": "x", "solver": "conic"}, "'conic' | writes no checkpoints"),
    ({"resume": "/no/such/state"}, "resume='/no/such/state' | no such file"),
    ({"resume": os.devnull}, "resume= | it is a device"),
    ({"resume": "."}, "resume='.' | it is a directory"),
    ({"checkpoint": ""}, "checkpoint='' | the path is empty"),
    ({"resume": ""}, "resume='' | the path is empty"),
    ({"resume": ["x"]}, "resume=['x'] | path"),
    ({"checkpoint": "a\0b"}, "checkpoint='a\\x00b' | without a zero byte"),
    ({"resume": "x" * 5_000}, "resume= | cannot be accessed"),
    ({"resume": __file__, "start": {}}, "start=..., resume=... | one of the two"),
    ({"resume": __file__}, "cannot be read as a checkpoint"),
]


@pytest.mark.few(3)
@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(oa.ProblemError) as caught:
        oa.solve(problem(), **arguments)
    missing = [word for word in words.split(" | ") if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"
