"""The code of docs/off-policy.md runs."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "off-policy.md"


@pytest.mark.full
def test_the_code_of_the_page_runs() -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") > 1
    exec(compile("\n".join(blocks), "docs/off-policy.md", "exec"), {})
