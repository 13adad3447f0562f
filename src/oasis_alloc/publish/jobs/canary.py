"""Requests of one run, on which the policy of the next one is tried before it is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.documents import jsonable, label_as_json
from oasis_alloc.errors import OasisAllocError

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.policy import Policy

Request = Mapping[str, Any]


def requests_of(candidates: Candidates, policy: Policy, count: int) -> list[dict[str, Any]]:
    """Requests of up to `count` users with candidates, evenly spaced: ids, columns and labels, as JSON."""
    users = np.flatnonzero(np.diff(candidates.indptr) > 0)
    chosen = users[np.unique(np.linspace(0, users.size - 1, min(count, users.size)).astype(np.int64))]
    names = [name for name in policy.data.columns if name in candidates.columns]
    keys = {key: candidates.users[key] for key in policy.data.user_keys}
    labels = {key: of.labels.tolist() for key, of in keys.items()}
    out, ids = [], candidates.item_ids
    for user in chosen.tolist():
        code_of = {key: int(of.codes[user]) for key, of in keys.items() if of.codes[user] >= 0}
        mine = slice(int(candidates.indptr[user]), int(candidates.indptr[user + 1]))
        numbers = candidates.item[mine].astype(np.int64)
        out.append(
            {
                "items": numbers if ids is None else [label_as_json(one) for one in ids[numbers].tolist()],
                "columns": {name: candidates.request_columns[name][mine] for name in names},
                "user": {key: label_as_json(labels[key][code]) for key, code in code_of.items()},
            }
        )
    return list(jsonable(out))


def compare_on(requests: list[Request], before: Policy, after: Policy) -> dict[str, Any]:
    """Number of requests, of slates with other items, and of requests that the new policy cannot answer."""
    changed, failed, first = 0, 0, ""
    for request in requests:
        try:
            now = slate_of(after, request)
        except OasisAllocError as error:
            failed, first = failed + 1, first or str(error)
            continue
        try:
            changed += slate_of(before, request) != now
        except OasisAllocError:  # the old policy cannot answer its own requests: any slate is a change
            changed += 1
    return {"requests": len(requests), "changed": changed, "failed": failed, "first_error": first}


def slate_of(policy: Policy, request: Request) -> set[Any]:
    """The ids of a slate; a column that the request does not have, such as that of `stay_close`, is 0."""
    ids = request["items"]
    columns = {name: request["columns"].get(name, [0.0] * len(ids)) for name in policy.data.columns}
    user = {key: label for key, label in request["user"].items() if key in policy.schema.user_keys}
    items = policy.encode(ids) if policy.data.items is not None else np.asarray(ids, np.int64)
    items = np.where(items < policy.data.n_items, items, -1)
    return {ids[place] for place in policy.select(items, columns, user=user or None).tolist()}
