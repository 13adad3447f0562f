"""Which items and users a request means, and the candidates with the items that are new."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.labels import plain, same, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.data.by_group import Labels
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.new_items import with_new_items
from oasis_alloc.forecast.quote_request import QuoteRequest, moment

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Target(ByFields):
    """The items and users of a request, by number."""

    candidates: Candidates
    items: Flags  # (n_items,)
    users: Flags | None  # (n_users,), None for all
    name: str
    group: tuple[tuple[str, ...], Any] | None = None  # keys and label of a group that is exactly this


def target_of(candidates: Candidates, request: QuoteRequest, now: dt.datetime) -> Target:
    """Find what a request means; `ProblemError` for anything that the candidates do not have."""
    request.check_dates(now)
    where = dict(request.where or {})
    users = _users(candidates, where, request, now)
    name = request.name or _name(request)
    if request.pairs is not None:
        made, new = with_new_items(candidates, request.pairs, request.attributes or {})
        items = np.zeros(made.n_items, np.bool_)
        items[new] = True
        return Target(made, items, users, name)
    items = np.ones(candidates.n_items, np.bool_)
    for key, labels in (request.of or {}).items():
        items &= _with_labels(candidates, "items", key, labels)
    if request.items is not None:
        chosen = np.zeros(candidates.n_items, np.bool_)
        chosen[_numbers(candidates, request.items)] = True
        items &= chosen
    if not items.any():
        raise ProblemError(f"quote: no item is meant: none has all of {request.of}; expected at least one item.")
    return Target(candidates, items, users, name, _group(candidates, request, where))


def _name(request: QuoteRequest) -> str:
    """A name from what is asked."""
    parts = [f"{key} {shown(label)}" for key, label in (request.of or {}).items()]
    if request.items is not None:
        parts.append(f"{len(request.items):,} items")
    if request.pairs is not None:
        parts.append("new items")
    parts += [f"{key} {shown(label)}" for key, label in (request.where or {}).items()]
    return ", ".join(parts).replace("'", "")


def _group(candidates: Candidates, request: QuoteRequest, where: Mapping[str, Any]) -> Any:
    """(keys, label) where a single group of existing keys is what is asked, None elsewhere."""
    of = request.of or {}
    if request.items is not None or len(of) != 1 or request.clock is not None:
        return None
    labels = [*where.values(), *of.values()]
    if any(isinstance(label, (list, tuple, set, frozenset, np.ndarray)) for label in labels):
        return None
    keys = (*where, *of)
    wanted = same(tuple(map(plain, labels)) if len(keys) > 1 else labels[0])
    places = candidates.grouping(keys if len(keys) > 1 else keys[0]).labels
    found = next((label for label in places if same(label) == wanted), None)
    return None if found is None else (keys, found)


def _users(candidates: Candidates, where: Mapping[str, Any], request: QuoteRequest, now: dt.datetime) -> Flags | None:
    """The users that are meant; None for all."""
    out: Flags | None = None
    for key, labels in where.items():
        chosen = _with_labels(candidates, "users", key, labels)
        out = chosen if out is None else out & chosen
        _check_past(key, labels, now)
    if request.clock is not None:
        chosen = _in_flight(candidates, request)
        out = chosen if out is None else out & chosen
    if out is not None and not out.any():
        raise ProblemError(f"quote: no user has all of {dict(where)}; expected at least one user.")
    return out


def _in_flight(candidates: Candidates, request: QuoteRequest) -> Flags:
    """The users whose label of `clock` is a time in the flight."""
    key = request.clock
    assert key is not None  # checked by the caller
    codes, labels = _key(candidates, "users", key)
    first, last = request.flight
    inside = np.zeros(len(labels) + 1, np.bool_)
    for k, label in enumerate(labels):
        when = _time(label)
        if when is None:
            raise ProblemError(f"quote: clock={key!r}: the label {label!r} is not a time; expected ISO 8601 texts.")
        inside[k] = (first is None or when >= first) and (last is None or when <= last)
    if not inside.any():
        raise ProblemError(
            f"quote: no label of {key!r} is in the flight from {request.starts} to {request.ends}; the labels are from "
            f"{labels[0]!r} to {labels[-1]!r}."
        )
    return np.asarray(inside[codes])  # -1 reads the last entry, which is False


def _check_past(key: str, labels: Any, now: dt.datetime) -> None:
    """Refuse labels that are times before now."""
    for label in _as_list(labels):
        when = _time(label)
        is_day = _is_day(label)
        if when is not None and when + (dt.timedelta(days=1) if is_day else dt.timedelta(hours=1)) <= now:
            raise ProblemError(f"quote: where {key}={label!r} is in the past (now is {now:%Y-%m-%d %H:%M} UTC).")


def _is_day(label: Any) -> bool:
    """Whether a time is a whole day, and not a moment of it."""
    if isinstance(label, np.datetime64):
        return np.datetime_data(label)[0] == "D"
    return len(label) <= 10 if isinstance(label, str) else not isinstance(label, dt.datetime)


def _time(label: Any) -> dt.datetime | None:
    """A label as a time in UTC; None if it is not one. A text needs a date with dashes."""
    label = same(label) if isinstance(label, np.datetime64) else label  # its text in ISO 8601
    if isinstance(label, dt.date) or (isinstance(label, str) and len(label) >= 10 and label[4:5] == "-"):
        try:
            return moment("clock", label, last=False)
        except ProblemError:
            return None
    return None


def _as_list(labels: Any) -> list[Any]:
    if isinstance(labels, np.ndarray):
        return list(labels) if labels.dtype.kind == "M" else list(labels.tolist())
    return list(labels) if isinstance(labels, (list, tuple, set, frozenset)) else [labels]


def _key(candidates: Candidates, side: str, key: str) -> tuple[npt.NDArray[Any], Labels]:
    known = candidates.users if side == "users" else candidates.items
    if key not in known:
        raise ProblemError(f"quote: the {side} have no key {key!r}.{did_you_mean(key, list(known))}")
    found = known[key]
    return getattr(found, "codes", np.empty(0)), found.labels.tolist()


def _with_labels(candidates: Candidates, side: str, key: str, labels: Any) -> Flags:
    """Which items or users have one of the labels."""
    _, known = _key(candidates, side, key)
    number = {same(label): k for k, label in enumerate(known)}
    chosen = np.zeros(len(known), np.bool_)
    wanted = _as_list(labels)
    if not wanted:
        raise ProblemError(f"quote: {key}=[] names no label; expected at least one.")
    for label in wanted:
        place = number.get(same(plain(label)))
        if place is None:
            raise ProblemError(
                f"quote: no {side[:-1]} has the label {label!r} of {key!r}.{did_you_mean(label, list(known))}"
                + (" A new campaign is asked for by items= or pairs=, not by a new label." if side == "items" else "")
            )
        chosen[place] = True
    keys: Any = candidates.users if side == "users" else candidates.items
    indptr, codes = keys[key].membership()
    out = np.zeros(indptr.size - 1, np.bool_)
    out[np.repeat(np.arange(indptr.size - 1), np.diff(indptr))[chosen[codes]]] = True
    return out


def _numbers(candidates: Candidates, ids: Any) -> list[int]:
    """Item numbers of ids."""
    out = []
    known = candidates.item_ids
    number = None if known is None else {same(plain(one)): k for k, one in enumerate(known.tolist())}
    if not len(ids):
        raise ProblemError("quote: items=[] names no item; expected at least one.")
    for one in ids:
        if number is not None:
            found = number.get(same(plain(one)))
        else:
            found = plain(one) if isinstance(plain(one), int) and 0 <= plain(one) < candidates.n_items else None
        if found is None:
            raise ProblemError(
                f"quote: items: {one!r} is not an item of the candidates. Candidates of new items are given by pairs=."
            )
        out.append(int(found))
    return out
