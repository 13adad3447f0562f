"""`oasis-alloc doctor`: checks of the installation, and a problem as one file for a bug report."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

import oasis_alloc
from oasis_alloc.commands import installed
from oasis_alloc.commands.terminal import NOT_WRITTEN, say
from oasis_alloc.common.remote_path import as_place

_REQUIRED = ("numpy", "scipy", "numba", "cvxpy", "osqp", "clarabel", "highspy", "narwhals", "safetensors")
_OPTIONAL = (
    "pandas", "polars", "pyarrow", "matplotlib", "rich", "scikit-learn", "cryptography", "redis", "psycopg", "ray",
    "mcp", "mlflow-skinny", "opentelemetry-api", "prometheus-client",
)  # fmt: skip
_SOLVERS = {"dual": ("numba",), "conic": ("cvxpy", "osqp", "clarabel", "highspy")}


def doctor(arguments: argparse.Namespace) -> int:
    """Write a problem as a reproduction file if one is named, else print the checks of the installation."""
    return _inspect() if arguments.problem is None else _reproduce(arguments)


def _reproduce(arguments: argparse.Namespace) -> int:
    """Write the problem of a statement so that its solve can be run again elsewhere."""
    from oasis_alloc.problem_file.output import written
    from oasis_alloc.problem_file.statement import read_statement

    statement = read_statement(arguments.problem)
    out = as_place(arguments.out or f"{statement.path.stem}.reproduction")
    with written(out):
        oasis_alloc.write_reproduction(
            statement.problem, out, settings=statement.solve, anonymize=not arguments.keep_labels
        )
    size = out.stat().st_size if isinstance(out, Path) else out.about()[0]
    printed = say(
        f"reproduction  {out} ({size / 1e6:.1f} MB)\n"
        "It has the numbers of the pairs and the names of columns, keys and constraints, no ids"
        + (", and the labels." if arguments.keep_labels else ", and numbers for labels.")
        + " Attach it to the report; oasis_alloc.read_reproduction(path).solve() runs the same solve."
    )
    return 0 if printed else NOT_WRITTEN


def _inspect() -> int:
    """Print versions, threads, the state of the compile cache and the solvers; 0 if all of it works."""
    from oasis_alloc.kernels import _jit

    rows = [
        ("oasis_alloc", oasis_alloc.__version__),
        ("python", f"{platform.python_version()} on {platform.machine()}"),
    ]
    rows += [(name, installed(name, "MISSING")) for name in _REQUIRED]
    rows += [(name, installed(name, "not installed (optional)")) for name in _OPTIONAL]
    rows.append(("threads", _threads()))
    refused = _jit.refusal()
    rows.append(("kernels", f"DO NOT RUN: {refused}" if refused else "compiled by numba"))
    rows += [] if refused else _cache()
    missing = []
    for solver, needs in _SOLVERS.items():
        absent = [name for name in needs if installed(name, "MISSING") == "MISSING"]
        missing += absent
        rows.append((f"solver {solver}", _state(absent, refused)))
    missing += [name for name in _REQUIRED if installed(name, "MISSING") == "MISSING"]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    if missing:
        names = " ".join(dict.fromkeys(missing))
        lines.append(f"Missing. Install with: pip install --upgrade {names}")
    if not say("\n".join(lines)):
        return NOT_WRITTEN
    return 4 if missing or refused else 0


def _state(absent: list[str], refused: str) -> str:
    if absent:
        return f"needs {', '.join(absent)}"
    return "needs kernels, which do not run" if refused else "ready"


def _threads() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{usable} usable of {os.cpu_count()}"


def _cache() -> list[tuple[str, str]]:
    """The directory of compiled kernels, as numba's dispatcher of one kernel reports it."""
    from oasis_alloc.kernels._jit import danger
    from oasis_alloc.kernels.solve.check import mark_occurring

    cache = getattr(mark_occurring, "_cache", None)
    where = getattr(cache, "cache_path", None)
    if where is None:
        return [("compile cache", "off: every process compiles (OASIS_ALLOC_CACHE names a directory)")]
    folder = Path(where)
    if unsafe := danger(folder):
        return [("compile cache", f"not used, every process compiles: {unsafe}")]
    if not folder.is_dir():
        return [("compile cache", f"{folder} (empty: the first solve compiles)")]
    files = [path for path in folder.iterdir() if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    state = "writable" if os.access(folder, os.W_OK) else "read-only"
    return [("compile cache", f"{folder} ({state}, {len(files)} files, {size:.1f} MB)")]
