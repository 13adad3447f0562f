"""An actor that does not answer is ended and replaced, as one that has died."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from clusters import RAY, candidates_of, clusters_of, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.ray.worker import Worker
from oasis_alloc.engines.settings import SIZES

pytestmark = [
    *RAY,
    pytest.mark.usefixtures("local_ray"),
]


class Silent(Worker):
    """Of the actors, the one that comes first after `mark` is there does not answer."""

    mark = Path()

    def _visit(self, held: Any, tables: Any, gamma: float, stride: int) -> None:
        if self.mark.exists():
            try:
                self.mark.unlink()
                time.sleep(100_000.0)
            except FileNotFoundError:  # another one was first
                pass
        super()._visit(held, tables, gamma, stride)


def test_an_actor_that_does_not_answer_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Silent.mark = tmp_path / "mark"
    started = clusters_of(Silent, monkeypatch)
    problem = problems["limits"](files_of(tmp_path).candidates(items=candidates_of.items))
    with SIZES.using(chunk_pairs=1_000, max_small=0), oa.RayEngine(actors=2, replace_timeout=120.0) as engine:
        expected = oa.solve(problem, gap=1e-5, engine=engine)  # kernels are compiled now
        Silent.mark.touch()
        object.__setattr__(engine, "answer_timeout", 20.0)
        with caplog.at_level(logging.WARNING, "oasis_alloc.solve"):
            same(oa.solve(problem, gap=1e-5, engine=engine), expected)
    assert [cluster.lost for cluster in started] == [0, 1]
    assert "it has not answered within 20 seconds" in caplog.messages[0]
