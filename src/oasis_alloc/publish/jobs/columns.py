"""Columns that a solve has added to those of the tables: a run that goes on after its policy needs them again."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from oasis_alloc.common.files import reason_of, write_whole
from oasis_alloc.errors import InputError
from oasis_alloc.signals.uncertainty.weighted import more_columns

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates

COLUMNS = "columns.npz"


def write_columns(path: Path, stated: Candidates, solved: Candidates) -> None:
    """Write the columns of `solved` that are not those of `stated`: one or more."""
    added = {name: column for name, column in solved.columns.items() if column is not stated.columns.get(name)}
    content = BytesIO()
    np.savez(content, names=np.array(list(added)), columns=np.stack([np.asarray(one) for one in added.values()]))
    write_whole(path, content.getvalue())


def with_columns(candidates: Candidates, path: Path) -> Candidates:
    """The candidates with the columns of such a file; raises `InputError` if it cannot be read."""
    try:
        # of bytes: of a damaged file, NumPy leaves the handle open
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as found:
            added = dict(zip(found["names"].tolist(), found["columns"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: the columns of the run cannot be read: {reason_of(error)}.") from error
    return more_columns(candidates, added)
