"""The allocation as files of the partitions: ids of users and items, and the probability of each pair shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.partition_manifest import Partition
from oasis_alloc.data.row_groups import Dataset
from oasis_alloc.engines.ray.parts import Parts, UserIds, partitions_of, slice_of
from oasis_alloc.problem import Problem


class Allocated(Protocol):
    """The part of a solution that is written: its certificate and the non-zeros of its allocation."""

    @property
    def problem(self) -> Problem: ...
    @property
    def status(self) -> Any: ...
    @property
    def value(self) -> float: ...
    @property
    def bound(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def violation(self) -> float: ...
    @property
    def excluded(self) -> tuple[dict[str, Any], ...]: ...
    @property
    def pairs(self) -> Ints: ...
    @property
    def x(self) -> Floats: ...

    def raise_if_infeasible(self) -> None:
        """Raise `SolverError` if there is no allocation."""

    def _slate_parts(self, rng: Any) -> Parts:
        """What `RayEngine.write_slates` writes."""


class Scoring(Protocol):
    """The part of a policy that is written: its scores of all candidates."""

    def _score_parts(self, candidates: Candidates) -> Parts:
        """What `RayEngine.write_scores` writes."""


@dataclass(frozen=True, eq=False)
class Names:
    """What the rows of all partitions need: the pairs' files, the ids of the items, the name of the probability."""

    dataset: Dataset
    item_ids: Any
    column: str


def allocation_parts(solution: Allocated) -> Parts:
    """What `RayEngine.write_allocation` writes."""
    solution.raise_if_infeasible()
    candidates = solution.problem.candidates
    partitions_of(candidates, "write_allocation")
    dataset = candidates.stream
    assert dataset is not None  # of partitions
    pairs, x, indptr = solution.pairs, solution.x, candidates.indptr

    def own(about: Partition) -> tuple[Ints, Ints, Floats]:
        first, here = about.first_user, slice_of(pairs, indptr, about)
        owner = np.searchsorted(indptr[first : first + about.n_users + 1], pairs[here], side="right") - 1 + first
        return owner, pairs[here], x[here]

    column = answer_names(["x"], (dataset.user, dataset.item))["x"]
    about = {"certificate": certificate(solution), "pairs": int(pairs.size)}
    names = Names(dataset, candidates.item_ids, column)
    return Parts("write_allocation", "_allocation.json", about, _rows, names, own)


def certificate(solution: Allocated) -> dict[str, Any]:
    """The certificate for a manifest."""
    return {
        "status": solution.status.name, "value": solution.value, "bound": solution.bound, "gap": solution.gap,
        "violation": solution.violation, "excluded": list(solution.excluded),
    }  # fmt: skip


def _rows(names: Names, about: Partition, own: tuple[Ints, Ints, Floats]) -> Iterator[Any]:
    import pyarrow as pa

    owner, pairs, x = own
    data = names.dataset
    item = data.take([data.item], pairs)[data.item].astype(np.int64)
    ids = {data.user: UserIds(data, about).of(owner), data.item: pa.array(np.asarray(names.item_ids)[item])}
    yield pa.table({**ids, names.column: pa.array(x)})
