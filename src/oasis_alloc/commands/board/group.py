"""The page of one group, such as a campaign: its limits, where it is shown, and who has the slots it could have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.commands.board.overview import relevance_of, sections, usable
from oasis_alloc.commands.board.state import Board
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError
from oasis_alloc.page.summary import label as as_text
from oasis_alloc.results.answer import supply_weighted

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.solution import Solution

_LABELS, _ITEMS, _RIVALS, _EXAMPLES = 200, 100, 20, 6  # maximum number of rows


def group(board: Board, key: str, label: str) -> dict[str, Any]:
    """Everything about the group `label` of `key`; labels are texts. `InputError` for unknown ones."""
    solution = board.solution
    candidates = solution.problem.candidates
    at = place_of(candidates, key, label)
    made = board.cached(("group", key, at), lambda: _made(board, solution, key, at))
    return made | {"key": key, "label": label, "side": "items" if key in candidates.items else "users"}


def reasons(board: Board, key: str, label: str) -> dict[str, Any]:
    """Why the group gets what it gets, in sentences, as `oa.reasons` gives them."""
    from oasis_alloc.forecast.reasons import reasons as reasons_of

    candidates = board.solution.problem.candidates
    found = candidates.groups(key)[place_of(candidates, key, label)]
    sentences = board.cached(("reasons", key, label), lambda: reasons_of(board.solution, found, by=key).sentences)
    return {"sentences": list(sentences)}


def place_of(candidates: Candidates, key: str, label: str) -> int:
    """The number of the group whose label has this text."""
    known = [*usable(candidates.items), *usable(candidates.users)]
    if key not in known:
        raise InputError(f"there is no key {key!r}.{did_you_mean(key, known)}")
    labels = [as_text(one) for one in candidates.groups(key)]
    if label not in labels:
        raise InputError(f"{key} has no label {label!r}.{did_you_mean(label, labels)}")
    return labels.index(label)


def own_pairs(candidates: Candidates, key: str, at: int) -> npt.NDArray[np.int64]:
    """Positions of the pairs that lie in a group."""
    grouping = candidates.grouping(key)
    users = np.repeat(grouping.user_part, np.diff(candidates.indptr))
    inside, of = grouping.members(users, grouping.item_part[candidates.item])
    own: npt.NDArray[np.int64] = inside[of == at]
    return own


def _made(board: Board, solution: Solution, key: str, at: int) -> dict[str, Any]:
    candidates = solution.problem.candidates
    own = own_pairs(candidates, key, at)
    x = np.zeros(candidates.n_pairs)
    x[solution.pairs] = supply_weighted(solution)
    users = candidates.user_of(own)
    text = as_text(candidates.groups(key)[at])
    all_sections = board.cached("sections", lambda: sections(solution))
    return {
        "limits": [row for section in all_sections for row in _rows(section, key, text)],
        "pairs": int(own.size), "users": int(np.unique(users).size), "shown": float(x[own].sum()),
        "slots": [_by(candidates, name, own, x) for name in _keys_of_users(candidates, key)],
        "items": _items(solution, own, x),
        "rivals": _rivals(candidates, key, at, np.unique(users), x),
        "examples": _examples(candidates, own, users, x),
    }  # fmt: skip


def _rows(section: dict[str, Any], key: str, text: str) -> list[dict[str, Any]]:
    """Rows of a table of limits that are of this label."""
    if key not in section["by"]:
        return []
    part = section["by"].index(key)
    names = ("label", "floor", "delivered", "cap", "price", "worth", "state")
    single = len(section["by"]) == 1
    return [
        {"names": section["names"], "by": section["by"], **{name: section[name][k] for name in names}}
        for k, full in enumerate(section["label"])
        if (full if single else full.split(" · ")[part]) == text
    ]


def _keys_of_users(candidates: Candidates, key: str) -> list[str]:
    return [name for name in usable(candidates.users) if name != key and 1 < candidates.users[name].n_groups <= _LABELS]


def _by(candidates: Candidates, name: str, own: npt.NDArray[np.int64], x: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Candidates, showings and all slots, by a key of the users."""
    grouping = candidates.grouping(name)
    reach = grouping.totals(candidates, own, np.ones(own.size))
    shown = grouping.totals(candidates, own, x[own])
    everything = np.flatnonzero(x)
    slots = grouping.totals(candidates, everything, x[everything])
    return {
        "key": name, "label": [as_text(one) for one in grouping.labels], "candidates": reach.tolist(),
        "shown": shown.tolist(), "slots": slots.tolist(),
    }  # fmt: skip


def _items(solution: Solution, own: npt.NDArray[np.int64], x: npt.NDArray[np.float64]) -> dict[str, Any]:
    candidates = solution.problem.candidates
    column = relevance_of(solution.problem)
    items, at = np.unique(candidates.item[own], return_inverse=True)
    shown = np.bincount(at, x[own], items.size)
    count = np.bincount(at, minlength=items.size)
    some = np.ones(own.size) if column is None else candidates.columns[column][own].astype(np.float64)
    mean = np.bincount(at, some * x[own], items.size)
    order = np.argsort(-shown, kind="stable")[:_ITEMS]
    ids = items if candidates.item_ids is None else candidates.item_ids[items]
    return {
        "column": column, "total": int(items.size), "item": texts(ids[order]), "candidates": count[order].tolist(),
        "shown": shown[order].tolist(),
        "mean": [None if s <= 0 else m / s for s, m in zip(shown[order].tolist(), mean[order].tolist(), strict=True)],
    }  # fmt: skip


def texts(ids: npt.NDArray[Any]) -> list[str]:
    """Ids as texts."""
    return [str(one) for one in np.asarray(ids).tolist()]


def _rivals(
    candidates: Candidates, key: str, at: int, users: npt.NDArray[np.int64], x: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Who has the slots of the users to whom this group could be shown."""
    could = np.zeros(candidates.n_users, bool)
    could[users] = True
    shown = np.flatnonzero(x)
    shown = shown[could[candidates.user_of(shown)]]
    grouping = candidates.grouping(key)
    totals = grouping.totals(candidates, shown, x[shown])
    everything, own = float(x[shown].sum()), float(totals[at])
    totals[at] = 0.0
    order = [k for k in np.argsort(-totals, kind="stable")[:_RIVALS].tolist() if totals[k] > 0]
    rest = max(everything - own - float(totals.sum()), 0.0)  # of no group; items of several groups count in each
    return {
        "slots": everything, "own": own, "label": [as_text(grouping.labels[k]) for k in order],
        "shown": [float(totals[k]) for k in order], "without": rest,
        "others": max(float(totals.sum()) - sum(float(totals[k]) for k in order), 0.0),
    }  # fmt: skip


def _examples(
    candidates: Candidates, own: npt.NDArray[np.int64], users: npt.NDArray[np.int64], x: npt.NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Users to look at: some to whom it is shown, some to whom it could be."""
    out: list[dict[str, Any]] = []
    for is_shown in (True, False):
        where = own[x[own] > 0.5] if is_shown else own[x[own] == 0]
        found: Sequence[int] = np.unique(users[np.searchsorted(own, where)])[:_EXAMPLES].tolist()
        ids = np.array(found) if candidates.user_ids is None else candidates.user_ids[np.array(found, np.int64)]
        out += [{"user": user, "shown": is_shown} for user in texts(ids)]
    return out
