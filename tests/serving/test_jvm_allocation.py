"""A ranking in Java allocates its result, and nothing else, whatever rules its slate has."""

from __future__ import annotations

import pytest
from jvm_host import GOLDEN, lines, run

NAMES = ("plain", "columns", "rules", "keep")
HEADER = 16  # bytes of an array before its numbers; objects take a multiple of 8


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    return lines(run("oasisalloc.Allocation", *(GOLDEN / f"{name}.safetensors" for name in NAMES)))


@pytest.mark.parametrize("name", NAMES)
def test_a_ranking_allocates_its_result(said: dict[str, str], name: str) -> None:
    def number(what: str) -> int:
        return int(said[f"{name}.safetensors {what}"])

    assert number("slots") > 2
    assert number("select") == HEADER + -(-4 * number("slots") // 8) * 8
    assert number("score") == HEADER + 8 * number("candidates")
    assert number("prepared") == number("encode") == 0
