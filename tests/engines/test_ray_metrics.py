"""Metrics of a solve, read from Ray's exporter as Prometheus reads them."""

from __future__ import annotations

import time
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from clusters import RAY, candidates_of, files_of, problems

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES

pytestmark = [
    *RAY,
    pytest.mark.usefixtures("local_ray"),
]

WAIT = 60.0  # seconds until the exporter has them


def exported(port: int) -> dict[str, list[tuple[str, float]]]:
    """{name: (labels, value) of each series} of this package; Ray adds a prefix to names."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5.0) as answer:
        lines = answer.read().decode().splitlines()
    out: dict[str, list[tuple[str, float]]] = {}
    for line in lines:
        if "oasis_alloc" in line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name, _, labels = series.partition("{")
            out.setdefault(name.partition("oasis_alloc_")[2], []).append((labels, float(value)))
    return out


def test_a_solve_exports_its_passes_rate_memory_and_gap(tmp_path: Path) -> None:
    ray: Any = import_module("ray")
    port = ray.nodes()[0]["MetricsExportPort"]
    if port <= 0:
        pytest.skip("Ray exports no metrics without its dashboard's packages: pip install 'ray[default]'")
    problem = problems["supply"](files_of(tmp_path).candidates(items=candidates_of.items))
    with SIZES.using(chunk_pairs=1_000, max_small=0):
        solution = oa.solve(problem, gap=1e-5, engine=oa.RayEngine(actors=2))
    end, found = time.monotonic() + WAIT, dict[str, list[tuple[str, float]]]()
    while time.monotonic() < end and not {"gap", "actor_bytes", "passes_total"} <= set(found):
        time.sleep(0.5)
        found = exported(port)
    ((_, passes),) = found["passes_total"]
    assert passes == pytest.approx(solution.passes)
    ((_, gap),) = found["gap"]
    assert gap == pytest.approx(solution.gap)
    assert len(found["actor_bytes"]) == 2
    assert all(5e7 < memory < 2e9 and 'process="' in labels for labels, memory in found["actor_bytes"])
    assert found["actors_lost"][0][1] == 0.0
    assert found["slowest_actor"][0][1] >= 1.0
    if "pairs_per_second" in found:  # of a solve that is long enough to have a rate
        assert found["pairs_per_second"][0][1] > 0.0
