"""Tables read from Parquet and CSV files, with whichever frame library is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from oasis_alloc.errors import InputError, MissingDependencyError, did_you_mean, require

_LIBRARIES = ("pyarrow", "polars", "pandas")


def read_table(path: Path) -> Any:
    """Read a `.parquet` or `.csv` file as a pyarrow, polars or pandas frame, the first that is installed.

    Raises `InputError` where the file is missing, of another kind, or cannot be read, and
    `MissingDependencyError` where no library can read it.
    """
    kind = path.suffix.lower()
    if kind not in (".parquet", ".csv"):
        raise InputError(f"{path}: expected a file whose name ends in .parquet or .csv.")
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob(f"*{kind}")) if path.parent.is_dir() else []
        raise InputError(f"{path}: there is no such file.{did_you_mean(path.name, there) if there else ''}")
    library = next((name for name in _LIBRARIES if importlib.util.find_spec(name)), "pyarrow")
    if library == "pandas" and kind == ".parquet":  # pandas reads Parquet only with pyarrow
        library = "pyarrow"
    require(library, "cli")
    try:
        return _READERS[library, kind](str(path))
    except MissingDependencyError:
        raise
    except Exception as error:  # every library has errors of its own for files that are not what they say
        raise InputError(f"{path}: {library} cannot read it: {str(error).strip()}") from error


def _pyarrow_parquet(path: str) -> Any:
    return require("pyarrow.parquet", "cli").read_table(path)


def _pyarrow_csv(path: str) -> Any:
    return require("pyarrow.csv", "cli").read_csv(path)


def _polars_parquet(path: str) -> Any:
    return require("polars", "cli").read_parquet(path)


def _polars_csv(path: str) -> Any:
    return require("polars", "cli").read_csv(path, infer_schema_length=None)


def _pandas_csv(path: str) -> Any:
    return require("pandas", "cli").read_csv(path)


_READERS = {
    ("pyarrow", ".parquet"): _pyarrow_parquet,
    ("pyarrow", ".csv"): _pyarrow_csv,
    ("polars", ".parquet"): _polars_parquet,
    ("polars", ".csv"): _polars_csv,
    ("pandas", ".csv"): _pandas_csv,
}
