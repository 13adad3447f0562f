"""A check that runs the tests twice, plainly and then with all examples, runs tests without examples once.

`OASIS_ALLOC_NOTE_PASSED=FILE pytest` writes the ids of the tests that pass into the file, and
`OASIS_ALLOC_LEAVE_PASSED=FILE pytest` leaves these out. Tests of Hypothesis, and those that ask
`examples` of `effort.py`, do more in another profile: they are run in both.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from effort import ASKED

_MORE = "more in another profile"
_NOTE, _LEAVE = "OASIS_ALLOC_NOTE_PASSED", "OASIS_ALLOC_LEAVE_PASSED"


class Notes:
    """A plugin that adds the id of each test that passes to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """After each phase of each test, of all workers."""
        if report.when == "call" and report.passed and not dict(report.user_properties).get(_MORE):
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{report.nodeid}\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let the report say whether the test does more in another profile."""
    try:
        return (yield)
    finally:
        more = item.get_closest_marker("hypothesis") is not None or os.environ.get("PYTEST_CURRENT_TEST") in ASKED
        item.user_properties.append((_MORE, more))


def register(config: pytest.Config) -> None:
    """Note what passes, where that is asked for; workers send their reports to the process that started them."""
    if os.environ.get(_NOTE) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Notes(Path(os.environ[_NOTE])))


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what has passed before."""
    if not os.environ.get(_LEAVE):
        return
    passed = set(Path(os.environ[_LEAVE]).read_text(encoding="utf-8").splitlines())
    left = [item for item in items if item.nodeid in passed]
    if left:
        gone = set(map(id, left))
        items[:] = [item for item in items if id(item) not in gone]
        config.hook.pytest_deselected(items=left)
