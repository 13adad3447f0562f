"""Kernels that only kernels call have no machine code, and are compiled once for all of their callers."""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.codegen import JITCodeLibrary

from oasis_alloc.kernels import _jit


@_jit.jit
def share(value: float, count: int) -> float:
    if count == 0:
        raise ValueError("there is nothing to share")
    return value / count


@_jit.jit
def mean(values: np.ndarray) -> float:
    total = 0.0
    for value in values:
        total += share(value, len(values))
    return total + share(0.0, len(values))


@_jit.jit
def spread(values: np.ndarray) -> float:
    return share(values.max() - values.min(), len(values))


def fresh(*kernels: Any) -> list[Any]:
    """The kernels as a new process has them, each of which calls those before it."""
    made: list[Any] = []
    for kernel in kernels:
        again = type(kernel.py_func)(kernel.py_func.__code__, {**kernel.py_func.__globals__}, kernel.__name__)
        again.__globals__.update({other.__name__: other for other in made})
        made.append(_jit.jit(again))
    return made


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The libraries for which machine code is made from now on."""
    finished: list[Any] = []
    finish: Any = JITCodeLibrary._finalize_specific

    def counting(library: Any) -> None:
        finished.append(library.name)
        finish(library)

    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", counting)
    return finished


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OASIS_ALLOC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_only_what_python_calls_gets_machine_code(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = counted(monkeypatch)
    of_share, of_mean, of_spread = fresh(share, mean, spread)
    values = np.array([1.0, 2.0, 6.0])
    assert (of_mean(values), of_spread(values)) == (3.0, 5.0 / 3.0)
    assert finished.count("mean") == finished.count("spread") == 1
    assert "share" not in finished
    assert of_share.signatures == []
    assert len(of_share._linked) == 1, "both callers are linked with the same code"
    assert of_share(6.0, 3) == 2.0
    assert len(of_share.signatures) == finished.count("share") == 1


def test_an_error_of_linked_code_is_the_callers(cache: Path) -> None:
    of_share, of_mean = fresh(share, mean)
    for _ in range(2):
        with pytest.raises(ValueError, match="there is nothing to share"):
            of_mean(np.zeros(0))
        of_share, of_mean = fresh(share, mean)  # now from the cache
    with pytest.raises(ValueError, match="there is nothing to share"):
        of_share(1.0, 0)


def test_linked_code_is_kept_for_callers_of_later_processes(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = np.array([1.0, 2.0, 6.0])
    assert fresh(share, mean)[1](values) == 3.0
    of_share, of_spread = fresh(share, spread)
    of_share._link = lambda args: pytest.fail("code that was kept is compiled again")
    with caplog.at_level(logging.DEBUG, "oasis_alloc.kernels"):
        assert of_spread(values) == 5.0 / 3.0
    assert len(of_share._linked) == 1
    assert not any("cannot be" in record.getMessage() for record in caplog.records)


def test_code_that_python_has_compiled_already_is_linked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_share, of_mean = fresh(share, mean)
    assert of_share(6.0, 3) == 2.0
    assert of_mean(np.array([1.0, 2.0, 6.0])) == 3.0
    assert of_share._linked == {}


def test_with_another_kind_of_numba_every_kernel_is_finished(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oasis_alloc.kernels._linked", None)
    of_share, of_mean = fresh(share, mean)
    assert of_mean(np.array([1.0, 2.0, 6.0])) == 3.0
    assert len(of_share.signatures) == 1


def test_the_code_of_a_caller_is_the_same_with_linked_and_with_finished_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_ALLOC_CACHE", "off")

    def instructions(finished: bool) -> list[str]:
        of_share, of_mean = fresh(share, mean)
        if finished:
            of_share(1.0, 1)
        of_mean(np.ones(2))
        (result,) = of_mean.overloads.values()
        body = str(result.library.get_function(result.fndesc.llvm_func_name))
        return [line.strip() for line in body.splitlines()[1:] if "@" not in line]

    assert instructions(True) == instructions(False)
