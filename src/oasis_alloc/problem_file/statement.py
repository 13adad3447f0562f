"""A problem stated in a TOML file: data, objective and constraints."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.regular_files import read_regular
from oasis_alloc.common.remote import Files, is_remote
from oasis_alloc.common.remote_path import text_in
from oasis_alloc.errors import InputError, OasisAllocError, ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.problem_file.calibrations import read_calibrations
from oasis_alloc.problem_file.earlier import Last, prices_to_start_from
from oasis_alloc.problem_file.entries import ENTRIES, TOO_LARGE, Tables, check_entries
from oasis_alloc.problem_file.expression import SourcePosition, evaluate
from oasis_alloc.problem_file.limits import from_file, read_limits
from oasis_alloc.problem_file.tables import read_table
from oasis_alloc.problem_file.uncertain import UNCERTAINTY, check_tables, read_uncertainty
from oasis_alloc.statement.slate import Slate

FORMATS = ("parquet", "csv")
_PER_USER = ("size", "at_least", "supply")  # entries that may have a number per user


@dataclass(frozen=True)
class Statement:
    """A problem read from a file, with its `[solve]` and `[output]`.

    `solve` are keyword arguments of `oasis_alloc.solve`. If the file has `[uncertainty]`, they are keyword arguments of
    `oasis_alloc.solve_uncertain`, and so are those of `uncertainty`, which is None in other files. `directory` and
    `format` are None where not given; `stated` is the file as TOML has it.
    """

    path: Path
    problem: Problem
    solve: Mapping[str, Any]
    directory: str | None
    format: str | None
    stated: Mapping[str, Any]
    uncertainty: Mapping[str, Any] | None = None


def read_statement(
    path: Path,
    more: Tables | None = None,
    last: Path | None = None,
    files: Files | None = None,
    by_risk: bool = False,
) -> Statement:
    """Read a statement and the data it names; relative paths start at the statement's own folder, and those of
    object storage are copied first; `files` has such copies.

    `more` are tables that the file may have in addition, with their entries: those of a job. `last` is the solution
    that "last run" means in a job; without it there is nothing to start from or to stay close to. `by_risk` says that
    the caller solves by risk what has `[uncertainty]`; other callers would solve another problem, so it is refused.

    Raises `InputError` for files that cannot be read and data that are invalid, `ProblemError` for an
    invalid statement, with the line if it is known.
    """
    source = read_source(path)
    try:
        return _read(source, path, _known_entries(more or {}), Last(more is not None, last), files, by_risk)
    except OasisAllocError:
        raise
    except (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:  # numbers beyond any array
        what = str(error) or type(error).__name__
        raise ProblemError(f"{path.name}: cannot build a problem from this file: {what}.") from error


def _known_entries(more: Tables) -> Tables:
    top = {**ENTRIES[""], **more.get("", {})}
    return {**ENTRIES, **more, "": top}


def parsed(source: str, file: str) -> dict[str, Any]:
    """The text of a file as TOML; raises `ProblemError`."""
    try:
        return tomllib.loads(source)
    except RecursionError as error:
        raise ProblemError(f"{file}: lists or tables are nested too deeply.") from error
    except tomllib.TOMLDecodeError as error:
        raise ProblemError(f"{file}: not valid TOML: {error}.") from error
    except (ValueError, OverflowError) as error:  # of numbers that Python refuses to read, and of dates
        if "integer string conversion" in str(error):
            raise ProblemError(f"{file}: a whole number has thousands of digits; {TOO_LARGE}") from error
        raise ProblemError(f"{file}: not valid TOML: {error}.") from error


def _read(source: str, path: Path, known: Tables, last: Last, files: Files | None, by_risk: bool) -> Statement:
    file = path.name
    stated = parsed(source, file)
    check_entries(stated, file, known)
    if UNCERTAINTY in stated:
        if not by_risk:
            raise ProblemError(
                f"{file}: [{UNCERTAINTY}] is solved by oasis-alloc solve and oasis-alloc run only. To use the problem "
                "without it elsewhere, remove the table."
            )
        check_tables(stated, file)
    chosen = stated.get("output", {}).get("format", FORMATS[0])
    if chosen not in FORMATS:
        raise ProblemError(f"{file}: output.format is {chosen!r}.{did_you_mean(chosen, FORMATS)}")
    if "pairs" not in stated.get("candidates", {}):
        raise ProblemError(f'{file}: [candidates] must name a file: pairs = "pairs.parquet".')
    for name in ("vary", "points"):
        if name not in stated.get("frontier", {"vary": "", "points": ""}):
            raise ProblemError(f"{file}: [frontier] must have {name}: vary = 'caps', points = [10, 20].")
    if "maximize" not in stated:
        raise ProblemError(f"{file}: maximize is missing; expected for example maximize = 'total(\"relevance\")'.")
    files = Files(path.parent) if files is None else files
    candidates = _candidates(stated["candidates"], files, f"{file}: candidates")
    try:
        slate = Slate(**{"size": 1, **_by_user(stated.get("slate", {}), files, f"{file}: slate.")})
    except ProblemError as error:
        raise ProblemError(f"{file}: {error}") from error
    size = slate.laid_out(candidates).size
    limits = read_limits(stated.get("limits", {}), candidates, size, files, file, last)
    maximize = evaluate(stated["maximize"], limits, _place(source, file, stated["maximize"], "maximize"))
    subject_to = []
    for number, text in enumerate(stated.get("subject_to", [])):
        place = _place(source, file, text, f"subject_to[{number}]")
        constraint = evaluate(text, limits, place)
        if not hasattr(constraint, "bind"):
            raise ProblemError(f"{place}: not a constraint; expected measures compared with <=, >= or ==.\n    {text}")
        subject_to.append(constraint)
    supply = _by_user({"supply": stated.get("supply")}, files, f"{file}: ")["supply"]
    try:
        problem = Problem(candidates, maximize=maximize, subject_to=subject_to, slate=slate, supply=supply)
    except OasisAllocError as error:
        raise ProblemError(f"{file}: {error}") from error
    output = stated.get("output", {})
    return Statement(
        path=path,
        problem=problem,
        solve=_options(stated.get("solve", {}), problem, limits, files, file, last),
        directory=text_in(path.parent, output["directory"]) if "directory" in output else None,
        format=output.get("format"),
        stated=stated,
        uncertainty=read_uncertainty(stated[UNCERTAINTY], problem, files, file) if UNCERTAINTY in stated else None,
    )


def _by_user(entries: Mapping[str, Any], folder: Files, place: str) -> dict[str, Any]:
    """Entries, with {id: number} for tables of a file that have a number per user."""
    return {
        name: from_file(value, folder, f"{place}{name}") if name in _PER_USER and isinstance(value, dict) else value
        for name, value in entries.items()
    }


def _options(
    entries: Mapping[str, Any], problem: Problem, limits: Mapping[str, Any], files: Files, file: str, last: Last
) -> dict[str, Any]:
    """The keyword arguments of `oasis_alloc.solve` that `[solve]` states."""
    out = dict(entries)
    for name in ("checkpoint", "resume"):
        if name in out and not is_remote(out[name]):
            out[name] = files.folder / out[name]
    if last.is_meant(out.get("start")):
        out["start"] = None if last.path is None else prices_to_start_from(last.path, problem)
    elif "start" in out:
        out["start"] = prices_to_start_from(files / out["start"], problem)
    if "relax_weights" in out:
        weights = out["relax_weights"] = dict(out["relax_weights"])
        for name, weight in weights.items():
            if isinstance(weight, str):
                if weight not in limits:
                    raise ProblemError(
                        f"{file}: solve.relax_weights: {name!r} has {weight!r}, which [limits] does not have."
                        f"{did_you_mean(weight, list(limits))}"
                    )
                weights[name] = limits[weight]
    return out


def read_source(path: Path) -> str:
    """The text of a TOML file; raises `InputError`."""
    try:
        return read_regular(path).decode("utf-8-sig")  # some editors begin files with a byte order mark
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}. Save it as UTF-8.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}.") from error


def _candidates(entry: Mapping[str, Any], folder: Files, place: str) -> Candidates:
    frames = {side: read_table(folder / entry[side]) for side in ("pairs", "users", "items") if side in entry}
    others = {name: entry[name] for name in ("user", "item", "columns", "uncertainty") if name in entry}
    candidates = Candidates.from_frames(frames.pop("pairs"), **frames, **others)
    maps = read_calibrations(entry.get("calibrated", {}), folder, f"{place}.calibrated")
    return candidates.calibrated(maps) if maps else candidates


def _place(source: str, file: str, text: str, entry: str) -> SourcePosition:
    """Find the line on which an expression begins; unknown if the file writes it with escapes."""
    begin = max(source.find(entry.partition("[")[0]), 0)
    quoted = [at for quote in "'\"" if (at := source.find(f"{quote}{text}{quote}", begin)) >= 0]
    at = min(quoted, default=source.find(text, begin))
    line = None if at < 0 or not text.strip() else source.count("\n", 0, at + 1) + 1
    return SourcePosition(file, line, entry)
