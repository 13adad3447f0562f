"""What a person sees while a problem is solved, and what Ctrl-C does."""

from __future__ import annotations

import io
import math
import signal
from types import SimpleNamespace

import pytest

from oasis_alloc.commands.progress import Display, numbers


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
    monkeypatch.setattr("oasis_alloc.commands.progress.time.monotonic", lambda: clock[0])
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
