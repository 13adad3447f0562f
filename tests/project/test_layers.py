"""Who may import whom: packages and modules of the top level in their order, from the lowest to the highest.

Every import counts: at run time, within functions, and for type checkers alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sources import statements

import oasis_alloc

SOURCE = Path(oasis_alloc.__file__).parent

# A line imports from lines above it, and from itself; entries of one line import nothing of each other.
LAYERS = """
    errors
    common
    kernels
    kernels.solve            kernels.serve
    kernels.rules            kernels.draw           kernels.pace
    data
    candidates
    partitions
    statement  statement.functions
    problem
    program
    engines
    engines.ray
    solvers
    results
    serving
    serving.file             serving.request
    serving.batch            serving.explain
    policy
    solution
    solve
    session
    frontier  compare        reproduction
    signals.uncertainty
    pacing.controllers
    pacing
    replay
    page      problem_file
    forecast
    publish
    publish.decisions
    signals.off_policy
    signals
    hosting
    store
    telemetry                markets
    publish.jobs
    (the package itself)
    commands
    commands.agents
    __main__
"""
TOGETHER = {frozenset({"statement", "statement.functions"})}  # operators of one statement: a measure makes a function
# The package itself and what is directly in it.
MOST_AT_THE_TOP = 25
# With the packages in those: 25, and what later capabilities brought: engines.ray, page, problem_file, publish,
# publish.decisions, publish.jobs, commands.agents, signals, signals.off_policy, forecast, commands.board,
# signals.calibration, signals.drift, signals.uncertainty
MOST_PACKAGES = 40

RANK = {
    name.strip(): rank
    for rank, line in enumerate(LAYERS.strip().splitlines())
    for name in line.strip().split("  ")
    if name
}

MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def layer(module: str) -> str:
    """The entry of LAYERS that a module, without `oasis_alloc.`, belongs to."""
    if not module:
        return "(the package itself)"
    parts = module.split(".")
    two = ".".join(parts[:2])
    return two if two in RANK else parts[0]


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of this package in a file."""
    for node in statements(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "oasis_alloc":
                    yield node.lineno, name.name.removeprefix("oasis_alloc").lstrip(".")
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            if node.module and node.module.split(".")[0] == "oasis_alloc":
                base = node.module.removeprefix("oasis_alloc").lstrip(".")
                for name in node.names:
                    inner = f"{base}.{name.name}".lstrip(".")
                    yield node.lineno, inner if inner in MODULES else base


def wrong(module: str, target: str) -> bool:
    own, other = layer(module), layer(target)
    return own != other and RANK[other] >= RANK[own] and frozenset({own, other}) not in TOGETHER


def test_every_module_has_a_layer() -> None:
    assert {layer(module) for module in MODULES} == set(RANK)


@pytest.mark.parametrize("name", sorted({module.partition(".")[0] for module in MODULES}))
def test_imports_point_downward(name: str) -> None:
    found = [
        (str(path), line, target)
        for module, path in MODULES.items()
        if module.partition(".")[0] == name
        for line, target in imported(path)
        if wrong(module, target)
    ]
    assert not found, f"imports of what is above: {found}"


def test_an_upward_import_is_found() -> None:
    assert wrong("kernels.solve.visit", "program.program")
    assert wrong("results.report", "solution")
    assert wrong("serving.request.reader", "serving.batch.scores")
    assert not wrong("solution", "results.report")


def test_packages_can_be_taken_in_at_a_glance() -> None:
    depth = [len(path.parent.relative_to(SOURCE).parts) for path in SOURCE.rglob("__init__.py")]
    assert sum(n <= 1 for n in depth) <= MOST_AT_THE_TOP
    assert sum(n <= 2 for n in depth) <= MOST_PACKAGES


def test_files_are_short() -> None:
    long = {str(path): n for path in SOURCE.rglob("*.py") if (n := len(path.read_text("utf-8").splitlines())) > 400}
    assert not long
