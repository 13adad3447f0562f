"""Calibrations that a statement names: JSON files of `oa.Calibration.to_dict`, by the column that they map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oasis_alloc.common.documents import distinct_members
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.regular_files import read_regular
from oasis_alloc.common.remote import Files
from oasis_alloc.data.column_map import ColumnMap, read_map
from oasis_alloc.errors import InputError, ProblemError
from oasis_alloc.problem_file.limits import shown


def read_calibrations(entries: Mapping[str, Any], files: Files, place: str) -> dict[str, ColumnMap]:
    """{column: map} of `calibrated = { column = "file.json" }`, to the bits that were saved.

    Raises `ProblemError` for an entry that is not a path, `InputError` for a file that has no calibration.
    """
    out = {}
    for column, text in entries.items():
        if not isinstance(text, str):
            raise ProblemError(f"{place}.{column} is {shown(text)}; expected the path of a JSON file.")
        path = files / text
        out[column] = read_map(_document(path, f"{place}.{column}"), f"{place}.{column}: {path.name}")
    return out


def _document(path: Path, place: str) -> Any:
    """What a JSON file has; numbers that JSON does not allow, such as NaN, are refused."""
    try:
        return json.loads(
            read_regular(path).decode("utf-8-sig"), object_pairs_hook=distinct_members, parse_constant=_refused
        )
    except FileNotFoundError:
        raise InputError(f"{place}: {path}: there is no such file.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{place}: {path} cannot be read as JSON: {reason_of(error)}.") from error


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not a number of JSON")
