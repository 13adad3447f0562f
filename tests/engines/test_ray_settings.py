"""What of the engine on Ray needs no Ray: settings, how chunks are dealt out, what is imported."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.ray.calls import dealt
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.program.lowering import lower


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"actors": 0}, r"RayEngine\(actors=0\): expected a whole number >= 1"),
        ({"threads": None}, r"RayEngine\(threads=None\): expected a whole number"),
        ({"actor_memory": 1.5}, r"RayEngine\(actor_memory=1.5\): expected a whole number"),
        ({"start_timeout": -1}, r"RayEngine\(start_timeout=-1\): expected seconds above 0"),
        ({"answer_timeout": 0}, r"RayEngine\(answer_timeout=0\): expected seconds above 0"),
        ({"replace_timeout": float("nan")}, r"RayEngine\(replace_timeout=nan\): expected seconds"),
        ({"on_corrupt": "skip"}, r"RayEngine\(on_corrupt='skip'\): expected 'fail' or 'exclude'"),
        ({"stragglers": None}, r"RayEngine\(stragglers=None\): expected 'report' or 'move'"),
        ({"address": 6379}, r"RayEngine\(address=6379\): expected a text such as"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.ProblemError, match=message):
        oa.RayEngine(**settings)


def test_settings_are_pickled_without_actors() -> None:
    engine = oa.RayEngine(actors=3)
    with engine:
        assert pickle.loads(pickle.dumps(engine)) == engine
        assert pickle.loads(pickle.dumps(engine))._idle is None
    assert engine._idle is None


def test_another_engine_is_refused() -> None:
    cands = oa.Candidates.from_arrays([0, 1], [0], {"r": [1.0]})
    with pytest.raises(oa.ProblemError, match=r"solve\(engine='ray'\): expected oa.RayEngine"):
        oa.solve(oa.Problem(cands, oa.total("r")), engine="ray")  # type: ignore[arg-type]


@given(weights=st.lists(st.floats(0.0, 10.0), min_size=1, max_size=30), data=st.data())
def test_every_run_has_a_chunk(weights: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(weights)))
    runs = dealt(weights, n)
    assert [k for run in runs for k in run] == list(range(len(weights)))
    assert len(runs) == n
    assert all(runs)


def test_runs_are_about_equal() -> None:
    runs = dealt(np.ones(64).tolist(), 5)
    assert {len(run) for run in runs} <= {12, 13}


def test_large_programs_have_more_chunks() -> None:
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.choice(9, 4, replace=False) for _ in range(9_600)])
    cands = oa.Candidates.from_arrays(np.arange(9_601) * 4, item, {"r": rng.random(item.size)})
    problem = oa.Problem(cands, oa.total("r"), oa.exposure() <= 100.0, oa.Slate(1))
    found = []
    for large in (1 << 24, 400):
        with SIZES.using(chunk_pairs=100, large_chunk_pairs=large), engine_for(lower(problem), 1) as engine:
            found.append((engine._n, engine.visit(np.array([0.5]), 0.1).bound))
    assert [n for n, _ in found] == [64, 96]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-12)


@pytest.mark.full
def test_ray_is_imported_where_it_is_used() -> None:
    code = (
        "import sys, oasis_alloc as oa; oa.RayEngine(); import oasis_alloc.engines.ray.cluster; assert 'ray' not in sys"
    )
    subprocess.run([sys.executable, "-c", code + ".modules"], check=True)
