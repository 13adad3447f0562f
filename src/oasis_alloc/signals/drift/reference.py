"""What the candidates of a solve bring to a sketch: columns of requests, priced scores, boosts, and labels of users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arrays import objects
from oasis_alloc.common.csr import gather
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.data.keys import Key
from oasis_alloc.errors import InputError
from oasis_alloc.policy import Policy
from oasis_alloc.serving.schema import shown
from oasis_alloc.signals.drift.label_counts import MAX_LABELS
from oasis_alloc.signals.drift.sketch import BOOSTS, SCORES, boosts_of

_PAIRS = 1 << 20  # that are looked at: more would not move the edges of bins


def columns_and_labels(
    candidates: Candidates, policy: Policy | None, keys: Iterable[str] | None
) -> tuple[dict[str, Floats], dict[str, list[Any]]]:
    """See `Sketch.of_candidates`: (columns of some pairs, labels of all users with candidates by key)."""
    if not isinstance(candidates, Candidates):
        raise InputError(f"of_candidates({shown(candidates)}): expected oa.Candidates.")
    if candidates.stream is not None:
        raise InputError(
            "of_candidates(): these candidates are in Parquet files; read a part of them, and use Sketch.of(columns)."
        )
    if not (policy is None or isinstance(policy, Policy)):
        raise InputError(f"of_candidates(policy={shown(policy)}): expected an oa.Policy, or None.")
    asked = None if keys is None else list(keys)
    for key in asked or []:
        if key not in candidates.users:
            raise InputError(f"of_candidates(): the users have no key {key!r}.{did_you_mean(key, candidates.users)}")
    there = np.flatnonzero(np.diff(candidates.indptr) > 0)
    labels = {
        key: labels_of(candidates.users[key])[there].tolist()
        for key in (candidates.users if asked is None else asked)
        if asked is not None or 0 < len(candidates.users[key].labels) <= MAX_LABELS
    }
    users = there[:: max(1, candidates.n_pairs // _PAIRS)]
    indptr, pairs = gather(candidates.indptr, users)
    columns = {name: values[pairs] for name, values in candidates.request_columns.items()}
    if policy is not None:
        columns |= _priced(candidates, policy, users, indptr, pairs, columns)
    return columns, labels


def labels_of(key: Key) -> Any:
    """(n_users,) the label of every user, None without a label."""
    return objects([*key.labels.tolist(), None])[key.codes]  # -1 reads the last one


def _priced(
    candidates: Candidates, policy: Policy, users: Any, indptr: Any, pairs: Any, columns: dict[str, Any]
) -> dict[str, Floats]:
    data = policy.data
    for key in data.user_keys:
        if key not in candidates.users:
            raise InputError(f"of_candidates(): the users have no key {key!r}, which prices depend on.")
    if data.organic not in columns:
        raise InputError(f"of_candidates(): the column {data.organic!r} is missing, which the policy calls organic.")
    numbers = np.arange(candidates.n_items) if candidates.item_ids is None else candidates.item_ids
    items = policy.encode(numbers)[candidates.item[pairs]]
    who = {key: labels_of(candidates.users[key])[users] for key in data.user_keys}
    scores = policy.score_batch(indptr, items, columns, who or None)
    return {SCORES: scores, BOOSTS: boosts_of(scores, columns[data.organic])}
