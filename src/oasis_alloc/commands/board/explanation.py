"""The explanation of one user's slate, as `Policy.explain` gives it, with the labels of every item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.commands.board.group import texts
from oasis_alloc.commands.board.overview import relevance_of, usable
from oasis_alloc.commands.board.state import Board
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError
from oasis_alloc.page.summary import label as as_text
from oasis_alloc.serving.batch.own_requests import columns_of_requests, user_of_request

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.policy import Policy

_SUGGESTED = 50


def explanation(
    board: Board, user: str, k: int | None = None, pinned: tuple[int, ...] = (), exclude: tuple[int, ...] = ()
) -> dict[str, Any]:
    """Why this user is shown these items: one reason per candidate, and the labels of its keys."""
    solution = board.solution
    candidates = solution.problem.candidates
    at = _number_of(board, candidates, user)
    policy: Policy = board.cached(
        "policy", lambda: solution.policy(unproven=True, organic=relevance_of(solution.problem))
    )
    begin, end = int(candidates.indptr[at]), int(candidates.indptr[at + 1])
    items = candidates.item[begin:end].astype(np.int64)
    columns = columns_of_requests(solution.problem, policy.data.columns, slice(begin, end))
    labels = {name: as_text(_label(candidates.users[name], at)) for name in usable(candidates.users)}
    given = user_of_request(policy.data, candidates, at)
    found = policy.explain(items, columns, user=given, k=k, pinned=list(pinned) or None, exclude=list(exclude) or None)
    keys = {name: [_labels_of(candidates, name, int(item)) for item in items] for name in usable(candidates.items)}
    x = np.zeros(end - begin)
    inside = (solution.pairs >= begin) & (solution.pairs < end)
    x[solution.pairs[inside] - begin] = solution.x[inside]
    document = found.to_dict()
    for reason, amount in zip(document["reasons"], x.tolist(), strict=True):
        reason["x"] = amount
        reason["item"] = str(reason["item"])
        reason["rival_item"] = None if reason["rival_item"] is None else str(reason["rival_item"])
    return document | {"user": user, "labels": labels, "keys": keys, "suggested": suggested(board)}


def suggested(board: Board) -> list[str]:
    """Some users to choose from."""
    candidates = board.solution.problem.candidates
    some = np.arange(min(_SUGGESTED, candidates.n_users))
    return texts(some if candidates.user_ids is None else candidates.user_ids[some])


def _number_of(board: Board, candidates: Candidates, user: str) -> int:
    if candidates.user_ids is None:
        if user.isdecimal() and int(user) < candidates.n_users:
            return int(user)
        raise InputError(f"there is no user {user!r}; expected a number from 0 to {candidates.n_users - 1:,}.")
    ids = candidates.user_ids
    places: dict[str, int] = board.cached("users", lambda: {one: k for k, one in enumerate(texts(ids))})
    if user not in places:
        raise InputError(f"there is no user {user!r}.{did_you_mean(user, suggested(board))}")
    return places[user]


def _label(key: Any, at: int) -> Any:
    code = int(key.codes[at])
    return "none" if code < 0 else key.labels[code]


def _labels_of(candidates: Candidates, name: str, item: int) -> str:
    """The label of an item, several with commas, "" without one."""
    indptr, codes = candidates.items[name].membership()
    labels = candidates.items[name].labels
    return ", ".join(str(labels[code]) for code in codes[indptr[item] : indptr[item + 1]].tolist())
