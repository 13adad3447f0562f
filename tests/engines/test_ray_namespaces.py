"""A Ray cluster of two nodes in two network namespaces, where all that they say to each other crosses sockets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.ray,
    pytest.mark.full,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'"),
]

SUPPORT = Path(__file__).parents[1] / "support"
OWN = ["unshare", "--map-root-user", "--net"]

DRIVER = """
import json, os, signal, sys, time
from contextlib import suppress
from pathlib import Path

import numpy as np
import ray

sys.path.insert(0, {support!r})
from clusters import candidates_of, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.ray.cluster import Cluster
from oasis_alloc.engines.settings import SIZES

folder = Path(os.environ["TEMPORARY"])
address = "10.77.0.1:6379"
for k in range(6):  # the head may still be starting
    with suppress(Exception):
        ray.init(address=address, log_to_driver=False)
        break
    ray.shutdown()
    time.sleep(2.0)
while sum(node["Alive"] for node in ray.nodes()) < 2:
    time.sleep(0.2)
started, turns, places = [], [], []
made = Cluster.__init__


def remember(self, settings):
    made(self, settings)
    started.append(self)


def kill(progress):
    turns.append(progress.passes)
    if len(turns) == 1:
        places.extend(started[-1].places())
    if len(turns) == 4 and len(started) == 2:
        os.killpg(int((folder / "node.pid").read_text()), signal.SIGKILL)
        here = ray.get_runtime_context().get_node_id()
        for place in places:  # on another machine, its processes would be gone too
            if place["node"] != here:
                with suppress(ProcessLookupError):
                    os.kill(place["process"], signal.SIGKILL)


Cluster.__init__ = remember
problem = problems["supply"](files_of(folder).candidates(items=candidates_of.items))
with SIZES.using(chunk_pairs=1_000):
    expected = oa.solve(problem, gap=1e-7)
    for _ in range(2):
        turns.clear(), places.clear()
        engine = oa.RayEngine(address=address, actors=2, replace_timeout=2.0)
        same(oa.solve(problem, gap=1e-7, engine=engine, progress=kill), expected)
        nodes = {{node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}}
        print(json.dumps(
            {{"addresses": sorted(nodes[place["node"]] for place in places), "lost": started[-1].lost}}
        ), flush=True)
"""


def test_a_solve_over_sockets_and_the_loss_of_the_other_node(tmp_path: Path) -> None:
    missing = [name for name in ("unshare", "nsenter", "ip", "setsid") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    asked = subprocess.run([*OWN, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip(f"network namespaces are not allowed here: {asked.stderr.strip()}")
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.format(support=str(SUPPORT)))
    short = Path("/tmp") / f"oasis-ns-{os.getpid()}"  # sockets below it must have short names
    short.mkdir()
    try:
        done = subprocess.run(
            [*OWN, "bash", str(SUPPORT / "namespaces.sh"), sys.executable, str(driver)],
            env={**os.environ, "TEMPORARY": str(short)}, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        logs = "".join(path.read_text() for path in short.glob("*.log"))
    finally:
        shutil.rmtree(short, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3_000:] + logs[-3_000:]
    calm, killed = map(json.loads, done.stdout.splitlines()[-2:])
    assert calm == {"addresses": ["10.77.0.1", "10.77.0.2"], "lost": 0}
    assert killed == {"addresses": ["10.77.0.1", "10.77.0.2"], "lost": 1}
