"""The form that all benchmarks keep their results in, so that one page can show them (`page.py`)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def save(path: Path, about: Mapping[str, Any], options: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write {about, options, rows}, whole or not at all; a number that is not finite becomes null."""
    content = plain({"about": about, "options": options, "rows": rows})
    save_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def save_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """What `save` wrote, or None where there is nothing."""
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def plain(value: Any) -> Any:
    """Only what JSON has; of an absolute path its name: the rest says where one machine has it.

    >>> plain({"a": (1, float("inf")), "b": Path("runs/x"), "c": Path("/data/y")})
    {'a': [1, None], 'b': 'runs/x', 'c': 'y'}
    """
    if isinstance(value, Path):
        return value.name if value.is_absolute() else value.as_posix()
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return plain(value.item()) if hasattr(value, "item") else str(value)
