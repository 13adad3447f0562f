"""The store with real policies: threads that score while snapshots are swapped, nothing compiled, no home directory."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from policies import small

import oasis_alloc as oa
from benchmarks import store as benchmark

GOLDEN = Path(__file__).parents[1] / "golden"
COLUMNS = {"relevance": [0.5, 0.75, 0.25, 1.0], "streams": [1.0, 0.0, 0.5, 0.25]}


def current(**change: Any) -> oa.Policy:
    return oa.Policy(replace(small(), created=time.time(), valid_until=None, **change))


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two threads on one core gain nothing")
def test_a_second_thread_gains_what_the_machine_has_to_give() -> None:
    """Beside hashing, which lets go of the interpreter too: other users of the cores slow both down alike."""
    policy, block = current(), bytes(1 << 20)
    policy.warmup(draws=False)

    def hashing(_number: int) -> Any:
        return lambda: len(hashlib.sha256(block).digest())

    def gain(work: Any) -> float:
        one, two = (benchmark.throughput(work, threads, 0.06) for threads in (1, 2))
        return float(two / one)

    batch = benchmark.micro_batches(policy, 1000, 100)
    tries = (gain(batch) / gain(hashing) for _ in range(12))
    assert any(share >= 0.85 for share in tries)  # with the interpreter kept it would be a half


@pytest.mark.full
def test_no_answer_is_of_two_policies() -> None:
    rng = np.random.default_rng(0)
    requests = [
        (rng.permutation(6)[:5] - 1, {name: rng.random(5) for name in ("relevance", "streams")}, {"market": market})
        for market in ("de", "se", "us")
    ]
    policies = benchmark.variants(current())
    usual = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)  # threads take turns more often: more to tear, and files are not waited for
    try:
        outcome = benchmark.swap_under_load(policies, requests, threads=4, seconds=1.0, pause=0.002, least_swaps=12)
    finally:
        sys.setswitchinterval(usual)
    assert outcome.errors == []
    assert outcome.torn == 0
    assert outcome.swaps >= 12
    assert outcome.answers > 1000
    assert len(outcome.seen) == 5


def test_a_decayed_policy_scores_between_and_an_organic_one_by_its_column(tmp_path: Path) -> None:
    now = [small().created]
    oa.Policy(replace(small(), valid_until=None)).save(tmp_path / "p")
    ladder = oa.Staleness(hold_after=10, decay_after=20, organic_after=30, steps=1)
    store = oa.PolicyStore(tmp_path / "p", refresh=None, staleness=ladder, clock=lambda: now[0])
    items, user = [0, 1, -1, 4], {"market": "se"}
    scores, boosts = [], []
    for age in (0, 10, 20, 30):
        now[0] = small().created + age
        scores.append(store.score(items, COLUMNS, user=user))
        boosts.append(store.boosts(items, COLUMNS, user=user))
        why = store.policy.explain(items, COLUMNS, user=user)
        assert [math.fsum(part.amount for part in reason.parts) for reason in why] == scores[-1].tolist()
    assert (scores[0] == scores[1]).all()
    blend = np.array(COLUMNS["relevance"]) + 0.125 + 0.4 * np.array(COLUMNS["streams"])
    assert np.allclose(scores[2], (scores[0] + blend) / 2)
    assert scores[3].tolist() == COLUMNS["relevance"]
    assert boosts[3].tolist() == [0.0, 0.0, 0.0, 0.0]
    slate = store.select(items, COLUMNS, user=user)
    assert len(slate) <= 3
    assert store.stats()["decisions_by_mode"] == {"fresh": 2, "hold": 2, "decay": 2, "organic": 3}
    assert store.stats()["unseen_items"] == 9


def test_a_store_takes_the_user_where_a_policy_does(tmp_path: Path) -> None:
    oa.Policy(small()).save(tmp_path / "p")
    items, user = [0, 1, -1, 4], {"market": "se"}
    with oa.PolicyStore(tmp_path / "p", clock=lambda: small().created + 1.0) as store:
        for method in ("score", "boosts", "select"):
            expected = getattr(store.policy, method)(items, COLUMNS, user).tolist()
            assert getattr(store, method)(items, COLUMNS, user).tolist() == expected
            assert getattr(store, method)(items, COLUMNS, user=user).tolist() == expected
        assert store.select(items, COLUMNS, None).tolist() == store.select(items, COLUMNS).tolist()
        assert store.score(items, COLUMNS, user).tolist() != store.score(items, COLUMNS).tolist()
        assert store.stats()["decisions"] == 10


def test_the_organic_column_stays_where_it_was() -> None:
    data = replace(small(), weights=(("streams", 2.0),), columns=("streams", "relevance"))
    organic = oa.Policy(data).organic_only()
    assert organic.data.columns[:1] == ("streams",)
    assert organic.score([0, 1, 2, -1], COLUMNS).tolist() == COLUMNS["relevance"]
    assert organic.policy_id == f"{data.policy_id}~organic"
    with pytest.raises(oa.InputError, match=r"factor from 0 to 1"):
        oa.Policy(data).decayed(1.5)


def signatures() -> dict[str, int]:
    """How often every kernel that serves has been compiled in this process."""
    out = {}
    for name in [name for name in sys.modules if name.startswith("oasis_alloc.kernels.")]:
        for function, compiled in vars(sys.modules[name]).items():
            if hasattr(compiled, "signatures") and not isinstance(compiled, type):
                out[f"{name}.{function}"] = len(compiled.signatures)
    return out


def test_after_the_warm_up_nothing_is_compiled(tmp_path: Path) -> None:
    current().save(tmp_path / "p")
    store = oa.PolicyStore(tmp_path / "p", refresh=None)
    assert all(seconds >= 0 for seconds in store.warmup().values())
    before = signatures()
    frozen = np.array([0.5, 0.75, 0.25, 1.0])
    frozen.flags.writeable = False
    forms = {
        "lists": lambda values: list(values),
        "float32": lambda values: np.array(values, np.float32),
        "read-only": lambda values: frozen,
        "strided": lambda values: np.repeat(values, 2)[::2],
        "integers": lambda values: np.arange(4),
    }
    for number, name in enumerate(["plain", "columns", "rules", "keep", None]):
        data = small() if name is None else oa.Policy.load(GOLDEN / f"{name}.safetensors").data
        policy = oa.Policy(replace(data, created=time.time() + number, valid_until=None, policy_id=f"p{number}"))
        policy.save(tmp_path / "p")
        assert store.refresh()
        for form in forms.values():
            columns = {column: form(COLUMNS["relevance"]) for column in data.columns}
            for items in ([0, 1, -1, 2], np.array([0, 1, 2, 3], np.int32)):
                store.score(items, columns)
                store.boosts(items, columns)
                store.select(items, columns)
                store.select(items, columns, k=2, pinned=[1], exclude=[0])
    store.rollback()
    store.select([0, 1, -1, 2], dict.fromkeys(store.policy.data.columns, frozen))
    after = signatures()
    assert {name: after[name] for name in before} == before
    assert set(after) == set(before), "a kernel file that the warm-up does not know"


CHILD = """
import json, os, sys, threading, warnings
before = threading.active_count()
import oasis_alloc as oa
from benchmarks import store as benchmark
from oasis_alloc import Policy
store = oa.PolicyStore(sys.argv[1], refresh=60.0, clock=lambda: 1_764_547_300.0)
kernels = [n for n in sys.modules if n.startswith("oasis_alloc.kernels.")]
threads = threading.active_count() - before
scores = store.score([0, 1, -1], {"relevance": [0.5, 0.25, 1.0]})
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on: forks of processes with threads
child = os.fork()
if child == 0:
    again = store.score([0, 1, -1], {"relevance": [0.5, 0.25, 1.0]})
    fine = (again == scores).all() and threading.active_count() == 2 and store.stats()["decisions"] == 1
    os._exit(0 if fine else 1)
