"""The decision log: what is written is read, explained and joined; nothing is lost on a clean stop."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published import SOURCE
from served import candidates, labels_of, policy, request, solved

import oasis_alloc as oa
from oasis_alloc.publish.decisions.schema import as_table, is_sampled

WRITER = """
import os, sys, time
from served import candidates, request
import oasis_alloc as oa
cands, made = candidates(), oa.Policy.load(os.environ["POLICY"])  # a solve takes a second more
log = oa.DecisionLog(sys.argv[1], rows=int(sys.argv[2]), seconds=float(sys.argv[3]), queue=1_000_000)
for k in range(int(sys.argv[4])):
    items, columns = request(cands, k % cands.n_users)
    log.record(f"r{k}", made, items, columns, made.select(items, columns, user=k % cands.n_users), at=float(k))
    if k % 100 == 99:
        print(k + 1, log.stats()["written"], flush=True)
while len(sys.argv) > 5:
    print(k + 1, log.stats()["written"], flush=True)
    time.sleep(0.05)
"""


def logged(tmp_path: Path, name: str = "segments", ids: bool = False, **how: Any) -> oa.Decisions:
    """A decision per user, and what was read."""
    made, cands = policy(name), solved(name).problem.candidates
    with oa.DecisionLog(tmp_path / "log", secret="a secret", **how) as log:
        for u in range(cands.n_users):
            items, columns = request(cands, u)
            user = labels_of(cands, u)
            given = items if not ids or cands.item_ids is None else cands.item_ids[items].tolist()
            slate = made.select(items, columns, user=user, exclude=[1])
            log.record(
                f"r{u}", made, given, columns, slate, user=u, labels=user, mode="hold", at=1000.0 + u,
                scores=made.score(items, columns, user=user), excluded={1: "heard today"},
                propensities=np.full(len(slate), 0.5),
            )  # fmt: skip
    assert log.stats()["recorded"] == log.stats()["written"] == cands.n_users
    return oa.read_decisions(tmp_path / "log")


@pytest.mark.few(1)
@pytest.mark.parametrize(("name", "ids"), [("segments", False), ("several columns", True)])
def test_what_is_logged_is_read_and_explained(tmp_path: Path, name: str, ids: bool) -> None:
    made, cands = policy(name), solved(name).problem.candidates
    decisions = logged(tmp_path, name, ids, rows=7)
    assert len(decisions) == cands.n_users
    assert len(list((tmp_path / "log").iterdir())) == -(-cands.n_users // 7)
    for u, one in enumerate(decisions):
        items, columns = request(cands, u)
        user = labels_of(cands, u)
        assert (one.request, one.time, one.mode, one.policy_id, one.rate) == (
            f"r{u}",
            1000.0 + u,
            "hold",
            made.policy_id,
            1.0,
        )
        assert one.items == (cands.item_ids[items] if ids else items).tolist()
        assert {column: list(values) for column, values in one.columns.items()} == {
            column: np.asarray(values, np.float64).tolist() for column, values in columns.items()
        }
        assert one.scores == made.score(items, columns, user=user).tolist()
        assert one.organic_scores == np.asarray(columns["relevance"], np.float64).tolist()
        assert list(one.slate) == made.select(items, columns, user=user, exclude=[1]).tolist()
        assert dict(one.labels) == user
        assert dict(one.excluded) == {1: "heard today"}
        assert one.user is not None
        assert len(one.user) == 32
        why, now = one.explain(made), made.explain(items, columns, user=user, exclude=[1])
        assert [reason.sentence for reason in why] == [reason.sentence for reason in now]
    assert decisions.request("r5").time == 1005.0
    assert len({one.user for one in decisions}) == cands.n_users


def test_json_has_the_same(tmp_path: Path) -> None:
    decisions = logged(tmp_path)
    (tmp_path / "json").mkdir()
    lines = [json.dumps(one.to_dict() | {"newer": 1}) for one in decisions]
    (tmp_path / "json" / "a.jsonl").write_text("\n".join(lines) + "\n")
    again = oa.read_decisions(tmp_path / "json")
    assert [one.to_dict() for one in again] == [one.to_dict() for one in decisions]
    assert again.table.equals(decisions.table)


def test_times_select(tmp_path: Path) -> None:
    logged(tmp_path)
    assert [one.request for one in oa.read_decisions(tmp_path / "log", since=1002.0, until=1004.0)] == ["r2", "r3"]
    with pytest.raises(oa.InputError, match="no logged decision of request 'x'"):
        oa.read_decisions(tmp_path / "log").request("x")


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_outcomes_are_joined(tmp_path: Path, backend: str) -> None:
    decisions = logged(tmp_path)
    first = decisions[0]
    outcomes = pd.DataFrame(
        {"request": ["r0", "r0", "r9999"], "item": [first.shown[1], -5, 0], "streams": [3.5, 1.0, 2.0]}
    )
    frame = decisions.shown(backend, outcomes)
    rows = (
        frame.to_pylist()
        if backend == "pyarrow"
        else frame.to_dicts()
        if backend == "polars"
        else frame.to_dict("records")
    )
    assert len(rows) == sum(len(one.slate) for one in decisions)
    assert [row["item"] for row in rows if row["request"] == "r0"] == first.shown
    found = [row["streams"] for row in rows if row["streams"] is not None and row["streams"] == row["streams"]]
    assert found == [3.5]
    assert rows[1]["place"] == 1
    assert rows[1]["propensity"] == 0.5
    assert rows[1]["score"] == first.scores[first.slate[1]]  # type: ignore[index]


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (pd.DataFrame({"request": ["r0"]}), "no column 'item'"),
        (pd.DataFrame({"request": ["r0"], "item": [1], "score": [1.0]}), "'score' is one of the decisions"),
        (pd.DataFrame({"request": ["r0", "r0"], "item": [1, 1], "y": [1, 2]}), "rows 0 and 1 are of the same item"),
    ],
)
def test_outcomes_that_do_not_fit_are_named(tmp_path: Path, outcomes: pd.DataFrame, words: str) -> None:
    with pytest.raises(oa.InputError, match=words):
        logged(tmp_path).shown("pandas", outcomes)


def test_the_policy_of_a_decision_is_found(tmp_path: Path) -> None:
    made, cands = policy("one column"), candidates()
    oa.publish(made, tmp_path / "policies")
    oa.publish(policy("segments"), tmp_path / "policies")
    items, columns = request(cands, 0)
    pacer = oa.Pacer(made, oa.Plan("campaign", 0.0, 100.0, caps={0: 5.0}), clock=float)
    for k in range(1, 9):
        pacer.observe({0: 2.0}, event=k, status="served", time=0.0)
        pacer.tick(float(k))
    overlay = pacer.overlay()
    served = {
        "plain": made, "decayed": made.decayed(0.875), "organic": made.organic_only(),
        "overlaid": made.overlaid(overlay),
    }  # fmt: skip
    with oa.DecisionLog(tmp_path / "log") as log:
        for name, one in served.items():
            log.record(name, one, items, columns, one.select(items, columns))
    decisions, directory = oa.read_decisions(tmp_path / "log"), oa.PolicyDirectory(tmp_path / "policies")
    for name, one in served.items():
        decision = decisions.request(name)
        found = decisions.policy_of(decision, directory, overlay if name == "overlaid" else None)
        assert found.policy_id == one.policy_id
        assert decision.explain(found)[0].score == one.score(items, columns)[0]
    with pytest.raises(oa.InputError, match="give the overlay with this sequence"):
        decisions.policy_of(decisions.request("overlaid"), directory)
    with pytest.raises(oa.InputError, match="the decision was made by policy"):
        decisions.request("plain").explain(served["decayed"])
    with pytest.raises(oa.InputError, match="has no policy"):
        decisions.policy_of(decisions.request("plain"), oa.PolicyDirectory(tmp_path / "none"))


def test_the_same_requests_are_sampled_everywhere(tmp_path: Path) -> None:
    made = policy("one column")
    items, columns = request(candidates(), 0)
    names = [f"request-{k}" for k in range(2000)]
    with oa.DecisionLog(tmp_path, rate=0.25) as log:
        kept = [name for name in names if log.record(name, made, items, columns, [0])]
    expected = [name for name in names if int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 2**64 < 0.25]
    assert kept == expected == [one.request for one in oa.read_decisions(tmp_path)]
    assert 400 < len(kept) < 600
    assert log.stats()["unsampled"] == 2000 - len(kept)
    assert {one.rate for one in oa.read_decisions(tmp_path)} == {0.25}
    assert is_sampled("x", 1.0)


def test_a_full_queue_drops_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = policy("one column")
    items, columns = request(candidates(), 0)
    log = oa.DecisionLog(tmp_path, rows=5, queue=5, seconds=1e6)
    monkeypatch.setattr(log, "_look", lambda: None)
    assert [log.record(f"r{k}", made, items, columns, [0]) for k in range(7)] == [True] * 5 + [False] * 2
    log.close()
    assert log.stats() == {
        "recorded": 5, "written": 5, "waiting": 0, "dropped": 2, "unsampled": 0, "failed": 0, "files": 1,
    }  # fmt: skip
    assert not log.record("late", made, items, columns, [0])
    assert log.stats()["dropped"] == 3


def test_buffers_may_be_used_again(tmp_path: Path) -> None:
    made = policy("one column")
    items, columns = request(candidates(), 0)
    buffer, slate = np.array(columns["relevance"], np.float64), np.array([0, 1])
    before = buffer.tolist()
    with oa.DecisionLog(tmp_path) as log:
        log.record("r", made, items, {"relevance": buffer}, slate)
        buffer[:], slate[:] = 0.0, 5
    (one,) = oa.read_decisions(tmp_path)
    assert (list(one.columns["relevance"]), list(one.slate)) == (before, [0, 1])


def test_a_disk_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    made = policy("one column")
    items, columns = request(candidates(), 0)
    with oa.DecisionLog(tmp_path / "file") as log:
        assert log.record("r", made, items, columns, [0])
    assert log.stats()["failed"] == 1
    assert "1 decisions cannot be written" in caplog.text
    with oa.DecisionLog(tmp_path / "log") as log:
        log.record("r", made, [object()], columns, [0])  # type: ignore[list-item]
    assert log.stats()["failed"] == 1


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_a_decision_of_another_form_never_raises(tmp_path: Path, rate: float) -> None:
    """Also where its id decides whether it is logged."""
    made = policy("one column")
    items, columns = request(candidates(), 0)
    wrong: list[tuple[Any, Any]] = [(7, made), (None, made), (b"r1", made), ("\ud800", made), ("r1", None)]
    with oa.DecisionLog(tmp_path, rate=rate) as log:
        assert not any(log.record(request, given, items, columns, [0]) for request, given in wrong)
    assert log.stats()["failed"] + log.stats()["unsampled"] == len(wrong)
    assert log.stats()["failed"] >= 4


def test_one_decision_that_cannot_be_written_costs_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = policy("one column")
    items, columns = request(candidates(), 0)
    bad: list[dict[str, Any]] = [
        {"items": [object()]}, {"columns": {"relevance": ["high"]}}, {"slate": [0.5]}, {"slate": [2**40]},
        {"items": np.array([2**63], np.uint64)}, {"k": "three"}, {"labels": {"market": float("nan"), "x": object}},
    ]  # fmt: skip
    with oa.DecisionLog(tmp_path, rows=100) as log:
        for k, wrong in enumerate(bad):
            given = {"items": items, "columns": columns, "slate": [0]} | wrong
            log.record(f"good {k}", made, items, columns, [0])
            log.record(f"bad {k}", made, given.pop("items"), given.pop("columns"), given.pop("slate"), **given)
    found = [one.request for one in oa.read_decisions(tmp_path)]
    assert [name for name in found if name.startswith("good")] == [f"good {k}" for k in range(len(bad))]
    assert log.stats()["failed"] == len(bad) - (len(found) - len(bad)) >= 6
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "list", "strided", "series"])
def test_columns_of_all_kinds_are_logged(tmp_path: Path, kind: str) -> None:
    made, plain = policy("one column"), np.arange(6.0)
    values: Any = {
        "float64": plain, "float32": plain.astype(np.float32), "int64": plain.astype(np.int64),
        "list": plain.tolist(), "strided": np.repeat(plain, 2)[::2], "series": pd.Series(plain),
    }[kind]  # fmt: skip
    numbers: Any = np.arange(6, dtype=np.int32) if kind == "float32" else list(range(6))
    with oa.DecisionLog(tmp_path) as log:
        log.record("r", made, numbers, {"relevance": values, "empty": []}, np.array([2, 1], np.int32), scores=values)
        log.record("s", made, ["a", "b"], {}, [], propensities=np.empty(0), pinned=np.array([1, 0]))
    first, second = oa.read_decisions(tmp_path)
    assert (list(first.items), list(first.columns["relevance"])) == (list(range(6)), plain.tolist())
    assert (list(first.columns["empty"]), list(first.scores or ()), list(first.slate)) == ([], plain.tolist(), [2, 1])
    assert (list(second.items), dict(second.columns), list(second.pinned)) == (["a", "b"], {}, [1, 0])
    assert second.propensities == []
    assert second.scores is None


def test_labels_that_are_equal_but_of_other_types_stay_apart(tmp_path: Path) -> None:
    made = policy("one column")
    items, columns = request(candidates(), 0)
    given: list[dict[str, Any]] = [{"x": 1}, {"x": True}, {"x": 1.0}, {"x": "1"}, {"x": [1, 2]}, {}, {"x": "1"}]
    with oa.DecisionLog(tmp_path) as log:
        for k, labels in enumerate(given):
            log.record(f"{k}", made, items, columns, [0], labels=labels)
    found = [dict(one.labels) for one in oa.read_decisions(tmp_path)]
    assert found == given
    assert [type(one.get("x")) for one in found] == [type(one.get("x")) for one in given]


def process(tmp_path: Path, *arguments: object) -> subprocess.Popen[str]:
    support = str(Path(__file__).parents[1] / "support")
    saved = tmp_path.with_suffix(".policy")
    policy("segments").save(saved)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([SOURCE, support]), "POLICY": str(saved)}
    command = [sys.executable, "-c", WRITER, str(tmp_path), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.full
def test_nothing_is_lost_at_the_end_of_a_process(tmp_path: Path) -> None:
    """Without close(): the end of the interpreter is a clean stop."""
    with process(tmp_path, 400, 1000.0, 1000) as writer:
        writer.communicate()
    assert [one.request for one in oa.read_decisions(tmp_path)] == [f"r{k}" for k in range(1000)]


@pytest.mark.full
def test_kill_9_loses_what_was_not_written(tmp_path: Path) -> None:
    with process(tmp_path, 300, 1000.0, 1000, "stay") as writer:
        assert writer.stdout is not None
        while writer.stdout.readline() != "1000 900\n":
            pass
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    found = [one.request for one in oa.read_decisions(tmp_path)]
    assert found == [f"r{k}" for k in range(900)], "whole files; less than one is lost"


FORKED = """
import os, sys
from served import candidates, policy, request
import oasis_alloc as oa
log, made = oa.DecisionLog(sys.argv[1]), policy("one column")
items, columns = request(candidates(), 0)
log.record("parent", made, items, columns, [0])
child = os.fork()
if child:
    os.waitpid(child, 0)
