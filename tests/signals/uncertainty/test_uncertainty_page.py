"""The code of docs/uncertainty.md runs, each block by itself; its assertions are the page's claims."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "uncertainty.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.few(1)
@pytest.mark.parametrize("number", range(3))
def test_the_code_of_the_page_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(BLOCKS) == 3
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[number], f"docs/uncertainty.md, block {number}", "exec"), names)
    if number == 0:
        assert names["tail"].mean >= names["worst"].mean - 1e-3 * abs(names["worst"].mean)
        assert "relevance@risk" in names["policy"].columns
    if number == 1:
        assert "the two solutions differ by" in capsys.readouterr().out
    if number == 2:
        assert names["answer"].held["promised"].min() >= 0.945
