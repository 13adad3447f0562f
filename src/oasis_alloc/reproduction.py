"""A problem as one file that the maintainers can solve again; attach it to a report of a wrong answer."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.remote_path import AnyPath, name_of
from oasis_alloc.common.tensors import read_named, write_tensors
from oasis_alloc.data.multi_keys import MultiKey
from oasis_alloc.errors import InputError, OasisAllocError, ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.solution import Solution
from oasis_alloc.solve import solve
from oasis_alloc.statement.stated import Tensors, Writer, read
from oasis_alloc.statement.stay_close import Earlier, StayClose

_KIND = "oasis_alloc reproduction 1"
_NUMBERS = ("solver", "gap", "time_limit", "pass_limit", "threads", "on_conflict")
_BY_NAME = ("start", "relax_weights")  # {constraint: {label: number}}
_PACKAGES = ("oasis_alloc", "numpy", "scipy", "numba", "highspy", "cvxpy")
_PARTS = ("maximize", "subject_to", "slate", "supply")


@dataclasses.dataclass(frozen=True, eq=False)
class Reproduction:
    """A problem read from a reproduction file, with the settings and the versions that it was solved with.

    - `problem`: equal to the original in every number; labels are numbers if the file is anonymized.
    - `settings`: keyword arguments of `solve`.
    - `versions`: of the packages and the machine that wrote the file, by name.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
    >>> problem = oa.Problem(cands, oa.total("r"), [oa.exposure(by="song") <= {"a": 0.5}], oa.Slate(1))
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oa.write_reproduction(problem, f"{folder}/report.oasis", settings={"gap": 1e-6})
    ...     again = oa.read_reproduction(f"{folder}/report.oasis")
    >>> again.problem.subject_to[0], again.settings
    (exposure(by="song") <= {0: 0.5}, {'gap': 1e-06})
    >>> round(again.solve().value, 6)
    0.7
    """

    problem: Problem
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    def solve(self, **changes: Any) -> Solution:
        """Solve the problem with the settings of the file, except for `changes`."""
        return solve(self.problem, **{**self.settings, **changes})


@suggesting
def write_reproduction(
    problem: Problem,
    path: AnyPath,
    *,
    settings: Mapping[str, Any] | None = None,
    anonymize: bool = True,
) -> None:
    """Write a problem to one file from which the same solve can be repeated, to attach to a report.

    The file has the pairs, the columns and keys that the problem names, its statement, the settings and the versions of
    the packages; pairs that stay in Parquet files are read into memory for it. It is a safetensors container without
    code, and `read_reproduction` gives the problem back.

    Parameters
    ----------
    problem
        The problem that was solved, or could not be solved.
    path
        The file; an existing one is replaced.
    settings
        Keyword arguments of the `solve` call: `solver`, `gap`, `time_limit`, `pass_limit`, `threads`,
        `on_conflict`, `relax_weights`, `start`.
    anonymize
        Labels become the numbers 0, 1, ... in their order. False keeps labels that are texts, numbers, booleans or
        dates. Ids of users and items are never written. Names of columns, keys and constraints, and all
        numbers, are kept: they are part of the problem.

    Raises
    ------
    ProblemError
        For settings that `solve` does not have.
    InputError
        For functions that are not of this package, labels that cannot be written, and a path with a null character.
    OSError
        If the file cannot be written.

    Example
    -------
    >>> import os, tempfile, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oa.write_reproduction(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)), f"{folder}/report.oasis")
    ...     os.listdir(folder)
    ['report.oasis']
    """
    if not isinstance(problem, Problem):
        raise ProblemError(f"write_reproduction() takes an oa.Problem, got {type(problem).__name__}.")
    candidates = problem.candidates
    users, items, columns = _used(problem)
    keys: dict[str, Any] = {name: candidates.users[name] for name in users}
    keys |= {name: candidates.items[name] for name in items}
    number = {name: _Numbers(key.labels.tolist()) for name, key in keys.items()}

    def label_of(by: tuple[str, ...], label: Any) -> Any:
        if not anonymize or not by:  # without keys there is one group, whose label is None
            return label
        if len(by) == 1:
            return number[by[0]].of(label)
        return tuple(number[key].of(part) for key, part in zip(by, label, strict=True))

    writer = Writer(label_of, lambda steady: steady.earlier.everywhere(candidates))
    stated = {part: writer.write(getattr(problem, part)) for part in _PARTS}
    asked = {name: _setting(problem, writer, name, value) for name, value in (settings or {}).items()}
    labels = {} if anonymize else {name: writer.write(key.labels.tolist()) for name, key in keys.items()}
    tensors = {
        **_pairs(candidates, columns), **writer.tensors,
        **{f"users/{name}": _codes(keys[name]) for name in users},
        **{f"items/{name}": _codes(keys[name]) for name in items if not isinstance(keys[name], MultiKey)},
        **{f"items-of/{name}": keys[name].indptr for name in items if isinstance(keys[name], MultiKey)},
        **{f"items-in/{name}": keys[name].codes for name in items if isinstance(keys[name], MultiKey)},
    }  # fmt: skip
    about = {
        "statement": json.dumps(stated),
        "settings": json.dumps(asked),
        "labels": json.dumps(labels),
        "n_items": str(candidates.n_items),
        "versions": json.dumps(_versions()),
    }
    write_tensors(path, _KIND, tensors, about)


@suggesting
def read_reproduction(path: AnyPath) -> Reproduction:
    """Read a file of `write_reproduction`; no code in it is run.

    Raises `InputError` if it cannot be read, is damaged, or is another kind of file.

    >>> import tempfile, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oa.write_reproduction(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)), f"{folder}/report.oasis")
    ...     oa.read_reproduction(f"{folder}/report.oasis").problem.slate.size
    1
    """
    tensors, about = read_named(path, _KIND)
    try:
        return _made(tensors, about)
    except (OasisAllocError, KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise InputError(
            f"{name_of(path)} does not hold a problem ({type(error).__name__}: {error}). Another version may have "
            f"written it: {about.get('versions', 'it does not say which')}."
        ) from error


def _made(tensors: Tensors, about: Mapping[str, str]) -> Reproduction:
    labels = {name: read(given, tensors, _no_plan) for name, given in json.loads(about["labels"]).items()}
    sides: dict[str, dict[str, Any]] = {"users": {}, "items": {}}
    for name, array in tensors.items():
        side, _, key = name.partition("/")
        if side in sides:
            sides[side][key] = _labeled(array, labels.get(key))
        elif side == "items-of":
            sides["items"][key] = _lists(array, tensors[f"items-in/{key}"], labels.get(key))
    candidates = Candidates.from_arrays(
        tensors["indptr"],
        tensors["item"],
        {name.removeprefix("column/"): array for name, array in tensors.items() if name.startswith("column/")},
        n_items=int(about["n_items"]),
        **sides,
    )

    def steady(weight: float, at: npt.NDArray[np.int64], y: npt.NDArray[np.float64]) -> StayClose:
        return StayClose(Earlier(candidates, at, y), weight)

    stated = {part: read(value, tensors, steady) for part, value in json.loads(about["statement"]).items()}
    problem = Problem(candidates, **stated)
    settings = {name: read(value, tensors, steady) for name, value in json.loads(about["settings"]).items()}
    for name in _BY_NAME:
        if name in settings:
            settings[name] = {problem.names[k]: value for k, value in settings[name].items()}
    return Reproduction(problem, settings, json.loads(about["versions"]))


class _Numbers:
    """The number of each label of a key, in any form that a statement may use: a date, or its text."""

    def __init__(self, labels: list[Any]) -> None:
        self._exact = {label: k for k, label in enumerate(labels)}
        self._texts = {_text(label): k for k, label in enumerate(labels)}

    def of(self, label: Any) -> int:
        found = self._exact.get(label)
        found = self._texts.get(_text(label)) if found is None else found
        if found is None:
            raise InputError(f"the label {label!r} does not occur in its key, so no number can replace it.")
        return found


def _text(label: Any) -> str:
    return str(label.isoformat() if hasattr(label, "isoformat") else label)


def _used(problem: Problem) -> tuple[list[str], list[str], list[str]]:
    """Keys of the users, keys of the items and columns that the problem names."""
    candidates, slate = problem.candidates, problem.slate
    measures = [function.measure for function in problem.functions]
    if problem.maximize.linear is not None:
        measures.append(problem.maximize.linear)
    terms = [term for measure in measures for term in measure.terms]
    keys = {key for term in terms for key in term.by} | set(slate.keys)
    columns = {term.column for term in terms if term.column is not None} | set(slate.keep)
    if not columns:  # candidates have at least one
        columns = {next(iter(candidates.columns))}
    users = [name for name in candidates.users if name in keys]
    return users, [name for name in candidates.items if name in keys], sorted(columns)


def _pairs(candidates: Candidates, columns: list[str]) -> Tensors:
    everywhere: Any = slice(None)
    if candidates.stream is not None:
        everywhere = np.arange(candidates.n_pairs)
    item = np.asarray(candidates.item[everywhere])
    tensors: Tensors = {"indptr": candidates.indptr}
    tensors["item"] = item.astype(np.int32 if candidates.n_items < 2**31 else np.int64)
    return tensors | {f"column/{name}": np.asarray(candidates.columns[name][everywhere]) for name in columns}


def _codes(key: Any) -> npt.NDArray[np.int32]:
    return np.asarray(key.codes)


def _labeled(codes: npt.NDArray[np.int32], labels: Any) -> Any:
    """The attribute of a key: its codes, or the labels that they stand for."""
    if labels is None:
        return codes
    return [None if code < 0 else labels[code] for code in codes.tolist()]


def _lists(indptr: npt.NDArray[np.int64], codes: npt.NDArray[np.int32], labels: Any) -> list[list[Any]]:
    parts = np.split(codes, indptr[1:-1])
    return [[code if labels is None else labels[code] for code in part.tolist()] for part in parts]


def _setting(problem: Problem, writer: Writer, name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return writer.write(value)
    if name not in _BY_NAME:
        raise ProblemError(
            f"settings: a reproduction does not store {name!r}.{did_you_mean(name, (*_NUMBERS, *_BY_NAME))}"
        )
    given = value.prices_by_label if isinstance(value, Solution) else value
    if value is None or not isinstance(given, Mapping):
        raise ProblemError(f"settings: {name} is {value!r}; expected {{constraint name: {{label: number}}}}.")
    out = []
    for function in given:
        if function not in problem.names:
            hint = did_you_mean(function, problem.names)
            raise ProblemError(f"settings: {name}: nothing is named {function!r}.{hint}")
        k = problem.names.index(function)
        out.append([k, writer.write(given[function], problem.functions[k].measure.by)])
    return {"is": "mapping", "of": out}


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _no_plan(*_: Any) -> StayClose:
    raise InputError("a plan cannot be a label.")
