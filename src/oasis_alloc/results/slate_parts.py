"""Whole slates that are drawn on a cluster, partition by partition, with the bits that `Solution.round` draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.seeds import Rng, as_seed
from oasis_alloc.common.types import Ints
from oasis_alloc.data.partition_manifest import Partition
from oasis_alloc.data.row_groups import Dataset
from oasis_alloc.engines.ray.allocation import certificate
from oasis_alloc.engines.ray.decision import Recipe
from oasis_alloc.engines.ray.partial import Divided, Part
from oasis_alloc.engines.ray.parts import Parts, UserIds, partitions_of
from oasis_alloc.program.slate_rules import System, systems_of
from oasis_alloc.results.draw_blocks import Drawing

if TYPE_CHECKING:
    from oasis_alloc.results.answer import Answer


@dataclass(frozen=True, eq=False)
class Draw:
    """What the slates of all partitions need."""

    dataset: Dataset
    item_ids: Any
    systems: tuple[System, ...]
    n_users: int
    n_items: int
    seed: int
    propensity: str  # name of the column
    recipe: Recipe | None  # of the pairs that are shown, where no process has them


@dataclass(frozen=True, eq=False)
class Own:
    """The allocation of a partition's users, and their sizes of slates."""

    part: Part
    starts: Ints  # (users of the partition + 1,) positions of their candidates
    size: Ints
    least: Ints


def slate_parts(solution: Answer, rng: Rng) -> Parts:
    """What `RayEngine.write_slates` writes. Slot weights need all pairs of a user, which partitions do not solve."""
    solution.raise_if_infeasible()
    seed = as_seed(rng, "write_slates()")
    slate, candidates = solution.problem.slate, solution.problem.candidates
    partitions_of(candidates, "write_slates")
    dataset = candidates.stream
    assert dataset is not None  # of partitions
    divided, indptr = Divided(solution._nonzeros, candidates.indptr), candidates.indptr
    sizes = [np.broadcast_to(np.asarray(n, np.int64), candidates.n_users) for n in slate.sizes(indptr)]

    def own(about: Partition) -> Own:
        first, last = about.first_user, about.first_user + about.n_users
        return Own(divided.of(about), indptr[first : last + 1], *(n[first:last] for n in sizes))

    name = answer_names(("propensity",), (candidates.user_name, candidates.item_name))["propensity"]
    systems = tuple(systems_of(slate, candidates, np.arange(candidates.n_items)))
    counts = candidates.n_users, candidates.n_items
    draw = Draw(dataset, candidates.item_ids, systems, *counts, seed, name, divided.recipe)
    return Parts("write_slates", "_slates.json", {"certificate": certificate(solution), "seed": seed}, _rows, draw, own)


def _rows(draw: Draw, about: Partition, own: Own) -> Iterator[Any]:
    """The pairs of a partition that are shown; kernels take numbers of users of the whole, of which draws depend."""
    import pyarrow as pa

    from oasis_alloc.kernels.draw.rounding import Slots

    first, last = about.first_user, about.first_user + about.n_users
    pairs, x = own.part.nonzeros(draw.recipe, about)
    ends = np.searchsorted(pairs, own.starts)
    start, size, least = (np.empty(draw.n_users + 1, np.int64) for _ in range(3))  # only these users' are written
    start[first : last + 1], size[first:last], least[first:last] = ends, own.size, own.least
    item = draw.dataset.take([draw.dataset.item], pairs)[draw.dataset.item].astype(np.int64)
    shown = np.zeros(pairs.size, np.bool_)
    slots = Slots(start, item, np.array(x, np.float64), size, least)
    Drawing(draw.systems, draw.n_items).draw(first, last, slots, draw.seed, shown)
    user = np.repeat(np.arange(first, last), np.diff(ends))[shown]
    yield pa.table(
        {
            draw.dataset.user: UserIds(draw.dataset, about).of(user),
            draw.dataset.item: pa.array(np.asarray(draw.item_ids)[item[shown]]),
            draw.propensity: pa.array(x[shown]),
        }
    )
