"""The code of the page about the ledger runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "ledger.md"


def test_the_code_of_the_page_about_the_ledger_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), "docs/ledger.md", "exec"), names)
    assert names["evening"] > names["morning"] > 0
    assert names["ledger"].delivered() == {"one": 2.0, "two": 1.0}
