"""Tools for the files of the folder: list them, read them, and write statements."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from oasis_alloc.commands.agents.documents import Document, listed
from oasis_alloc.commands.agents.reading import LONGEST, check_text, is_job
from oasis_alloc.commands.agents.room import RoomFiles
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.files import reason_of, write_whole
from oasis_alloc.data.partitions import PARQUET
from oasis_alloc.errors import InputError
from oasis_alloc.problem_file.statement import read_source
from oasis_alloc.problem_file.tables import read_table

if TYPE_CHECKING:
    from oasis_alloc.commands.agents.tools import Call

_KINDS = {".toml": "statement", ".csv": "table", **dict.fromkeys(PARQUET, "table")}
_FIRST = 5  # rows of a table that are shown


def files(call: Call, folder: str = ".") -> Document:
    """The statements and tables below a folder."""
    room = call.statements.room
    top = room.path(folder)
    if not top.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    rows = []
    for here, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(here) / name
            kind = _KINDS.get(path.suffix.lower())
            if kind is not None and not path.is_symlink() and path.is_file():
                rows.append({"path": room.relative(path), "kind": kind, "bytes": path.stat().st_size})
    return {"files": listed(rows, call.limits.rows), "units": {"bytes": "bytes", "left_out": "files not listed"}}


def read(call: Call, path: str) -> Document:
    """The text of a statement, or what a table has."""
    statements = call.statements
    if path.lower().endswith(".toml"):
        file = statements.path(path)
        text = read_source(file)
        return {"path": path, "kind": "job" if is_job(statements.stated(file)) else "problem", "text": text}
    room = statements.room
    found = RoomFiles(room, room.folder, statements.limits) / path
    if not found.exists():
        raise InputError(f"{path}: there is no such file in the folder.")
    import narwhals.stable.v2 as nw

    frame = nw.from_native(read_table(found), eager_only=True)
    columns = [
        {"column": name, "type": str(kind), "missing": int(frame[name].null_count())}
        for name, kind in frame.schema.items()
    ]
    first = frame.head(_FIRST)
    rows = [jsonable(dict(zip(first.columns, row, strict=True))) for row in first.iter_rows()]
    return {
        "path": path, "kind": "table", "rows": len(frame), "columns": columns, "first": rows,
        "units": {"rows": "rows", "missing": "rows without a value", "first": "as in the table"},
    }  # fmt: skip


def write(call: Call, path: str, text: str) -> Document:
    """Write a statement whose entries are valid."""
    room = call.statements.room
    target = room.path(path)
    if target.suffix != ".toml":
        raise InputError(f"{path}: expected a path that ends in .toml; tools write statements and answers only.")
    if target.exists() and not target.is_file():
        raise InputError(f"{path}: is not a file; choose another name.")
    if len(text.encode("utf-8", "replace")) > LONGEST:
        raise InputError(f"{path}: the text is too long; expected at most {LONGEST:,} bytes.")
    kind = check_text(text, target.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, text)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path}: cannot be written: {reason_of(error)}.") from error
    return {"path": room.relative(target), "kind": kind, "next": f"call check with the statement {path!r}"}
