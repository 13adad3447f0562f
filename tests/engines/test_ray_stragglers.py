"""An actor that is slow is reported with its place, and a part of its pairs moves where that is asked for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import RAY, candidates_of, clusters_of, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.ray.held import Held
from oasis_alloc.engines.ray.worker import Worker
from oasis_alloc.engines.settings import SIZES

pytestmark = [
    *RAY,
    pytest.mark.usefixtures("local_ray"),
]


class Slow(Worker):
    """Of the actors, the one that comes first to `mark` says that it is slow, whatever the machine does."""

    mark = Path()

    def visit(self, key: int, chunks: list[int], *arguments: Any) -> Any:
        if not hasattr(self, "_slow"):
            try:
                self.mark.touch(exist_ok=False)
                self._slow = True
            except FileExistsError:
                self._slow = False
        *sums, report = super().visit(key, chunks, *arguments)
        return *sums, report._replace(seconds=(0.4 if self._slow else 0.01) * len(chunks))


@pytest.mark.parametrize("stragglers", ["report", "move"])
def test_a_slow_actor_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stragglers: str
) -> None:
    Slow.mark = tmp_path / "mark"
    started = clusters_of(Slow, monkeypatch)
    problem = problems["limits"](files_of(tmp_path).candidates(items=candidates_of.items))
    dealt: list[list[int]] = []

    def look(progress: oa.Progress) -> None:
        dealt.append([len(seat.chunks) for seat in started[0].seats])

    with SIZES.using(chunk_pairs=1_000, max_small=0), caplog.at_level(logging.WARNING, "oasis_alloc.solve"):
        expected = oa.solve(problem, gap=1e-7)
        found = oa.solve(problem, gap=1e-7, engine=oa.RayEngine(actors=3, stragglers=stragglers), progress=look)
    same(found, expected)
    (one, *_), said = started[0].watch.found, caplog.messages
    assert one.times > 2.0
    assert f"process {one.process} of node {one.node} takes {one.times:.1f} times as long" in said[0]
    first, last = np.sort(dealt[0]).tolist(), np.sort(dealt[-1]).tolist()
    assert sum(first) == sum(last)
    if stragglers == "report":
        assert said[0].endswith("its chunks stay there")
        assert first == last
        assert len(said) == 1
    else:
        assert f"{one.moved} of its chunks are moved" in said[0]
        slow = int(np.argmin(dealt[-1]))  # it came first to `mark` with two chunks or with three, and keeps one
        assert dealt[-1][slow] == 1
        assert one.moved == dealt[0][slow] - 1
        assert found.excluded == ()


def test_a_store_gives_back_what_has_moved(tmp_path: Path) -> None:
    """What is left after a move is what a new actor would load."""
    from oasis_alloc.engines.ray.held import Store
    from oasis_alloc.program.lowering import lower

    program = lower(problems["limits"](files_of(tmp_path).candidates(items=candidates_of.items)))
    with SIZES.using(chunk_pairs=1_000, max_small=0):
        held = Held(program, Store(program), 1)
    held.load([0, 1, 2, 3, 7])
    held.load([2, 3, 4])
    runs = held.store.runs
    assert [(run.first, run.last) for run in runs] == [
        tuple(held._edges[[0, 4]]), tuple(held._edges[[7, 8]]), tuple(held._edges[[4, 5]]),
    ]  # fmt: skip
    held.drop([1, 2, 4])
    fresh = Held(program, Store(program), 1)
    fresh._edges = held._edges
    fresh.load([1, 2, 4])
    assert len(held.store.runs) == 2
    for chunk in (1, 2, 4):
        first, last = held._edges[chunk : chunk + 2].tolist()
        pairs = [some._run(first, last) for some in (held, fresh)]
        start = int(program.indptr[first])
        for array, other in zip(*(run.arrays for run in pairs), strict=True):
            n = int(program.indptr[last]) - start
            a, b = (
                x[..., start - run.start : start - run.start + n] for x, run in zip((array, other), pairs, strict=True)
            )
            assert np.array_equal(a, b)
    held.drop([])
    assert held.store.runs == []
