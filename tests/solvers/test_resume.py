"""A checkpoint never costs an answer: what cannot be written is warned of, what cannot be read is refused by name."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import diagonal

import oasis_alloc as oa
from oasis_alloc.common.tensors import read_tensors, write_tensors
from oasis_alloc.engines import engine_for
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers import checkpoint as files


def problem(**slate: Any) -> oa.Problem:
    rng = np.random.default_rng(3)
    c = oa.Candidates.from_arrays(
        np.arange(301) * 8, np.tile(np.arange(8), 300), {"relevance": rng.random(2400)},
        items={"campaign": np.arange(8) // 2},
    )  # fmt: skip
    caps = (oa.exposure(by="campaign") <= 60.0).named("caps")
    return oa.Problem(c, oa.total("relevance"), [caps], oa.Slate(2, **slate))


def conflicting() -> oa.Problem:
    asked = problem()
    enough = [(oa.exposure() >= 500.0).named("enough"), (oa.total("relevance") >= 200.0).named("good")]
    return asked.replace(subject_to=[*asked.subject_to, *enough])


@pytest.mark.parametrize(
    ("way", "every"), diagonal(["gone", "a folder in its place", "a file as its folder"], {"1e-09": 1e-9, "1e+09": 1e9})
)
def test_a_checkpoint_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, way: str, every: float, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()

    def spoil(_: oa.Progress) -> None:
        if way == "a folder in its place":
            if not (folder / "state").is_dir():
                (folder / "state").unlink(missing_ok=True)
                (folder / "state").mkdir()
        elif folder.is_dir():
            shutil.rmtree(folder)
            if way == "a file as its folder":
                folder.write_text("")

    with caplog.at_level(logging.WARNING, "oasis_alloc"), pytest.warns(oa.CheckpointWarning, match="cannot be written"):
        solution = oa.solve(problem(), checkpoint=folder / "state", checkpoint_every=every, progress=spoil)
    assert solution.status is oa.Status.SOLVED
    assert solution.value == oa.solve(problem()).value
    assert "the checkpoint" in caplog.text


def test_where_warnings_are_errors_the_answer_is_still_returned(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = oa.solve(
            problem(), checkpoint=folder / "state", progress=lambda _: shutil.rmtree(folder, ignore_errors=True)
        )
    assert solution.status is oa.Status.SOLVED


def test_a_checkpoint_that_can_be_written_again_is(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    seen: list[int] = []

    def away_for_a_while(_: oa.Progress) -> None:
        seen.append(1)
        if len(seen) == 2:
            folder.rename(tmp_path / "away")
        elif len(seen) == 4:
            (tmp_path / "away").rename(folder)

    with pytest.warns(oa.CheckpointWarning):
        oa.solve(problem(), gap=1e-9, checkpoint=folder / "state", checkpoint_every=1e-9, progress=away_for_a_while)
    assert len(seen) >= 4
    assert oa.solve(problem(), gap=1e-9, resume=folder / "state").status is oa.Status.SOLVED


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("limit", "slate"),
    diagonal({"0.001": 1e-3, "1.0": 1.0, "3.0": 3.0}, {"rules": {"at_most": {"campaign": 1}}, "plain": {}}),
)
def test_a_solve_that_is_stopped_always_leaves_a_checkpoint(
    tmp_path: Path, slate: dict[str, Any], limit: float
) -> None:
    path = tmp_path / "state"
    part = oa.solve(problem(**slate), gap=1e-7, pass_limit=limit, checkpoint=path)
    assert part.status is oa.Status.PASS_LIMIT
    assert part.passes >= limit, "what counts for the limit is in the report"
    again = oa.solve(problem(**slate), gap=1e-7, resume=path)
    assert again.status is oa.Status.SOLVED
    assert again.passes > part.passes
    assert again.value == pytest.approx(oa.solve(problem(**slate), gap=1e-7).value, rel=1e-6)


@pytest.mark.few(1)
@pytest.mark.parametrize(("hopeless", "on_conflict"), diagonal({"False": False, "True": True}, ["infeasible", "relax"]))
def test_a_conflict_leaves_a_checkpoint_that_can_be_gone_on_from(
    tmp_path: Path, on_conflict: str, hopeless: bool
) -> None:
    path, asked = tmp_path / "state", conflicting()
    if hopeless:
        asked = asked.replace(subject_to=[oa.exposure(by="campaign") >= 1e6])
    first = oa.solve(asked, checkpoint=path, on_conflict=on_conflict)
    assert first.status in (oa.Status.INFEASIBLE, oa.Status.RELAXED)
    again = oa.solve(asked, resume=path, on_conflict=on_conflict)
    assert again.status is first.status
    assert [c.constraint for c in again.conflicts] == [c.constraint for c in first.conflicts]
    assert sum(c.give for c in again.conflicts) == pytest.approx(sum(c.give for c in first.conflicts), rel=1e-6)


@pytest.mark.full
def test_no_byte_of_a_checkpoint_can_change_unnoticed(tmp_path: Path) -> None:
    path, other = tmp_path / "state", tmp_path / "other"
    oa.solve(problem(), gap=1e-7, pass_limit=6, checkpoint=path)
    whole = path.read_bytes()
    length = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:length])
    for name, value in header["__metadata__"].items():
        changed = json.loads(whole[8:length])
        changed["__metadata__"][name] = value[:-1] + ("1" if value[-1] != "1" else "2")
        _with_header(other, changed, whole[length:])
        with pytest.raises(oa.ProblemError, match=r"other' is (damaged|not a checkpoint)"):
            oa.solve(problem(), resume=other)
        del changed["__metadata__"][name]
        _with_header(other, changed, whole[length:])
        with pytest.raises(oa.ProblemError, match=r"other' is (damaged|not a checkpoint)"):
            oa.solve(problem(), resume=other)
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 60).tolist():
        other.write_bytes(whole[:at] + bytes([whole[at] ^ int(rng.integers(1, 256))]) + whole[at + 1 :])
        if other.read_bytes()[8:length].strip() == whole[8:length].strip() and at < length:
            continue  # a blank that pads the header
        with pytest.raises(oa.ProblemError, match=r"resume="):
            oa.solve(problem(), resume=other)


def _with_header(path: Path, header: dict[str, Any], rest: bytes) -> None:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + rest)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("z", np.zeros(3)), ("z", np.zeros((2, 2))), ("prices", np.zeros(7)), ("prices", np.array([np.nan] * 4)),
        ("positions", np.array([10**9])), ("positions", np.array([0.5])), ("x", np.array([-1.0])), ("passes", "nan"),
        ("passes", "many"), ("stage", None), ("x", None),
    ],
)  # fmt: skip
def test_a_state_that_cannot_be_is_refused(tmp_path: Path, name: str, change: Any) -> None:
    path = tmp_path / "state"
    oa.solve(problem(), gap=1e-7, pass_limit=6, checkpoint=path)
    tensors, about = read_tensors(path, files._FORMAT)
    with engine_for(lower(problem())) as engine:
        assert about["problem"] == files.fingerprint(engine)
    where: dict[str, Any] = about if name in about else tensors
    if change is None:
        del where[name]
    else:
        where[name] = change
    write_tensors(path, files._FORMAT, tensors, about)
    with pytest.raises(oa.ProblemError, match=r"resume=.*(does not fit this problem|lacks a part)"):
        oa.solve(problem(), resume=path)


@pytest.mark.parametrize("argument", ["checkpoint", "resume"])
@pytest.mark.parametrize("path", ["a\0b", "x" * 5000], ids=["zero byte", "too long"])
def test_paths_that_no_file_can_have_are_refused(argument: str, path: str) -> None:
    with pytest.raises(oa.ProblemError, match=f"solve.{argument}="):
        oa.solve(problem(), **{argument: path})
