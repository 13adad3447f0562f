"""Draws from frames: a row per draw and pair, or per draw and user, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.labels import all_same, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Ints
from oasis_alloc.data.frames import values_of
from oasis_alloc.data.validation import as_column, by_name
from oasis_alloc.errors import InputError


def columns_by_draw(
    candidates: Candidates, table: object, draw: str
) -> tuple[dict[str, npt.NDArray[Any]], dict[Any, int]]:
    """`{name: (n_draws, n_pairs)}` of the columns of a frame that the candidates have, and the number of each draw."""
    frame = _columns(table, "pairs")
    user, item = candidates.user_name, candidates.item_name
    for name in (draw, user, item):
        _require(frame, name, "pairs")
    names = [name for name in frame if name in candidates.columns]
    if not names:
        raise InputError(f"pairs has none of the candidates' columns {list(candidates.columns)}; expected one or more.")
    number, labels = _draws(frame[draw], draw)
    n_draws = len(labels)
    users = _numbers(frame[user], candidates.user_ids, candidates.n_users, user)
    items = _numbers(frame[item], candidates.item_ids, candidates.n_items, item)
    key = np.repeat(np.arange(candidates.n_users), np.diff(candidates.indptr)) * candidates.n_items + candidates.item
    order = np.argsort(key, kind="stable")
    wanted = users * candidates.n_items + items
    at = np.minimum(np.searchsorted(key[order], wanted), max(key.size - 1, 0))
    unknown = np.flatnonzero(key[order][at] != wanted) if key.size else np.arange(wanted.size)
    if unknown.size:
        k = int(unknown[0])
        raise InputError(
            f"pairs: row {k:,} has user {_id(candidates.user_ids, users[k])!r} and item "
            f"{_id(candidates.item_ids, items[k])!r}, which are not a candidate; expected the candidates' own pairs."
        )
    pair = order[at]

    def name_of(p: int) -> str:
        owner = int(candidates.user_of(np.array([p]))[0])
        return f"user {_id(candidates.user_ids, owner)!r}, item {_id(candidates.item_ids, int(candidates.item[p]))!r}"

    place = _places(number, pair, n_draws, candidates.n_pairs, "pairs", name_of)
    out = {}
    for name in names:
        column = as_column(f"pairs: column {name!r}", _plain(frame[name]), number.size)
        out[name] = column[place].reshape(n_draws, candidates.n_pairs)
    return out, labels


def supply_by_draw(
    candidates: Candidates, table: object, draw: str, supply: str, known: Mapping[Any, int] | None = None
) -> npt.NDArray[np.float64]:
    """(n_draws, n_users) of a frame with a row per draw and user; `known` has the draws of the frame of pairs."""
    frame = _columns(table, "users")
    for name in (draw, candidates.user_name, supply):
        _require(frame, name, "users")
    number, labels = _draws(frame[draw], draw)
    n_draws = len(labels)
    if known is not None:  # draws are the same by their labels, wherever these appear first
        unlike = [one for one in {**labels, **known} if (one in labels) != (one in known)]
        if unlike:
            there, lacking = ("users", "pairs") if unlike[0] in labels else ("pairs", "users")
            raise InputError(
                f"column {draw!r}: {there} has the draw {shown(unlike[0])}, and {lacking} lacks it "
                f"({len(unlike):,} such draws); expected the same draws in both."
            )
        number = np.array([known[one] for one in labels], np.int64)[number]
    users = _numbers(frame[candidates.user_name], candidates.user_ids, candidates.n_users, candidates.user_name)
    place = _places(
        number, users, n_draws, candidates.n_users, "users", lambda u: f"user {_id(candidates.user_ids, u)!r}"
    )
    column = as_column(f"users: column {supply!r}", _plain(frame[supply]), number.size)
    return column[place].astype(np.float64).reshape(n_draws, candidates.n_users)


def _columns(table: object, what: str) -> Mapping[str, Any]:
    found = by_name(table)
    if found is None:
        raise InputError(f"{what} is {type(table).__name__}; expected a pandas, polars or pyarrow frame.")
    return found


def _require(frame: Mapping[str, Any], name: str, what: str) -> None:
    if name not in frame:
        raise InputError(f"{what} has no column {name!r}.{did_you_mean(name, list(frame))}")


def _plain(column: Any) -> npt.NDArray[Any]:
    return np.asarray(column) if isinstance(column, (np.ndarray, list)) else values_of(column)


def _draws(column: Any, name: str) -> tuple[Ints, dict[Any, int]]:
    """(number of the draw of each row, number by label), in the order of first appearance."""
    places: dict[Any, int] = {}
    number = np.array([places.setdefault(one, len(places)) for one in all_same(np.asarray(_plain(column)))], np.int64)
    if len(places) < 2:
        raise InputError(
            f"column {name!r} has {len(places)} draw; expected 2 or more, or nothing is known of the spread."
        )
    return number, places


def _numbers(column: Any, ids: npt.NDArray[Any] | None, n: int, name: str) -> Ints:
    """The number of the user or item of each row."""
    own = np.arange(n) if ids is None else ids
    place = {one: k for k, one in enumerate(all_same(own))}
    values = np.asarray(_plain(column))
    found = np.array([place.get(one, -1) for one in all_same(values)], np.int64)
    bad = np.flatnonzero(found < 0)
    if bad.size:
        raise InputError(
            f"column {name!r}: row {bad[0]:,} is {shown(values[bad[0]])}, which is not a {name} of the candidates "
            f"({bad.size:,} such rows)."
        )
    return found


def _places(number: Ints, entry: Ints, n_draws: int, n: int, what: str, name_of: Any) -> Ints:
    """The row of every (draw, entry); each has to be there exactly once."""
    key = number * n + entry
    count = np.bincount(key, minlength=n_draws * n)
    bad = np.flatnonzero(count != 1)
    if bad.size:
        draw, missing = divmod(int(bad[0]), n)
        problem = "lacks" if count[bad[0]] == 0 else "has more than one row for"
        raise InputError(
            f"{what}: draw {draw} (in order of appearance) {problem} {name_of(missing)} ({bad.size:,} such "
            "cases); expected one row for every draw and every one of them."
        )
    place = np.empty(n_draws * n, np.int64)
    place[key] = np.arange(key.size)
    return place


def _id(ids: npt.NDArray[Any] | None, number: int) -> Any:
    one = number if ids is None else ids[number]
    return one.item() if isinstance(one, np.generic) else one
