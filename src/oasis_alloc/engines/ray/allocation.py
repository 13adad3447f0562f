"""Writes an allocation as Parquet, one file per partition, by tasks on the cluster, and a manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from oasis_alloc.common.remote_path import Place, opened_for_parquet, replacing_at, write_at
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.partition_manifest import Manifest, Partition, StoredFile
from oasis_alloc.data.row_groups import Dataset
from oasis_alloc.engines.ray.cluster import resources
from oasis_alloc.errors import InputError, OasisAllocError, SolverError
from oasis_alloc.problem import Problem

NAME = "_allocation.json"
_AHEAD = 2  # tasks per core that wait with their part of the allocation


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
    def pairs(self) -> Ints: ...
    @property
    def x(self) -> Floats: ...

    def raise_if_infeasible(self) -> None:
        """Raise `SolverError` if there is no allocation."""


@dataclass(frozen=True, eq=False)
class Part:
    """The non-zeros of an allocation in one partition, by position of the pair."""

    file: str
    pairs: Ints
    x: Floats


def write_part(part: Part, about: Partition, dataset: Dataset, item_ids: Any, column: str, to: Place) -> StoredFile:
    """Write the ids of users and items and the probability of the pairs of one partition; replaces the file at once.

    Ids of users are read from the partition's own file, and items from its pairs.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = dataset.files[0].path.parent
    about.users.check(folder)
    users = pq.read_table(opened_for_parquet(folder / about.users.name), columns=[dataset.user, "pairs"])
    ends = about.first_pair + np.cumsum(users.column("pairs").to_numpy(), dtype=np.int64)
    owner = np.searchsorted(ends, part.pairs, side="right")
    item = dataset.take([dataset.item], part.pairs)[dataset.item]
    table = pa.table(
        {
            dataset.user: users.column(dataset.user).take(pa.array(owner)),
            dataset.item: pa.array(np.asarray(item_ids)[item.astype(np.int64)]),
            column: pa.array(part.x),
        }
    )
    with replacing_at(to / part.file) as beside:
        pq.write_table(table, beside, write_page_checksum=True)
    return StoredFile.of(to, part.file)


def write_allocation(solution: Allocated, directory: Place) -> Place:
    """Write all parts on the cluster that this process is connected to; the manifest is written last."""
    solution.raise_if_infeasible()
    candidates = solution.problem.candidates
    dataset = candidates.stream
    manifest = None if dataset is None else Manifest.read(dataset.files[0].path.parent)
    if dataset is None or manifest is None:
        raise InputError("write_allocation() needs candidates of Partitions.candidates(); these are from elsewhere.")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / NAME).unlink(missing_ok=True)
    column = "x" if "x" not in (dataset.user, dataset.item) else "x_"
    stored = _on_cluster(_parts(solution, manifest), manifest, dataset, (candidates.item_ids, column, directory))
    written = {file.name for file in stored}
    for old in directory.glob("part-*.parquet"):
        if old.name not in written:
            old.unlink()
    document = {
        "format": 1,
        "certificate": {
            "status": solution.status.name, "value": solution.value, "bound": solution.bound, "gap": solution.gap,
            "violation": solution.violation,
        },
        "pairs": int(solution.pairs.size),
        "files": [asdict(file) for file in stored],
    }  # fmt: skip
    write_at(directory / NAME, json.dumps(document, indent=1) + "\n")
    return directory / NAME


def _parts(solution: Allocated, manifest: Manifest) -> Iterator[Part]:
    edges = [part.first_pair for part in manifest.partitions] + [manifest.n_pairs]
    ends = np.searchsorted(solution.pairs, edges)
    for k, part in enumerate(manifest.partitions):
        here = slice(int(ends[k]), int(ends[k + 1]))
        yield Part(part.pairs.name, solution.pairs[here], solution.x[here])


def _on_cluster(
    parts: Iterator[Part], manifest: Manifest, dataset: Dataset, given: tuple[Any, str, Place]
) -> list[StoredFile]:
    """The files that tasks have written, in order; tasks whose node is lost are run again."""
    import ray

    item_ids, column, directory = given
    task = ray.remote(write_part).options(num_cpus=1, max_retries=5)
    shared, ids = ray.put(dataset), ray.put(item_ids)
    cores = max(1, int(resources("cluster_resources").get("CPU", 1)))
    out: dict[str, StoredFile] = {}
    waiting: list[Any] = []
    try:
        for part, about in zip(parts, manifest.partitions, strict=True):
            waiting.append(task.remote(part, about, shared, ids, column, directory))
            if len(waiting) >= _AHEAD * cores:
                done, waiting = ray.wait(waiting)
                out.update((file.name, file) for file in ray.get(done))
        out.update((file.name, file) for file in ray.get(waiting))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (OasisAllocError, OSError)):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise SolverError(f"a part of the allocation could not be written: {error}") from error
    return [out[part.pairs.name] for part in manifest.partitions]
