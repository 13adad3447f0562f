"""The `[limits]` of a statement: names for the numbers that its expressions use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from reprlib import Repr
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.environment import has_secret, variable_in
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.remote import Files
from oasis_alloc.errors import InputError, ProblemError
from oasis_alloc.problem_file.earlier import Last, saved_allocation
from oasis_alloc.problem_file.tables import read_table
from oasis_alloc.results.organic import best_pairs
from oasis_alloc.statement.slate import Sizes

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates

OF_LEDGER = ("ledger", "name", "by", "since", "until", "pending")
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def read_limits(
    table: Mapping[str, Any], candidates: Candidates, size: Sizes, folder: Files, file: str, last: Last
) -> dict[str, Any]:
    """Turn each entry of `[limits]` into a number or a {label: number} table.

    An entry is a number; a table `{label = number, ...}`; a table of a file, `{file = "caps.parquet",
    key = "campaign", value = "cap"}` (`key` may be a list of columns); `{best = "relevance"}`, the largest
    total of a column that slates of `size` can reach with no constraint; `{solution = "monday.solution"}`, the
    allocation of a saved solution, for `stay_close`; or `{ledger = "ledger.db", by = "campaign"}`, what a ledger
    counts as delivered. `folder` is where paths start.
    """
    limits: dict[str, Any] = {}
    labels: _Labels | None = None  # made at first use
    for name, entry in table.items():
        place = f"{file}: limits.{name}"
        if not name.isidentifier():
            raise ProblemError(f"{place}: {name!r} cannot be used in an expression: expected letters, digits and _.")
        if not isinstance(entry, Mapping):
            limits[name] = _number(entry, place)
        elif isinstance(entry.get("file"), str):
            limits[name] = from_file(entry, folder, place)
        elif isinstance(entry.get("best"), str):
            limits[name] = _best(entry, candidates, size, place)
        elif isinstance(entry.get("solution"), str):
            _only(entry, ("solution",), place)
            meant = last.is_meant(entry["solution"])
            limits[name] = saved_allocation(last.path if meant else folder / entry["solution"], candidates)
        elif isinstance(entry.get("ledger"), str):
            limits[name] = _delivered(entry, candidates, folder, place)
        else:
            labels = _Labels(candidates) if labels is None else labels
            found = {label: labels.of(label) for label in entry}
            limits[name] = {found[label]: _number(value, f"{place}.{label}") for label, value in entry.items()}
    return limits


def shown(value: object) -> str:
    """A value for a message: long values are cut, and values that cannot be printed are described."""
    try:
        return _SHORT.repr(value)
    except (ValueError, RecursionError):  # thousands of digits; lists in lists in lists
        return f"{'an' if isinstance(value, int) else 'a'} {type(value).__name__} too long to show"


def _number(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ProblemError(f"{place} is {shown(value)}; expected a number.")
    try:
        return float(value)
    except OverflowError as error:
        expected = "expected at most 1.8e308. Leave a limit out to set none."
        raise ProblemError(f"{place} is {shown(value)}; {expected}") from error


def from_file(entry: Mapping[str, Any], folder: Files, place: str) -> dict[Any, float]:
    """The {label: number} table that a file has: `{file = "caps.parquet", key = "campaign", value = "cap"}`."""
    import narwhals.stable.v2 as nw

    _only(entry, ("file", "key", "value"), place)
    keys = [entry["key"]] if isinstance(entry.get("key"), str) else entry.get("key")
    value = entry.get("value")
    if not isinstance(entry.get("file"), str):
        raise ProblemError(f"{place}: file names a table of labels and numbers.")
    if not isinstance(keys, list) or not keys or not all(isinstance(k, str) for k in keys):
        raise ProblemError(f"{place}: key names the column of labels, or a list of columns.")
    if not isinstance(value, str):
        raise ProblemError(f"{place}: value names the column of numbers.")
    path = folder / entry["file"]
    frame = nw.from_native(read_table(path), eager_only=True)
    for column in (*keys, value):
        if column not in frame.columns:
            raise ProblemError(f"{place}: {path.name} has no column {column!r}.{did_you_mean(column, frame.columns)}")
    columns = [frame[key].to_list() for key in keys]
    labels = columns[0] if len(keys) == 1 else list(zip(*columns, strict=True))
    limits: dict[Any, float] = {}
    for row, (label, number) in enumerate(zip(labels, frame[value].to_list(), strict=True)):
        if label in limits:
            raise ProblemError(
                f"{place}: {path.name}, row {row:,}: {label!r} appears twice; expected one row per label."
            )
        if number is None or number != number:  # an empty cell, or NaN as pandas reads one: no limit
            continue
        limits[label] = _number(number, f"{place}: {path.name}, row {row:,}: {value}")
    return limits


def _delivered(entry: Mapping[str, Any], candidates: Candidates, folder: Files, place: str) -> dict[Any, float]:
    """Delivered amounts of a ledger, of the labels that the candidates have."""
    from oasis_alloc.pacing.ledger import Ledger

    _only(entry, OF_LEDGER, place)
    address, keys = entry["ledger"], entry.get("by")
    listed = [keys] if isinstance(keys, str) else keys
    if not isinstance(listed, list) or not listed or not all(isinstance(key, str) for key in listed):
        raise ProblemError(f"{place}: by names the key of the amounts, or a list of keys.")
    by = listed[0] if len(listed) == 1 else tuple(listed)
    if has_secret(address):
        raise ProblemError(f"{place}: the ledger's address has a password; expected env:NAME, a variable that has it.")
    if "://" not in address and variable_in(address) is None:
        if not (folder / address).is_file():
            raise InputError(f"{place}: {folder / address}: there is no such ledger.")
        address = str(folder / address)
    how = {name: entry[name] for name in ("since", "until", "pending") if name in entry}
    try:
        with Ledger(address, **({"name": entry["name"]} if "name" in entry else {}), by=by) as ledger:
            return ledger.delivered(by=by, among=candidates.groups(by), **how)
    except (InputError, ProblemError) as error:
        raise ProblemError(f"{place}: {error}") from error


def _best(entry: Mapping[str, Any], candidates: Candidates, size: Sizes, place: str) -> float:
    _only(entry, ("best",), place)
    name = entry["best"]
    if name not in candidates.columns:
        raise ProblemError(f"{place}: no column {name!r}.{candidates.no_column(name)}")
    shown = best_pairs(candidates, name, size)
    return float(candidates.columns[name][shown].sum(dtype=np.float64))


class _Labels:
    """Labels by their spelling in TOML, whose keys are all texts: the text itself if it is a label, else its value."""

    def __init__(self, candidates: Candidates) -> None:
        self._texts: set[str] = set()
        self._others: dict[str, Any] = {}
        for side in (candidates.users, candidates.items):
            for name in side:
                try:
                    labels = side[name].labels.tolist()
                except InputError:  # a column that cannot be a key is ignored until it is used
                    continue
                self._texts.update(label for label in labels if isinstance(label, str))
                for label in labels:
                    for spelling in _spellings(label):
                        self._others.setdefault(spelling, label)

    def of(self, text: str) -> Any:
        return text if text in self._texts else self._others.get(text, text)


def _spellings(label: Any) -> tuple[str, ...]:
    """How a label that is not a text is written in TOML: 7, 0.5, true, 2026-11-01."""
    if isinstance(label, str):
        return ()
    if isinstance(label, bool):
        return ("true" if label else "false",)
    if isinstance(label, datetime):
        return label.isoformat(), label.isoformat(" ")
    return (label.isoformat(),) if isinstance(label, date) else (str(label),)


def _only(entry: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for word in entry:
        if word not in known:
            raise ProblemError(f"{place}: unknown entry {word!r}.{did_you_mean(word, known)}")
