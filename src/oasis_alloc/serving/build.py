"""Turns a solved problem into the data of a policy."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.digests import content
from oasis_alloc.common.labels import as_listed, storable
from oasis_alloc.common.types import Ints
from oasis_alloc.data.calibrated import labels_of, serving_rows
from oasis_alloc.data.column_map import ColumnMap
from oasis_alloc.data.keys import Key
from oasis_alloc.errors import ProblemError
from oasis_alloc.serving.data import (
    Certificate,
    Codes,
    ColumnCalibration,
    ConstraintPrices,
    Decrements,
    ItemKey,
    Known,
    PolicyData,
    PriceTerm,
    SlateRule,
)
from oasis_alloc.serving.exploration import Exploration
from oasis_alloc.serving.schema import names_of, shown

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.problem import Problem
    from oasis_alloc.results.answer import Answer
    from oasis_alloc.statement.slate import Slate

_FOREVER = 1e15  # seconds: later ends count as never
_MAX_SLOTS = 2**31 - 1  # a slate never has more than there are candidates
_MAX_USERS = 1 << 24  # up to which a policy knows users by number by default


def policy_data(
    solution: Answer,
    valid_for: float | None,
    organic: str | None,
    users: bool | None,
    exploration: Mapping[str, Any] | None,
) -> PolicyData:
    """Collect the data for serving from a solution; see `Solution.policy`."""
    from oasis_alloc.program.lowering import base_terms, lower

    solution.raise_if_infeasible()
    problem, cands = solution.problem, solution.problem.candidates
    ranked_by = _organic(problem, organic)
    program = lower(problem, unweighted=True)
    prices = [solution.prices[block.name] for block in program.blocks]
    base = program.base_prices(np.concatenate(prices) if prices else np.empty(0))

    terms: list[PriceTerm] = []
    places: dict[tuple[str | None, tuple[str, ...]], int] = {}
    start = 0
    for column, by in base_terms(problem):
        places[column, by] = len(terms)
        labels = cands.groups(by or None)
        price = readonly(np.array(base[start : start + len(labels)], np.float64))
        on_items = tuple(key for key in by if key in cands.items)
        on_users = tuple(key for key in by if key in cands.users)
        terms.append(PriceTerm(column, by, on_items, on_users, _codes(cands, by, labels), price))
        start += len(labels)
    constraints = tuple(
        ConstraintPrices(
            name, f.measure.by, _codes(cands, f.measure.by, problem.labels(name)),
            readonly(np.array(solution.prices[name], np.float64)),
            tuple((places[term.column, term.by], term.coefficient) for term in f.measure.terms),
        )
        for name, f in zip(problem.names, problem.functions, strict=True)
    )  # fmt: skip

    weights = _weights(solution)
    named = [column for column, _ in weights if column is not None]
    named += sorted({term.column for term in terms if term.column is not None})
    named += [*problem.slate.keep, ranked_by]
    wanted = dict.fromkeys([*(key for term in terms for key in term.item_keys), *problem.slate.keys])
    user_keys = list(dict.fromkeys(key for term in terms for key in term.user_keys))
    maps = {name: cands.calibration[name] for name in dict.fromkeys(named) if name in cands.calibration}
    of_maps = dict.fromkeys(one.key for one in maps.values() if one.key is not None)
    user_keys += [key for key in of_maps if key in cands.users and key not in user_keys]
    wanted |= {key: None for key in of_maps if key in cands.items}
    segments, segment_of_user = _segments(cands, user_keys)
    known = cands.n_users <= _MAX_USERS if users is None else users
    ids = None if cands.item_ids is None else storable(as_listed(cands.item_ids))
    created = time.time()
    parts: dict[str, Any] = {
        "certificate": Certificate(
            solution.status.name, solution.value, solution.bound, solution.gap, solution.violation, solution.passes,
            solution.solver,
        ),
        "columns": tuple(dict.fromkeys(named)),
        "weights": weights,
        "terms": tuple(terms),
        "constraints": constraints,
        "n_items": cands.n_items,
        "items": ids,
        "rank": _rank(ids),
        "item_keys": {key: _item_key(cands, key) for key in wanted},
        "user_keys": {key: storable(cands.users[key].labels.tolist()) for key in user_keys},
        "segments": segments,
        "slate": _slate_rule(problem.slate, known),
        "organic": ranked_by,
        "n_users": cands.n_users if known else 0,
        "segment_of_user": segment_of_user if known else None,
        "exploration": None if exploration is None else dict(exploration),
        "known": Known(tuple(names_of(cands.users)), tuple(names_of(cands.items))),
    }  # fmt: skip
    parts["calibration"] = tuple(_calibration(cands, name, one) for name, one in maps.items())
    valid_until = None if valid_for is None else created + _positive(valid_for)
    return PolicyData(policy_id=content_id(parts), created=created, valid_until=valid_until, **parts)


def content_id(parts: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that are the same for the same content, in every process.

    Without calibrations they are those that policies had before there were any.
    """
    digest = hashlib.sha256()
    for chunk in content({name: part for name, part in parts.items() if name != "calibration" or part}):
        digest.update(chunk)
    return digest.hexdigest()[:16]