"""


@pytest.mark.full
def test_a_child_that_ends_writes_nothing_of_its_parent(tmp_path: Path) -> None:
    support = str(Path(__file__).parents[1] / "support")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([SOURCE, support])}
    subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], env=environment, check=True)
    assert [one.request for one in oa.read_decisions(tmp_path)] == ["parent"]


def test_a_fork_writes_its_own(tmp_path: Path) -> None:
    made = policy("one column")
    items, columns = request(candidates(), 0)
    log = oa.DecisionLog(tmp_path)
    log.record("parent", made, items, columns, [0])
    child = os.fork()
    if child == 0:
        log.record("child", made, items, columns, [0])
        log.close()
        os._exit(0)
    os.waitpid(child, 0)
    log.close()
    assert sorted(one.request for one in oa.read_decisions(tmp_path)) == ["child", "parent"]


def test_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    logged(tmp_path)
    folder = tmp_path / "log"
    (folder / "notes.txt").write_text("left out")
    (file,) = folder.glob("*.parquet")
    raw = file.read_bytes()
    file.write_bytes(raw[:-100])
    with pytest.raises(oa.InputError, match="cannot be read"):
        oa.read_decisions(folder)
    pq.write_table(pa.table({"a": [1]}), file)
    with pytest.raises(oa.InputError, match="is not a log of decisions"):
        oa.read_decisions(folder)
    table = as_table([])
    pq.write_table(table.replace_schema_metadata({"format": "oasis_alloc.decisions", "schema": "2"}), file)
    with pytest.raises(oa.InputError, match="newer than 1"):
        oa.read_decisions(folder)
    file.unlink()
    for text in (
        "{",
        "[]",
        '{"request": "r"}',
        '{"request":"r","time":0,"policy_id":"p","items":[],"columns":3,"slate":[]}',
    ):
        (folder / "a.jsonl").write_text(text)
        with pytest.raises(oa.InputError, match=r"a\.jsonl, line 1"):
            oa.read_decisions(folder)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"rate": 1.5}, "rate=1.5"), ({"rows": 0}, "rows=0"), ({"seconds": 0}, "seconds=0"),
        ({"queue": 10}, "at least rows"), ({"secret": "env:NO_SUCH_VARIABLE"}, "no variable 'NO_SUCH_VARIABLE'"),
        ({"secret": 3}, "secret="), ({"folder": 3}, "expected the path"),
    ],
)  # fmt: skip
def test_options(tmp_path: Path, how: dict[str, Any], words: str) -> None:
    with pytest.raises(oa.InputError, match=words):
        oa.DecisionLog(**{"folder": tmp_path, **how})


def test_a_log_belongs_to_one_process(tmp_path: Path) -> None:
    import pickle

    with oa.DecisionLog(tmp_path) as log, pytest.raises(TypeError, match="belongs to one process"):
        pickle.dumps(log)
    with pytest.raises(oa.InputError, match="there is no such folder"):
        oa.read_decisions(tmp_path / "none")
    with pytest.raises(oa.InputError, match="since="):
        oa.read_decisions(tmp_path, since="monday")  # type: ignore[arg-type]
