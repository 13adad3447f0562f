"""Snapshots with another header."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def with_header(raw: bytes, change: Any, separators: tuple[str, str] = (",", ":")) -> bytes:
    """The file with its parsed header changed, and the checksum made right again."""
    length = int.from_bytes(raw[:8], "little")
    described = json.loads(raw[8 : 8 + length])
    metadata = described["__metadata__"]
    described = change(described) or described
    if isinstance(metadata, dict):
        metadata["checksum"] = "0" * 64
    text = json.dumps(described, separators=separators).encode()
    text += b" " * (-len(text) % 8)
    out = len(text).to_bytes(8, "little") + text + raw[8 + length :]
    named = b'"checksum"' + separators[1].encode() + b'"'
    return out.replace(named + b"0" * 64, named + hashlib.sha256(out).hexdigest().encode(), 1)