def check_policy_options(problem: Problem, options: Mapping[str, Any]) -> None:
    """Raise what `Solution.policy` would raise for these arguments, before there is a solution."""
    _organic(problem, options.get("organic"))
    if options.get("valid_for") is not None:
        _positive(options["valid_for"])
    if options.get("exploration") is not None:
        Exploration.of(options["exploration"]).numbers()


def _organic(problem: Problem, given: str | None) -> str:
    candidates = problem.candidates
    columns = candidates.columns
    if given is not None:
        if given not in columns:
            raise ProblemError(f"policy(organic={given!r}): there is no such column.{candidates.no_column(given)}")
        return given
    linear = problem.maximize.linear
    named = [term.column for term in linear.terms if term.column is not None] if linear is not None else []
    return "relevance" if "relevance" in columns else [*named, *columns][0]


def _positive(seconds: float) -> float:
    real = as_real(seconds)
    if real is None or not 0 < real < _FOREVER:
        raise ProblemError(
            f"policy(valid_for={shown(seconds)}): expected a positive number of seconds below {_FOREVER:.0e} (30 "
            "million years), or None for a policy without an end."
        )
    return real


def name_of_previous(number: int) -> str:
    """The column of requests with the earlier probability of a candidate, for a `stay_close` of an objective."""
    return "previous" if not number else f"previous {number + 1}"


def _weights(solution: Answer) -> tuple[tuple[str | None, float], ...]:
    """The objective's blend; `stay_close` adds a separate column, the pair's earlier probability."""
    linear, columns = solution.problem.maximize.linear, solution.problem.candidates.columns
    out = [(term.column, float(term.coefficient)) for term in linear.terms] if linear is not None else []
    for number, kept in enumerate(solution.problem.maximize.steady):
        name = name_of_previous(number)
        if name in columns:
            raise ProblemError(
                f"the candidates have a column {name!r}. This name is reserved: requests give the earlier probability "
                "of a candidate under it, which stay_close() needs. Rename the column."
            )
        out.append((name, float(kept.weight)))
    return tuple(out)


def _codes(cands: Candidates, by: tuple[str, ...], labels: Sequence[Any]) -> Codes:
    """(n_groups, len(by)) the labels of groups as codes."""
    out = np.zeros((len(labels), len(by)), np.int32)
    for k, key in enumerate(by):
        side = cands.items[key] if key in cands.items else cands.users[key]
        code = {label: number for number, label in enumerate(side.labels.tolist())}
        out[:, k] = [code[label if len(by) == 1 else label[k]] for label in labels]
    return readonly(out)


def _calibration(cands: Candidates, name: str, one: ColumnMap) -> ColumnCalibration:
    if one.key is None:
        return ColumnCalibration(name, None, readonly(np.zeros(0, np.int32)), one.x, readonly(one.y[:1]))
    labels, _ = labels_of(cands, one, name)
    codes, y = serving_rows(one, labels)
    return ColumnCalibration(name, one.key, codes, one.x, y)


def _item_key(cands: Candidates, name: str) -> ItemKey:
    key = cands.items[name]
    labels = storable(key.labels.tolist())
    if isinstance(key, Key):
        return ItemKey(labels, key.codes)
    return ItemKey(labels, key.codes, key.indptr)


def _segments(cands: Candidates, keys: Sequence[str]) -> tuple[Codes, Any]:
    """(the distinct codes of users, segment of each user)."""
    if not keys:
        return readonly(np.zeros((1, 0), np.int32)), readonly(np.zeros(cands.n_users, np.uint32))
    codes = np.stack([cands.users[key].codes for key in keys], axis=1)
    segments, of_user = np.unique(codes, axis=0, return_inverse=True)
    return readonly(segments.astype(np.int32)), readonly(of_user.reshape(-1).astype(np.uint32))


def _rank(ids: tuple[Any, ...] | None) -> Ints | None:
    """Places of ids in their own order; None if that is the order of the items' numbers, or if there are no ids."""
    if ids is None:
        return None
    try:
        order = sorted(range(len(ids)), key=ids.__getitem__)
    except TypeError:
        return None
    if order == list(range(len(ids))):
        return None
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids))
    return readonly(rank)


def _slate_rule(slate: Slate, by_user: bool) -> SlateRule:
    size, at_least = slate.size, slate.at_least
    diminishing = {
        key: Decrements(readonly(np.zeros(1)), step) if isinstance(step, float) else Decrements(step)
        for key, step in slate.diminishing.items()
    }
    return SlateRule(
        size=min(size, _MAX_SLOTS) if isinstance(size, int) else max(1, int(size.max(initial=1))),
        at_least=min(at_least, _MAX_SLOTS) if isinstance(at_least, int) else 0,
        at_most={key: min(cap, _MAX_SLOTS) for key, cap in slate.at_most.items()},
        diminishing=diminishing,
        keep=next(iter(slate.keep.items()), None),
        slot_weights=slate.slot_weights,
        size_by_user=size if by_user and not isinstance(size, int) else None,
        at_least_by_user=at_least if by_user and not isinstance(at_least, int) else None,
    )
