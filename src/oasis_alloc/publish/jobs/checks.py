"""Checks of the input, before anything is solved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.labels import plain
from oasis_alloc.common.nearest import nearest
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.publish.jobs.findings import Finding, not_possible, some
from oasis_alloc.publish.jobs.profile import attribute_of, drift_of, users_and_items_without

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.problem import Problem
    from oasis_alloc.statement.measures import Measure

_Input = tuple["Problem", Mapping[str, Any], Mapping[str, Any] | None]
"""(the problem, {profile, digests} of this run, the same of the last run)."""


def check_input(
    problem: Problem, limits: Mapping[str, Any], now: Mapping[str, Any], last: Mapping[str, Any] | None
) -> list[Finding]:
    """The findings of all checks that `limits`, the table [checks], names."""
    found: list[Finding] = []
    for name, limit in limits.items():
        found += _CHECKS[name]((problem, now, last), limit)
    return found


def _fresh(given: _Input, limit: list[str]) -> Iterator[Finding]:
    _, now, last = given
    for table in limit:
        if last is None or table not in last["digests"]:
            yield not_possible(f"fresh {table}", None)
        else:
            same = now["digests"][table] == last["digests"][table]
            where = (f"{table} is the same as in run {last['run']}",) if same else ()
            yield Finding(f"fresh {table}", not same, None, None, where)


def _rows(given: _Input, limit: list[float]) -> Iterator[Finding]:
    _, now, last = given
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
    candidates = given[0].candidates
    without = np.flatnonzero(np.diff(candidates.indptr) == 0)
    yield _share("users_without_candidates", without, candidates.n_users, limit, candidates, "users")


def _missing_labels(given: _Input, limit: Mapping[str, float]) -> Iterator[Finding]:
    candidates = given[0].candidates
    for key, share in limit.items():
        without, count, side = users_and_items_without(candidates, key)
        yield _share(f"missing_labels {key}", without, count, share, candidates, side)


def _new_labels(given: _Input, limit: Mapping[str, float]) -> Iterator[Finding]:
    problem, _, last = given
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
    problem, now, last = given
    for column in now["profile"]["columns"]:
        if last is None or not last["profile"]["columns"].get(column, {}).get("points"):
            yield not_possible(f"drift {column}", limit)
            continue
        before, here = last["profile"]["columns"][column], now["profile"]["columns"][column]
        distance = drift_of(problem.candidates.columns[column], before)
        where = () if distance <= limit else (f"mean {here['mean']:.6g}, {before['mean']:.6g} in run {last['run']}",)
        yield Finding(f"drift {column}", distance <= limit, distance, limit, where)


def _range(given: _Input, limit: Mapping[str, list[float]]) -> Iterator[Finding]:
    candidates = given[0].candidates
    for column, (low, high) in limit.items():
        if column not in candidates.columns:
            raise ProblemError(f"checks.range: no column {column!r}.{candidates.no_column(column)}")
        values = np.asarray(candidates.columns[column])
        bad = np.flatnonzero(~((values >= low) & (values <= high)))
        where = some((_pair(candidates, int(p), values[p]) for p in bad), bad.size)
        yield Finding(f"range {column}", not bad.size, float(bad.size), [low, high], where)


def _without_supply(given: _Input, limit: int) -> Iterator[Finding]:
    bad = [_group(name, label) for name, label, _, possible in promises(given[0]) if possible <= 0]
    yield Finding("without_supply", len(bad) <= limit, float(len(bad)), limit, some(bad, len(bad)))


def _promised(given: _Input, limit: float) -> Iterator[Finding]:
    found = [(floor / possible, _group(name, label), floor, possible) for name, label, floor, possible
             in promises(given[0]) if possible > 0]  # fmt: skip
    bad = sorted((one for one in found if one[0] > limit), key=lambda one: -one[0])
    where = [f"{group} promises {floor:,.6g} of {possible:,.6g}" for _, group, floor, possible in bad]
    largest = max((one[0] for one in found), default=0.0)
    yield Finding("promised", not bad, largest, limit, some(where, len(where)))


def promises(problem: Problem) -> list[tuple[str, Any, float, float]]:
    """(constraint, label, floor, a bound on what slates can reach) of every floor above 0, hard or soft."""
    out = []
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        if function.in_constraints:
            floors = bound.band()[0]
            places = np.flatnonzero(np.isfinite(floors) & (floors > 0))
            if places.size:
                labels, highest = problem.labels(name), _reach(problem, function.measure)
                out += [(name, labels[k], float(floors[k]), float(highest[k])) for k in places.tolist()]
    return out


def _reach(problem: Problem, measure: Measure) -> Floats:
    """By group, the sum of every user's largest contributions in as many slots as the slate has."""
    candidates, grouping = problem.candidates, problem.candidates.grouping(measure.by or None)
    values = np.zeros(candidates.n_pairs)
    for term in measure.terms:
        column = 1.0 if term.column is None else np.asarray(candidates.columns[term.column], np.float64)
        # of a share such as exposure(by="licensor") - 0.25 * exposure(), what is subtracted can be 0
        values += np.maximum(term.coefficient * column, 0.0)
    pairs = np.arange(candidates.n_pairs)
    user = candidates.user_of(pairs)
    position, group = grouping.members(grouping.user_part[user], grouping.item_part[candidates.item])
    inside, of = user[position], values[position]
    order = np.lexsort((-of, group, inside))
    inside, group, of = inside[order], group[order], of[order]
    begins = np.concatenate([[True], (np.diff(inside) != 0) | (np.diff(group) != 0)])[: inside.size]
    first = np.flatnonzero(begins)
    rank = np.arange(inside.size) - first[np.cumsum(begins) - 1] if inside.size else np.empty(0, np.int64)
    size = np.broadcast_to(problem.slate.size, candidates.n_users)[inside]
    weight = np.ones(inside.size) if problem.supply is None else problem.supply[inside]
    counts = rank < size
    return np.bincount(group[counts], (of * weight)[counts], grouping.n_groups).astype(np.float64)


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
