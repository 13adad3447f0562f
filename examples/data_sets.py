"""Where the examples on real data find their tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def folder_of(data_set: str, table: str, given: Path | None = None) -> Path | None:
    """Where the tables are: the path given, else under OASIS_ALLOC_DATA or ../shared/data; None, and says so."""
    near = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = given or Path(os.environ.get("OASIS_ALLOC_DATA") or near) / data_set
    if (path / f"{table}.parquet").is_file():
        return path
    print(
        f"there is no {table}.parquet in {path}; give the directory of the {data_set} tables, or set OASIS_ALLOC_DATA "
        "to its parent.",
        file=sys.stderr,
    )
    return None
