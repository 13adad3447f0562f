"""A problem stated in a TOML file: data, objective and constraints."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError, OasisAllocError, ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.problem_file.expression import SourcePosition, evaluate
from oasis_alloc.problem_file.limits import read_limits, shown
from oasis_alloc.problem_file.tables import read_table
from oasis_alloc.statement.slate import Slate

Types = tuple[type, ...]
_NUMBER: Types = (int, float)
_WHOLE: Types = (int,)
_TEXT: Types = (str,)
_TEXTS: Types = (list,)
_TABLE: Types = (dict,)
_NUMBERS: Types = (list, tuple)
_ENTRIES: dict[str, dict[str, Types]] = {
    "": {
        "maximize": _TEXT, "subject_to": _TEXTS, "candidates": _TABLE, "limits": _TABLE, "slate": _TABLE,
        "solve": _TABLE, "output": _TABLE,
    },
    "candidates": {
        "pairs": _TEXT, "users": _TEXT, "items": _TEXT, "user": _TEXT, "item": _TEXT, "columns": _TEXTS,
    },
    "slate": {
        "size": _WHOLE, "at_most": _TABLE, "diminishing": _TABLE, "keep": _TABLE, "at_least": _WHOLE,
        "slot_weights": _NUMBERS,
    },
    "solve": {
        "solver": _TEXT, "gap": _NUMBER, "time_limit": _NUMBER, "pass_limit": _WHOLE, "threads": _WHOLE,
    },
    "output": {"directory": _TEXT, "format": _TEXT},
}  # fmt: skip
_EXPECTED = {
    _NUMBER: "a number", _WHOLE: "a whole number", _TEXT: "a text", _TEXTS: "a list of texts",
    _NUMBERS: "a list of numbers",
}  # fmt: skip
FORMATS = ("parquet", "csv")
_LARGEST = 2**63 - 1  # whole numbers that arrays hold
_TOO_LARGE = "expected at most 9,223,372,036,854,775,807 (2**63 - 1), and at most 1.8e308 where it is a limit."


@dataclass(frozen=True)
class Statement:
    """A problem read from a file, with its `[solve]` and `[output]`.

    `solve` are keyword arguments of `oasis_alloc.solve`; `directory` and `format` are None where not given.
    """

    path: Path
    problem: Problem
    solve: Mapping[str, Any]
    directory: Path | None
    format: str | None


def read_statement(path: Path) -> Statement:
    """Read a statement and the data it names; relative paths start at the statement's own folder.

    Raises `InputError` for files that cannot be read and data that are invalid, `ProblemError` for an
    invalid statement, with the line if it is known.
    """
    source = _source(path)
    try:
        return _read(source, path)
    except OasisAllocError:
        raise
    except (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:  # numbers beyond any array
        what = str(error) or type(error).__name__
        raise ProblemError(f"{path.name}: cannot build a problem from this file: {what}.") from error


def _read(source: str, path: Path) -> Statement:
    file = path.name
    try:
        stated = tomllib.loads(source)
    except RecursionError as error:
        raise ProblemError(f"{file}: lists or tables are nested too deeply.") from error
    except tomllib.TOMLDecodeError as error:
        raise ProblemError(f"{file}: not valid TOML: {error}.") from error
    except (ValueError, OverflowError) as error:  # of numbers that Python refuses to read, and of dates
        if "integer string conversion" in str(error):
            raise ProblemError(f"{file}: a whole number has thousands of digits; {_TOO_LARGE}") from error
        raise ProblemError(f"{file}: not valid TOML: {error}.") from error
    _check(stated, file)
    if "pairs" not in stated.get("candidates", {}):
        raise ProblemError(f'{file}: [candidates] must name a file: pairs = "pairs.parquet".')
    if "maximize" not in stated:
        raise ProblemError(f"{file}: maximize is missing; expected for example maximize = 'total(\"relevance\")'.")
    candidates = _candidates(stated["candidates"], path.parent)
    try:
        slate = Slate(**{"size": 1, **stated.get("slate", {})})
    except ProblemError as error:
        raise ProblemError(f"{file}: {error}") from error
    limits = read_limits(stated.get("limits", {}), candidates, slate.laid_out(candidates).size, path.parent, file)
    maximize = evaluate(stated["maximize"], limits, _place(source, file, stated["maximize"], "maximize"))
    subject_to = []
    for number, text in enumerate(stated.get("subject_to", [])):
        place = _place(source, file, text, f"subject_to[{number}]")
        constraint = evaluate(text, limits, place)
        if not hasattr(constraint, "bind"):
            raise ProblemError(f"{place}: not a constraint; expected measures compared with <=, >= or ==.\n    {text}")
        subject_to.append(constraint)
    try:
        problem = Problem(candidates, maximize=maximize, subject_to=subject_to, slate=slate)
    except OasisAllocError as error:
        raise ProblemError(f"{file}: {error}") from error
    output = stated.get("output", {})
    return Statement(
        path=path,
        problem=problem,
        solve=stated.get("solve", {}),
        directory=path.parent / output["directory"] if "directory" in output else None,
        format=output.get("format"),
    )


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin files with a byte order mark
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: {error}. Save it as UTF-8.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}.") from error


def _candidates(entry: Mapping[str, Any], folder: Path) -> Candidates:
    frames = {side: read_table(folder / entry[side]) for side in ("pairs", "users", "items") if side in entry}
    others = {name: entry[name] for name in ("user", "item", "columns") if name in entry}
    return Candidates.from_frames(frames.pop("pairs"), **frames, **others)


def _check(stated: Mapping[str, Any], file: str) -> None:
    """Refuse unknown tables and entries, and entries of the wrong type."""
    for table, known in _ENTRIES.items():
        entries = stated if table == "" else stated.get(table, {})
        for name, value in entries.items():
            where = f"{file}: {table}{'.' if table else ''}{name}"
            if name not in known:
                hint = did_you_mean(name, known)
                if table and name in _ENTRIES[""]:  # TOML gives it to the table above it
                    hint = f" Write {name} before the first [table] of the file."
                raise ProblemError(f"{where}: unknown entry.{hint}")
            types = known[name]
            if types is _TABLE and not isinstance(value, dict):
                expected = f"a table: [{name}]" if table == "" else f"a table: {name} = {{artist = 2}}"
                raise ProblemError(f"{where} is {shown(value)}; expected {expected}.")
            wrong = isinstance(value, bool) or not isinstance(value, types)
            if wrong or (types is _TEXTS and not all(isinstance(text, str) for text in value)):
                raise ProblemError(f"{where} is {shown(value)}; expected {_EXPECTED[types]}.")
            for entry in value if types is _NUMBERS else [value] if types in (_NUMBER, _WHOLE) else ():
                if isinstance(entry, int) and abs(entry) > _LARGEST:
                    raise ProblemError(f"{where} is {shown(entry)}; {_TOO_LARGE}")
    chosen = stated.get("output", {}).get("format", FORMATS[0])
    if chosen not in FORMATS:
        raise ProblemError(f"{file}: output.format is {chosen!r}.{did_you_mean(chosen, FORMATS)}")


def _place(source: str, file: str, text: str, entry: str) -> SourcePosition:
    """Find the line on which an expression begins; unknown if the file writes it with escapes."""
    begin = max(source.find(entry.partition("[")[0]), 0)
    quoted = [at for quote in "'\"" if (at := source.find(f"{quote}{text}{quote}", begin)) >= 0]
    at = min(quoted, default=source.find(text, begin))
    line = None if at < 0 or not text.strip() else source.count("\n", 0, at + 1) + 1
    return SourcePosition(file, line, entry)
