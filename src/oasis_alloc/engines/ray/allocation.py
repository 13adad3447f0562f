"""The allocation as files of the partitions: ids of users and items, and the probability of each pair shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.types import Ints
from oasis_alloc.data.partition_manifest import Partition
from oasis_alloc.data.row_groups import Dataset
from oasis_alloc.engines.ray.decision import Recipe
from oasis_alloc.engines.ray.partial import Divided, Part
from oasis_alloc.engines.ray.parts import Parts, UserIds, partitions_of
from oasis_alloc.engines.shown import NonZeros
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
    def _nonzeros(self) -> NonZeros: ...

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
    recipe: Recipe | None  # of the pairs that are shown, where this process does not have them


def allocation_parts(solution: Allocated) -> Parts:
    """What `RayEngine.write_allocation` writes."""
    solution.raise_if_infeasible()
    candidates = solution.problem.candidates
    partitions_of(candidates, "write_allocation")
    dataset = candidates.stream
    assert dataset is not None  # of partitions
    divided, indptr = Divided(solution._nonzeros, candidates.indptr), candidates.indptr

    def own(about: Partition) -> tuple[Ints, Part]:
        return indptr[about.first_user : about.first_user + about.n_users + 1], divided.of(about)

    column = answer_names(["x"], (dataset.user, dataset.item))["x"]
    about = {"certificate": certificate(solution), "pairs": solution._nonzeros.size}
    names = Names(dataset, candidates.item_ids, column, divided.recipe)
    return Parts("write_allocation", "_allocation.json", about, _rows, names, own)


def certificate(solution: Allocated) -> dict[str, Any]:
    """The certificate for a manifest."""
    return {
        "status": solution.status.name, "value": solution.value, "bound": solution.bound, "gap": solution.gap,
        "violation": solution.violation, "excluded": list(solution.excluded),
    }  # fmt: skip


def _rows(names: Names, about: Partition, own: tuple[Ints, Part]) -> Iterator[Any]:
    import pyarrow as pa

    starts, part = own
    pairs, x = part.nonzeros(names.recipe, about)
    owner = np.searchsorted(starts, pairs, side="right") - 1 + about.first_user
    data = names.dataset
    item = data.take([data.item], pairs)[data.item].astype(np.int64)
    ids = {data.user: UserIds(data, about).of(owner), data.item: pa.array(np.asarray(names.item_ids)[item])}
    yield pa.table({**ids, names.column: pa.array(x)})
