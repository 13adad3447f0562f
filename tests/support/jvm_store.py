"""A store in Java that is told what to do, and one in Python that does the same on its own copy of the files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jvm_host import QUICK, classes, java

import oasis_alloc as oa
from oasis_alloc.errors import SnapshotError

AGES = (10.0, 20.0, 40.0)
STEPS, HISTORY = 4, 3
REQUEST: dict[str, Any] = {
    "ids": ["a", "never", "ç", "e", "b"],
    "columns": {"relevance": [0.5, 0.75, 0.25, 1.0, 0.125], "streams": [1.0, 0.0, 0.5, 0.25, 0.75]},
    "user": {"market": "se"},
}


class JavaStore:
    """Sends lines to `oasisalloc.StoreScript` and reads an answer to each."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, command: str, argument: str = "") -> Any:
        """The answer to one line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} {argument}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process has ended"
        return json.loads(line)

    def open(self, path: Path, **more: Any) -> None:
        """Another store, as a new process has one."""
        self.do("open", json.dumps([str(path), {"ages": AGES, "steps": STEPS, "history": HISTORY, **more}]))


@contextmanager
def java_store() -> Iterator[JavaStore]:
    """A process with a store, which logs nothing."""
    command = [java(), *QUICK, "-Dfile.encoding=UTF-8", "-cp", str(classes()), "oasisalloc.StoreScript"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as process:
        yield JavaStore(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


class PythonStore:
    """The same of a store in Python."""

    def __init__(self) -> None:
        self._now = 0.0
        self._store: oa.PolicyStore | None = None

    def open(self, path: Path) -> None:
        ladder = oa.Staleness(hold_after=AGES[0], decay_after=AGES[1], organic_after=AGES[2], steps=STEPS)
        self._store = oa.PolicyStore(
            path, refresh=None, staleness=ladder, history=HISTORY, clock=lambda: self._now, name="radio"
        )

    def do(self, command: str, argument: str = "") -> Any:
        """The answer to one line."""
        store = self._store
        if command == "clock":
            self._now = float(argument)
            return self._now
        assert store is not None
        try:
            match command:
                case "refresh":
                    return store.refresh()
                case "policy":
                    return store.policy.policy_id
                case "stats":
                    return store.stats()
                case "rollback":
                    return store.rollback().policy_id
                case "publish":
                    return store.publish(argument).policy_id
                case "apply":
                    return store.apply(oa.Overlay.from_json(argument))
                case "request":
                    return self._answer(store, json.loads(argument))
        except SnapshotError as error:
            return f"refused: {error.reason}"
        raise ValueError(command)

    @staticmethod
    def _answer(store: oa.PolicyStore, of: Any) -> dict[str, Any]:
        with store.decide() as decision:
            policy = decision.policy
            items = policy.encode(of["ids"])
            decision.unseen = int((items < 0).sum())
            columns = {name: np.array(column) for name, column in of["columns"].items()}
            scores = policy.score(items, columns, user=of["user"])
            slate = policy.select(items, columns, user=of["user"])
        return {"policy_id": policy.policy_id, "scores": scores.tolist(), "slate": slate.tolist()}


COMPARED = (
    "store", "policy_id", "created", "age", "mode", "factor", "kept", "rolled_back", "decisions", "decisions_by_mode",
    "failed_requests", "ignored_keys", "unseen_items", "loaded_snapshots", "refused_snapshots",
)  # fmt: skip


class Both:
    """Does everything in both languages, each with its own folder of the same files, and compares all answers."""

    def __init__(self, script: JavaStore, folder: Path) -> None:
        self._script, self._python = script, PythonStore()
        self._folders = [folder / "java", folder / "python"]
        self._is_open = False
        for one in self._folders:
            one.mkdir(parents=True)

    def clock(self, now: float) -> None:
        """Set the time of both."""
        self._script.do("clock", repr(now))
        self._python.do("clock", repr(now))
        if self._is_open:
            self.check()

    def put(self, name: str, raw: bytes) -> None:
        """Replace a file in both folders."""
        for folder in self._folders:
            (folder / "next").write_bytes(raw)
            os.replace(folder / "next", folder / name)

    def open(self) -> None:
        """Another store, as a new process has one."""
        self._script.open(self._folders[0] / "policy")
        self._python.open(self._folders[1] / "policy")
        self._is_open = True
        self.check()

    def do(self, command: str, argument: str = "") -> Any:
        """The same answer of both."""
        java_says, python_says = self._script.do(command, argument), self._python.do(command, argument)
        assert java_says == python_says, (command, argument)
        self.check()
        return java_says

    def publish(self, name: str) -> Any:
        found = self._script.do("publish", str(self._folders[0] / name))
        assert found == self._python.do("publish", str(self._folders[1] / name))
        self.check()
        return found

    def check(self) -> None:
        """The same statistics, and the same decisions on the disk."""
        found, expected = self._script.do("stats"), self._python.do("stats")
        assert {name: found[name] for name in COMPARED} == {name: expected[name] for name in COMPARED}
        states = [folder / "policy.state" for folder in self._folders]
        assert states[0].exists() == states[1].exists()
        if states[0].exists():
            assert json.loads(states[0].read_text()) == json.loads(states[1].read_text())
