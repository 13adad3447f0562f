"""Functions that fit on one screen, files that can be read in one sitting."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from sources import statements

import oasis_alloc

SOURCE = Path(oasis_alloc.__file__).parent
MOST_LINES = 80
"""Of a function without its docstring; kernels may be longer, for compiled code is inlined by hand."""
MOST_OF_THE_FIRST = 50
"""Of the functions that a newcomer opens first."""
FIRST = {("solve.py", "solve"), ("solvers/dual.py", "optimize")}
MOST_LINES_OF_A_FILE = 400
MOST_ARGUMENTS = 13
"""Of a kernel; what belongs together is a NamedTuple."""


def sizes(source: str | ast.Module) -> dict[str, int]:
    """{name: lines without the docstring} of all functions and methods."""
    out = {}
    for node in statements(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                text = node.body[0]
                lines -= (text.end_lineno or text.lineno) - text.lineno + 1
            out[node.name] = max(lines, out.get(node.name, 0))
    return out


@cache
def facts() -> dict[str, tuple[dict[str, int], set[str]]]:
    """{file: (sizes of its functions, names that it assigns twice)}, of trees that are not kept: they are large."""
    trees = ((name, ast.parse(text)) for name, text in sorted(FILES.items()))
    return {name: (sizes(tree), assigned_again(tree)) for name, tree in trees}


FILES = {path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}


def test_functions_are_short() -> None:
    long = [
        f"{name}: {function} has {lines} lines"
        for name, (functions, _) in facts().items()
        if not name.startswith("kernels/")
        for function, lines in functions.items()
        if lines > (MOST_OF_THE_FIRST if (name, function) in FIRST else MOST_LINES)
    ]
    assert not long, "split by stages, with names that say what they do:\n" + "\n".join(long)


def test_kernels_take_structs() -> None:
    wide = {
        f"{name}: {node.name}": len(node.args.args)
        for name, text in FILES.items()
        if name.startswith("kernels/")
        for node in statements(text)
        if isinstance(node, ast.FunctionDef) and len(node.args.args) > MOST_ARGUMENTS
    }
    assert not wide


@pytest.mark.parametrize(("name", "function"), sorted(FIRST))
def test_the_first_functions_are_where_they_are_looked_for(name: str, function: str) -> None:
    assert function in facts()[name][0]


def test_files_are_short() -> None:
    long = [name for name, text in sorted(FILES.items()) if text.count("\n") > MOST_LINES_OF_A_FILE]
    assert not long, f"more than {MOST_LINES_OF_A_FILE} lines: {long}"


def test_docstrings_are_not_counted() -> None:
    assert sizes('def f():\n    """One\n    two."""\n    return 1\n') == {"f": 2}
    assert sizes("def f():\n    def g():\n        return 1\n    return g\n") == {"f": 4, "g": 2}


def assigned_again(source: str | ast.Module) -> set[str]:
    """Names that a module assigns more than once: the second silently replaces the first, as two constants would."""
    body = (ast.parse(source) if isinstance(source, str) else source).body
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return {name for name in names if names.count(name) > 1}


def test_no_module_assigns_a_name_twice() -> None:
    again = {name: found for name, (_, found) in facts().items() if found}
    assert not again


def test_a_name_that_is_assigned_twice_is_found() -> None:
    assert assigned_again("A = 1\nB: int = 2\nA = 3\n") == {"A"}
    assert assigned_again("A = 1\nif A:\n    A = 2\ndef f():\n    A = 3\n") == set()
