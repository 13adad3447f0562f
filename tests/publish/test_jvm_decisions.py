"""The decision log in Java writes what the log in Python writes, chooses the same requests, and loses as little."""

from __future__ import annotations

import hashlib
import json
import math
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import full_only
from jvm_host import QUICK, classes, java, lines, run
from served import labels_of, policy, request, solved

import oasis_alloc as oa
from oasis_alloc.publish.decisions.schema import is_sampled

# By sha256sum: the first 16 digits. Those that begin with 0 to 3 are below a quarter of 2^64.
GOLDEN = {
    "request-1": "19f1064b619d49d3", "request-3": "6a9bf8080a9636f0", "": "e3b0c44298fc1c14",
    "größe": "d353a2671b67afff", "größe 3": "05c11b03d090a22a", "größe 7": "2ba6fefa79ef6a8a",
}  # fmt: skip


def requests(folder: Path, name: str = "segments") -> tuple[Path, Path, list[dict[str, Any]]]:
    """(a snapshot, a file with a request per line, the requests)."""
    made, cands = policy(name), solved(name).problem.candidates
    made.save(folder / "policy.safetensors")
    bodies = []
    for u in range(cands.n_users):
        items, columns = request(cands, u)
        given = items if cands.item_ids is None else cands.item_ids[items]
        numbers = {column: np.asarray(values, np.float64).tolist() for column, values in columns.items()}
        bodies.append({"ids": given.tolist(), "columns": numbers, "user": labels_of(cands, u), "k": 3})
    path = folder / "requests.jsonl"
    path.write_text("\n".join(map(json.dumps, bodies)) + "\n", encoding="utf-8")
    return folder / "policy.safetensors", path, bodies


@pytest.mark.parametrize("name", ["several columns", *full_only("segments")])
def test_both_languages_log_the_same(tmp_path: Path, name: str) -> None:
    made = policy(name)
    snapshot, file, bodies = requests(tmp_path, name)
    said = lines(run("oasisalloc.DecisionScript", "same", snapshot, file, tmp_path / "java", "7"))
    assert said["log recorded"] == said["log written"] == str(len(bodies))
    assert int(said["log files"]) == len(list((tmp_path / "java").glob("*.jsonl"))) == math.ceil(len(bodies) / 7)
    with oa.DecisionLog(tmp_path / "python", secret="a secret") as log:
        for k, body in enumerate(bodies):
            items = made.encode(body["ids"]) if made.data.items is not None else body["ids"]
            how = {"user": body["user"], "k": 3, "pinned": [2], "exclude": [1]}
            slate = made.select(items, body["columns"], **how)
            log.record(
                f"r{k}", made, body["ids"], body["columns"], slate, mode="hold", at=1000.0 + k, k=3, pinned=[2],
                user=k if k % 2 == 0 else f"user ü\u2028 {k}", labels=body["user"],
                scores=made.score(items, body["columns"], user=body["user"]),
                propensities=np.full(len(slate), 0.5), excluded={1: 'heard "today"'},
            )  # fmt: skip
    java_says, python_says = (list(oa.read_decisions(tmp_path / one)) for one in ("java", "python"))
    assert [one.to_dict() for one in java_says] == [one.to_dict() for one in python_says]
    assert [one.sentence for one in java_says[3].explain(made)] == [
        one.sentence for one in python_says[3].explain(made)
    ]


@pytest.mark.full
def test_the_same_requests_are_sampled(tmp_path: Path) -> None:
    names = [*GOLDEN, *(f"request-{k}" for k in range(1000)), "日本", "🎵", "a b\tc"]
    share = [int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 2**64 for name in names]
    near = [number for one in share[:40] for number in (one, math.nextafter(one, 0), math.nextafter(one, 1))]
    rates = [0.0, 0.25, 0.5, 1 - 2**-53, 1.0, 5e-324, *near]
    (tmp_path / "names").write_text("\n".join(names) + "\n", encoding="utf-8")
    (tmp_path / "rates").write_text("\n".join(map(repr, rates)) + "\n", encoding="utf-8")
    said = run("oasisalloc.DecisionScript", "sampled", tmp_path / "names", tmp_path / "rates")
    found = [[int(k) for k in line.partition(" = ")[2].split()] for line in said.stdout.splitlines()]
    assert said.returncode == 0, said.stderr
    assert found == [[k for k, name in enumerate(names) if is_sampled(name, rate)] for rate in rates]
    assert {name: k in found[1] for k, name in enumerate(GOLDEN)} == {
        name: digits[0] in "0123" for name, digits in GOLDEN.items()
    }


@pytest.mark.full
def test_drops_failures_and_rates_are_counted(tmp_path: Path) -> None:
    snapshot, file, bodies = requests(tmp_path)
    done = run("oasisalloc.DecisionScript", "full", snapshot, file, tmp_path / "log")
    said = {name: int(count) for name, count in lines(done).items()}
    assert {one: said[f"full {one}"] for one in ("recorded", "written", "waiting", "dropped", "files")} == {
        "recorded": 5, "written": 5, "waiting": 0, "dropped": 3, "files": 1,
    }  # fmt: skip
    assert (said["disk recorded"], said["disk written"], said["disk failed"]) == (1, 0, 1)
    assert "1 decisions cannot be written" in done.stderr
    chosen = [f"r{k}" for k in range(len(bodies)) if is_sampled(f"r{k}", 0.25)]
    found = list(oa.read_decisions(tmp_path / "log"))
    assert [one.request for one in found if one.rate == 0.25] == chosen
    assert said["rate unsampled"] == len(bodies) - len(chosen)
    assert [one.request for one in found if one.rate == 1.0] == [f"r{k}" for k in range(5)]


@pytest.mark.full
def test_the_end_of_a_jvm_loses_nothing(tmp_path: Path) -> None:
    snapshot, file, bodies = requests(tmp_path)
    lines(run("oasisalloc.DecisionScript", "leave", snapshot, file, tmp_path / "log"))
    assert [one.request for one in oa.read_decisions(tmp_path / "log")] == [f"r{k}" for k in range(len(bodies))]


@pytest.mark.full
def test_kill_9_loses_what_was_not_written(tmp_path: Path) -> None:
    snapshot, file, _ = requests(tmp_path)
    command = [java(), *QUICK, "-cp", str(classes()), "oasisalloc.DecisionScript", "kill", str(snapshot), str(file)]
    with subprocess.Popen([*command, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        while writer.stdout.readline().strip() != "900":
            pass
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    found = [one.time for one in oa.read_decisions(tmp_path / "log")]
    assert found == list(range(900)), "whole files; less than one is lost"
