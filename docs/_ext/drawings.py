"""Which file has the drawing of a Mermaid diagram: `docs/diagrams/<digest of its source>.svg`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
DRAWINGS = DOCS / "diagrams"
DRAW = DOCS / "scripts" / "draw_diagrams.py"  # what makes them
FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def drawing_of(source: str) -> Path:
    """The file that has the drawing of a diagram's source."""
    return DRAWINGS / f"{hashlib.sha256(source.strip().encode()).hexdigest()[:16]}.svg"


def diagrams_of(text: str) -> list[str]:
    """The sources of the diagrams of a page."""
    return FENCE.findall(text)
