"""Checks of the input, before anything is solved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.labels import plain
from oasis_alloc.common.nearest import nearest
from oasis_alloc.errors import ProblemError
from oasis_alloc.publish.jobs.findings import Finding, not_possible, some
from oasis_alloc.publish.jobs.profile import attribute_of, drift_of, users_and_items_without
from oasis_alloc.publish.jobs.promises import Promise, promises

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.problem import Problem


@dataclass(frozen=True)
class _Input:
    """The problem, `{profile, digests}` of this run, and the same of the last run."""

    problem: Problem
    now: Mapping[str, Any]
    last: Mapping[str, Any] | None

    @cached_property
    def promises(self) -> list[Promise]:
        """Of several checks: what slates can reach takes a sort of all pairs."""
        return promises(self.problem)


def check_input(
    problem: Problem, limits: Mapping[str, Any], now: Mapping[str, Any], last: Mapping[str, Any] | None
) -> list[Finding]:
    """The findings of all checks that `limits`, the table [checks], names."""
    found, given = list[Finding](), _Input(problem, now, last)
    for name, limit in limits.items():
        found += _CHECKS[name](given, limit)
    return found


def _fresh(given: _Input, limit: list[str]) -> Iterator[Finding]:
    now, last = given.now, given.last
    for table in limit:
        if last is None or table not in last["digests"]:
            yield not_possible(f"fresh {table}", None)
        else:
            same = now["digests"][table] == last["digests"][table]
            where = (f"{table} is the same as in run {last['run']}",) if same else ()
            yield Finding(f"fresh {table}", not same, None, None, where)


def _rows(given: _Input, limit: list[float]) -> Iterator[Finding]:
    now, last = given.now, given.last
    for table, rows in now["profile"]["rows"].items():
        if last is None or not last["profile"]["rows"][table]:
            yield not_possible(f"rows {table}", limit)
            continue
        before = last["profile"]["rows"][table]
        ratio = rows / before
        passed = limit[0] <= ratio <= limit[1]
        where = () if passed else (f"{rows:,} rows, {before:,} in run {last['run']}",)
        yield Finding(f"rows {table}", passed, ratio, limit, where)


def _users_without_candidates(given: _Input, limit: float) -> Iterator[Finding]:
    candidates = given.problem.candidates
    without = np.flatnonzero(np.diff(candidates.indptr) == 0)
    yield _share("users_without_candidates", without, candidates.n_users, limit, candidates, "users")


def _missing_labels(given: _Input, limit: Mapping[str, float]) -> Iterator[Finding]:
    candidates = given.problem.candidates
    for key, share in limit.items():
        without, count, side = users_and_items_without(candidates, key)
        yield _share(f"missing_labels {key}", without, count, share, candidates, side)


def _new_labels(given: _Input, limit: Mapping[str, float]) -> Iterator[Finding]:
    problem, last = given.problem, given.last
    candidates = problem.candidates
    for key, most in limit.items():
        attribute, count = attribute_of(candidates, key)
        if last is None or key not in last["profile"]["labels"]:
            yield not_possible(f"new_labels {key}", most)
            continue
        known = last["profile"]["labels"][key]
        before, labels = set(known), [str(label) for label in attribute.labels.tolist()]
        new = [code for code, label in enumerate(labels) if label not in before]
        counts = np.bincount(attribute.codes[attribute.codes >= 0], minlength=len(labels))
        share = float(counts[new].sum()) / max(count, 1)
        where = some((_new(labels[code], int(counts[code]), known) for code in new), len(new))
        yield Finding(f"new_labels {key}", share <= most, share, most, () if share <= most else where)


def _new(label: str, count: int, known: Sequence[str]) -> str:
    near = nearest(label, known)
    return f"{label!r} ({count:,})" + (f", perhaps {near[0]!r}" if near else "")


def _drift(given: _Input, limit: float) -> Iterator[Finding]:
    problem, now, last = given.problem, given.now, given.last
    for column in now["profile"]["columns"]:
        if last is None or not last["profile"]["columns"].get(column, {}).get("points"):
            yield not_possible(f"drift {column}", limit)
            continue
        before, here = last["profile"]["columns"][column], now["profile"]["columns"][column]
        distance = drift_of(problem.candidates.columns[column], before)
        mean = "no values; mean" if here["mean"] is None else f"mean {here['mean']:.6g},"
        where = () if distance <= limit else (f"{mean} {before['mean']:.6g} in run {last['run']}",)
        yield Finding(f"drift {column}", distance <= limit, distance, limit, where)


def _range(given: _Input, limit: Mapping[str, list[float]]) -> Iterator[Finding]:
    candidates = given.problem.candidates
    for column, (low, high) in limit.items():
        if column not in candidates.columns:
            raise ProblemError(f"checks.range: no column {column!r}.{candidates.no_column(column)}")
        values = np.asarray(candidates.columns[column])
        bad = np.flatnonzero(~((values >= low) & (values <= high)))
        where = some((_pair(candidates, int(p), values[p]) for p in bad), bad.size)
        yield Finding(f"range {column}", not bad.size, float(bad.size), [low, high], where)


def _without_supply(given: _Input, limit: int) -> Iterator[Finding]:
    bad = [_group(name, label) for name, label, _, possible in given.promises if possible <= 0]
    yield Finding("without_supply", len(bad) <= limit, float(len(bad)), limit, some(bad, len(bad)))


def _promised(given: _Input, limit: float) -> Iterator[Finding]:
    found = [(floor / possible, _group(name, label), floor, possible) for name, label, floor, possible in given.promises
             if possible > 0]  # fmt: skip
    bad = sorted((one for one in found if one[0] > limit), key=lambda one: -one[0])
    where = [f"{group} promises {floor:,.6g} of {possible:,.6g}" for _, group, floor, possible in bad]
    largest = max((one[0] for one in found), default=0.0)
    yield Finding("promised", not bad, largest, limit, some(where, len(where)))


def _group(name: str, label: Any) -> str:
    return name if label is None else f"{name} of {label!r}"


def _share(name: str, bad: Any, count: int, limit: float, candidates: Candidates, side: str) -> Finding:
    share = bad.size / max(count, 1)
    where = () if share <= limit else some((_id(candidates, int(k), side) for k in bad), bad.size)
    return Finding(name, share <= limit, share, limit, where)


def _id(candidates: Candidates, number: int, side: str) -> str:
    ids = candidates.user_ids if side == "users" else candidates.item_ids
    what = candidates.user_name if side == "users" else candidates.item_name
    return f"{what} {number if ids is None else plain(ids[number])!r}"


def _pair(candidates: Candidates, pair: int, value: Any) -> str:
    user, item = int(candidates.user_of(np.array([pair]))[0]), int(candidates.item[pair])
    row = "" if candidates.row is None else f"row {candidates.row[pair]:,}, "
    return f"{row}{_id(candidates, user, 'users')}, {_id(candidates, item, 'items')}: {value:g}"


_CHECKS: dict[str, Callable[[_Input, Any], Iterator[Finding]]] = {
    "fresh": _fresh, "rows": _rows, "users_without_candidates": _users_without_candidates,
    "missing_labels": _missing_labels, "new_labels": _new_labels, "drift": _drift, "range": _range,
    "without_supply": _without_supply, "promised": _promised,
}  # fmt: skip