forked = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
known = ("cvxpy", "pandas", "pyarrow", "polars", "scipy.sparse", "highspy", "osqp", "clarabel")
heavy = [name for name in known if name in sys.modules]
print(json.dumps({"scores": [s.hex() for s in scores.tolist()], "heavy": heavy, "threads": threads, "kernels": kernels,
                  "forked": forked, "mode": store.mode, "watchers": threading.active_count() - before}))
"""


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="the account of a service without a home is POSIX")
def test_a_service_without_a_home_in_a_container_that_nobody_may_write(tmp_path: Path) -> None:
    source = Path(oa.__file__).resolve().parents[1]
    paths = os.pathsep.join([str(source), str(Path(__file__).resolve().parents[2])])
    environment = {"PYTHONPATH": paths, "HOME": "/", "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    snapshot = tmp_path / "plain.safetensors"
    snapshot.write_bytes((GOLDEN / "plain.safetensors").read_bytes())
    tmp_path.chmod(0o555)
    try:
        command = [sys.executable, "-W", "error", "-c", CHILD, str(snapshot)]
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    finally:
        tmp_path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    policy = oa.Policy.load(snapshot)
    expected = policy.score([0, 1, -1], {"relevance": [0.5, 0.25, 1.0]})
    assert said["scores"] == [score.hex() for score in expected.tolist()]
    assert said["heavy"] == [], "serving alone loads no solver and no frames"
    assert (said["threads"], said["kernels"]) == (0, []), "before the first request"
    assert (said["mode"], said["watchers"]) == ("fresh", 1)
    assert said["forked"] == 0, "the child of a fork scores with what was compiled, and watches for itself"
