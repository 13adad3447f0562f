"""Kernels copy arrays in loops: an array that is assigned to a slice of another takes seconds to compile."""

import ast
from pathlib import Path

import pytest

import oasis_alloc.kernels
from oasis_alloc.kernels.serve import diversify, diversify_window, select_one

FOLDER = Path(oasis_alloc.kernels.__file__).parent


def copies(source: str) -> list[str]:
    """Statements within `@jit` functions that assign anything but a constant to a slice."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not (
            isinstance(function, ast.FunctionDef) and any("jit" in ast.unparse(d) for d in function.decorator_list)
        ):
            continue
        for line in ast.walk(function):
            targets = line.targets if isinstance(line, ast.Assign) else []
            if any(isinstance(part, ast.Slice) for target in targets for part in ast.walk(target)):
                value = ast.unparse(line.value)  # type: ignore[attr-defined]
                if not value.lstrip("-").replace("np.inf", "0").replace("False", "0").replace("True", "0")[0].isdigit():
                    found.append(ast.unparse(line))
    return found


def test_no_kernel_assigns_an_array_to_a_slice() -> None:
    """Where sizes differ numba raises an error that says the sizes, and compiles formatted text for it in every kernel:
    3.4 of the 8.9 processor seconds that `keep_scored` took. A loop is compiled to the same copy."""
    files = sorted(FOLDER.rglob("*.py"))
    assert len(files) > 30
    assert [(file.name, line) for file in files for line in copies(file.read_text(encoding="utf-8"))] == []


def test_what_would_be_found() -> None:
    body = (
        "    a[:3] = b[:3]\n    a[0] = b[0]\n    a[1, 2:] = -1\n    a[:] = -np.inf\n    a[:, n] = c\n    a[:] = 0.5\n"
    )
    assert copies(f"@jit(inline=True)\ndef f(a, b, c, n):\n{body}") == ["a[:3] = b[:3]", "a[:, n] = c"]
    assert copies(f"def f(a, b, c, n):\n{body}") == []


@pytest.mark.parametrize(
    "kernel",
    [diversify.mmr, diversify.dpp, diversify_window.dpp_window, select_one.keep_scored],
    ids=lambda kernel: kernel.__name__,
)
def test_kernels_have_no_code_for_c(kernel: object) -> None:
    assert kernel.targetoptions["no_cfunc_wrapper"]  # type: ignore[attr-defined]
