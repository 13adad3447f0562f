"""What a person sees while a problem is solved, and what Ctrl-C does."""

from __future__ import annotations

import io
import math
import signal
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.commands.progress import Display
from oasis_alloc.commands.run import solve_in_view
from oasis_alloc.solvers.progress_display import numbers


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def state(**changes: float | str) -> SimpleNamespace:
    """A solver's state, as `progress=` is called with."""
    fields: dict[str, float | str | None] = {
        "stage": "passes", "passes": 3.0, "seconds": 0.5, "bound": 1234.5, "value": math.nan, "gap": math.inf,
        "violation": 0.0, "smoothing": 0.1, "target": 1e-4, "rate": None,
        "left": None,
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def test_the_display_is_quiet_without_a_terminal_and_speaks_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr("oasis_alloc.solvers.progress_display._REPEATED", 1e9)
    monkeypatch.setattr("oasis_alloc.solvers.progress_views.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    with Display(stream) as display:
        assert display(state()) is False
        assert stream.getvalue() == ""
        clock[0] += 6
        display(state(value=1234.0, gap=4e-4))
        display(state(value=1234.1, gap=3e-4))
    assert stream.getvalue().count("\n") == 1
    assert "bound 1,234.5  value 1,234  gap 4.0e-04 of 1e-04  pass 3  0.5 s" in stream.getvalue()


@pytest.mark.parametrize("rich", [True, False])
def test_the_display_on_a_terminal_leaves_nothing_behind(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not rich:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Display(stream) as display:
        display.stage("making the market")
        for gap in (math.inf, 1e-1, 1e-3, 1e-5):
            display(state(gap=gap, value=1.0 if gap < 1 else math.nan))
            if rich:
                display._view._progress.refresh()  # type: ignore[union-attr]
    seen = stream.getvalue()
    assert "making the market" in seen
    assert "gap 1.0e-03 of 1e-04" in seen
    assert "100%" in seen
    if not rich:
        assert seen.endswith("\r")


@pytest.mark.parametrize("rich", [True, False])
def test_the_display_says_when_kernels_are_compiled(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from oasis_alloc.kernels import _compiling

    if not rich:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Display(stream) as display:
        display(state(stage="sample"))
        _compiling.begin("visit.visit", None)
        _compiling.begin("visit.callee", None)
        _compiling.end("visit.callee")
        _compiling.end("visit.visit")
        display(state(stage="passes"))
    seen = stream.getvalue()
    assert "compiling" in seen
    assert "visit.visit  (the first run on a machine compiles)" in seen
    assert "callee" not in seen
    before = len(seen)
    _compiling.begin("visit.visit", None)
    _compiling.end("visit.visit")
    assert len(stream.getvalue()) == before, "the display is closed"


def test_the_bar_measures_orders_of_magnitude_and_never_falls() -> None:
    display = Display(io.StringIO())
    way = [display.done(state(gap=gap)) for gap in (math.inf, 1.0, 1e-2, 1e-1, 1e-3, 1e-4)]
    assert way == pytest.approx([0.0, 0.0, 0.5, 0.5, 0.75, 1.0])
    assert "value" not in numbers(state())


def test_the_first_interrupt_asks_the_solver_to_stop_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Display(io.StringIO()) as display:
        assert display(state()) is False
        signal.raise_signal(signal.SIGINT)
        assert display(state()) is True
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("say", [bool, np.bool_, lambda stop: np.array([stop])[0]])
def test_any_boolean_that_is_true_stops_a_solve_and_nothing_else_does(say: Callable[[bool], object]) -> None:
    cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.1]}, items={"song": ["a", "b"]})
    problem = oa.Problem(cands, oa.total("r"), [oa.exposure(by="song") <= 0.7], oa.Slate(1))
    seen: list[oa.Progress] = []

    def watch(state: oa.Progress) -> object:
        seen.append(state)
        return say(len(seen) >= 2)

    stopped = oa.solve(problem, gap=1e-300, progress=watch)
    assert len(seen) == 2
    assert stopped.status in (oa.Status.STOPPED, oa.Status.SOLVED)
    for answer in ("yes", 1, object()):
        assert oa.solve(problem, progress=lambda state, answer=answer: answer).status is oa.Status.SOLVED
    for name, number in vars(seen[-1]).items():
        assert type(number) in (float, str, type(None)), name
    curve = oa.frontier(
        problem.replace(subject_to=[(oa.exposure() <= 1.0).named("slots")]),
        vary="slots", points=[0.5, 1.0, 1.5], progress=lambda point, solution: say(point >= 1.0),
    )  # fmt: skip
    assert curve.points == (0.5, 1.0)


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("terminal", [True, False])
def test_a_display_whose_stream_is_gone_says_nothing_more(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("oasis_alloc.solvers.progress_views.EVERY", 0.0)
    stream = Gone()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    with Display(stream) as display:
        display.stage("reading")
        assert display(state()) is False
        assert display(state(gap=1e-3)) is False


def test_a_command_says_compiling_only_while_kernels_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    display = Display(io.StringIO())
    monkeypatch.setattr(display, "stage", said.append)
    problem = oa.Problem(oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.5, 0.25]}), oa.total("r"))
    solve_in_view(problem, display, {"threads": 1, "gap": None})
    assert said[0] == "loading"
    assert "compiling" not in said
