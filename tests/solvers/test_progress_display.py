"""`solve(progress=True)`: what is shown on a terminal, in a notebook and in a file, and how often."""

from __future__ import annotations

import io
import logging
import re
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

import oasis_alloc as oa
from oasis_alloc.kernels import _compiling
from oasis_alloc.solvers import progress_display, progress_views
from oasis_alloc.solvers.progress_display import ProgressDisplay


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Notebook:
    """The module `IPython.display` as far as it is used: what a cell shows, from the first output to the last."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def display(self, output: Any, display_id: bool) -> Notebook:
        assert display_id is True, "an output without an id cannot be replaced"
        self.shown.append(output)
        return self

    def update(self, output: Any) -> None:
        self.shown.append(output)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """This process as the kernel of a notebook."""
    fake = Notebook()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setattr(progress_views, "_REDRAWN", 0.0)
    return fake


def state(**changes: Any) -> Any:
    fields = {"stage": "passes", "passes": 3.0, "seconds": 0.5, "bound": 12.5, "value": 12.0, "gap": 1e-2,
              "violation": 0.0, "smoothing": 0.1, "target": 1e-4, "rate": None, "left": 10.0}  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


@pytest.fixture(scope="module")
def problem() -> oa.Problem:
    cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.1]}, items={"song": ["a", "b"]})
    return oa.Problem(cands, oa.total("r"), [(oa.exposure(by="song") <= 0.7).named("caps")], oa.Slate(1))


ENDED = re.compile(r"solved: value 0\.94, gap \S+, violation \S+, [\d.]+ passes in \S+ seconds")


def test_a_file_gets_plain_lines_and_the_end(problem: oa.Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    solution = oa.solve(problem, progress=True)
    lines = stream.getvalue().splitlines()
    assert ENDED.fullmatch(lines[-1]), lines
    assert f"{solution.passes:,.1f} passes" in lines[-1]
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("off", [False, None])
def test_off_says_nothing(off: bool | None, problem: oa.Problem, capsys: pytest.CaptureFixture[str]) -> None:
    assert oa.solve(problem, progress=off).status is oa.Status.SOLVED
    assert oa.frontier(problem, vary="caps", points=[0.5], progress=off).points == (0.5,)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("wrong", ["yes", 1, 0, 2.5])
def test_anything_else_is_refused(wrong: Any, problem: oa.Problem) -> None:
    with pytest.raises(oa.ProblemError, match="expected True, or a callable"):
        oa.solve(problem, progress=wrong)
    with pytest.raises(oa.ProblemError, match="expected True, or a callable"):
        oa.frontier(problem, vary="caps", points=[0.5], progress=wrong)


def test_a_pass_that_takes_long_is_shown_again_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_display, "_REPEATED", 0.02)
    monkeypatch.setattr(progress_views, "EVERY", 0.0)
    stream = io.StringIO()
    with ProgressDisplay(stream) as display:
        time.sleep(0.1)
        assert not stream.getvalue()  # nothing was said that could be shown again
        display(state())
        until = time.monotonic() + 10.0
        while stream.getvalue().count("\n") < 10 and time.monotonic() < until:
            time.sleep(0.01)
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 10
    seconds = [float(found[1]) for line in lines if (found := re.search(r"([\d.]+) s", line))]
    assert seconds == sorted(seconds)
    assert seconds[-1] > seconds[0] == 0.5
    assert len({line.split("  ")[0] for line in lines}) == 1


def test_two_seconds_are_the_longest_silence() -> None:
    assert progress_views.EVERY + progress_display._REPEATED * 1.25 <= 1.5  # compiling holds the display's thread up


def test_compiling_is_said_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_views, "EVERY", 0.0)
    stream = io.StringIO()
    with ProgressDisplay(stream) as display:
        display(state(stage="sample"))
        _compiling.begin("visit.visit", None)
        _compiling.begin("visit.callee", None)
        _compiling.end("visit.callee")
        assert display._line()[0] == "compiling"
        _compiling.end("visit.visit")
        assert display._line()[0] == "sample"
    assert "compiling  visit.visit  (the first run on a machine compiles)" in stream.getvalue()
    assert "callee" not in stream.getvalue()


def test_a_notebook_shows_a_bar_that_ends_in_a_line(problem: oa.Problem, notebook: Notebook) -> None:
    oa.solve(problem, progress=True)
    pages = [output._repr_html_() for output in notebook.shown]
    assert any("<progress max=" in page and "<b>" in page for page in pages[:-1])
    assert ENDED.fullmatch(repr(notebook.shown[-1]))
    assert "<progress" not in pages[-1]
    assert "color" not in "".join(pages), "the page's own colors, light or dark"


def test_a_notebook_escapes_and_says_when_kernels_compile(notebook: Notebook) -> None:
    with ProgressDisplay() as display:
        display.stage("<reading>")
        _compiling.begin("visit.visit", None)
        _compiling.end("visit.visit")
        display(state(gap=1e-3))
    pages = [output._repr_html_() for output in notebook.shown]
    assert "&lt;reading&gt;" in pages[1]
    assert "compiling" in pages[2]
    assert 'value="0.500"' not in pages[2]
    assert "gap 1.0e-03 of 1e-04" in pages[3]


def test_a_shell_without_a_kernel_is_a_terminal(
    problem: oa.Problem, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    oa.solve(problem, progress=True)
    assert notebook.shown == []
    assert ENDED.search(stream.getvalue().splitlines()[-1])


def test_a_notebook_that_fails_costs_no_answer(problem: oa.Problem, notebook: Notebook) -> None:
    def fail(output: Any) -> None:
        raise RuntimeError("the socket has gone")

    notebook.update = fail  # type: ignore[method-assign]
    assert oa.solve(problem, progress=True).status is oa.Status.SOLVED


def test_a_frontier_says_which_point_is_solved(problem: oa.Problem, notebook: Notebook) -> None:
    curve = oa.frontier(problem, vary="caps", points=[0.5, 0.7], progress=True)
    texts = [repr(output) for output in notebook.shown]
    assert any(text.startswith("point 1 of 2") for text in texts)
    assert any(text.startswith("point 2 of 2") for text in texts)
    assert texts[-1] == curve.title


def test_an_interrupted_solve_leaves_no_last_line() -> None:
    stream = io.StringIO()
    display = ProgressDisplay(stream).__enter__()
    display.leave("solved")
    display.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert stream.getvalue() == ""


def test_the_log_has_start_passes_and_end(problem: oa.Problem, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "oasis_alloc"):
        oa.solve(problem, gap=1e-6)
    ours = [record for record in caplog.records if record.name == "oasis_alloc.solve"]
    assert [ours[0].levelname, ours[-1].levelname] == ["INFO", "INFO"]
    assert ours[0].getMessage() == (
        "solve by dual to a gap of 1.0e-06: 2 users, 2 items, 4 pairs; constraints and functions: 1, of 2 groups"
    )
    assert ENDED.fullmatch(ours[-1].getMessage())
    assert {record.levelname for record in ours[1:-1]} == {"DEBUG"}
    assert all("bound" in record.getMessage() for record in ours[1:-1])
    caplog.clear()
    with caplog.at_level(logging.INFO, "oasis_alloc"):
        stopped = oa.solve(problem, progress=lambda state: True)
    assert [r.levelname for r in caplog.records if r.name == "oasis_alloc.solve"] == ["INFO", "INFO"]
    assert str(stopped.status) in caplog.text


def test_a_stalled_solve_is_a_warning(problem: oa.Problem, caplog: pytest.LogCaptureFixture) -> None:
    from dataclasses import replace

    from oasis_alloc.solve import _told

    with caplog.at_level(logging.WARNING, "oasis_alloc"):
        _told(replace(oa.solve(problem), status=oa.Status.STALLED), None)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("stalled: value 0.94")


def test_nothing_is_printed_by_a_program_that_does_not_ask_for_the_log() -> None:
    handlers = logging.getLogger("oasis_alloc").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
