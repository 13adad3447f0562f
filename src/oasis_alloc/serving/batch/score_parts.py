"""Boosts and slates of all users, made on a cluster partition by partition, as `Policy.to_parquet` makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.data.partition_manifest import Partition
from oasis_alloc.engines.ray.parts import Parts, UserIds, partitions_of
from oasis_alloc.serving.batch.export import ROWS, answers_by_part, check_candidates

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.serving.batch.batched import Batched


def score_parts(policy: Batched, encode: Callable[[Any], Any], candidates: Candidates, about: dict[str, Any]) -> Parts:
    """What `RayEngine.write_scores` writes."""
    check_candidates(policy, candidates)
    partitions_of(candidates, "write_scores")
    return Parts("write_scores", "_scores.json", about, _rows, (policy, encode, candidates), lambda _: None)


def _rows(shared: Any, about: Partition, own: None) -> Iterator[Any]:
    import pyarrow as pa

    policy, encode, candidates = shared
    ids, users = UserIds(candidates.stream, about), (about.first_user, about.first_user + about.n_users)
    for _, _, rows in answers_by_part(policy, encode, candidates, ROWS, users):
        yield pa.table({**rows, candidates.user_name: ids.of(np.asarray(rows[candidates.user_name]))})
