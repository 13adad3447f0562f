"""Files that are written on the cluster, one per partition of the pairs: by tasks, at once, and the manifest last.

What goes into the files is said by `Parts`, which a solution, its slates or a policy make.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.remote_path import Place, replacing_at, write_at
from oasis_alloc.common.types import Ints
from oasis_alloc.data.partition_manifest import Manifest, Partition, StoredFile
from oasis_alloc.data.row_groups import Dataset
from oasis_alloc.engines.ray.connection import resources
from oasis_alloc.errors import InputError, OasisAllocError, SolverError

_AHEAD = 2  # tasks per core that wait with their part of the answer


@dataclass(frozen=True, eq=False)
class Parts:
    """What is written of every partition.

    - `call`: the method that writes it, for messages; `name`: of the manifest; `about`: what else the manifest has.
    - `make(shared, partition, own)`: tables of the rows of one partition; runs in a task.
    - `shared`: what all tasks need, sent once to each node; `own(partition)`: what only the one of a partition needs.
    """

    call: str
    name: str
    about: dict[str, Any]
    make: Callable[[Any, Partition, Any], Iterator[Any]]
    shared: Any
    own: Callable[[Partition], Any]


class UserIds:
    """The ids of the users of a partition, which are in its own file."""

    def __init__(self, dataset: Dataset, about: Partition) -> None:
        self._ids = about.users.table(dataset.files[0].path.parent, [dataset.user]).column(dataset.user)
        self._first = about.first_user

    def of(self, users: Ints) -> Any:
        """The ids of users by number, as an Arrow array."""
        import pyarrow as pa

        return self._ids.take(pa.array(users - self._first))


def partitions_of(candidates: Candidates, call: str) -> Manifest:
    """The manifest of the partitions of candidates, without those left out; `InputError` if they are of none."""
    dataset = candidates.stream
    manifest = None if dataset is None else Manifest.read(dataset.files[0].path.parent)
    if dataset is None or manifest is None:
        raise InputError(f"{call}() needs candidates of Partitions.candidates(); these are from elsewhere.")
    without = {one.file for one in dataset.excluded}
    return replace(manifest, partitions=[part for part in manifest.partitions if part.pairs.name not in without])


def write_parts(parts: Parts, candidates: Candidates, directory: Place, held: int, seconds: float) -> Place:
    """Write all files on the cluster that this process is connected to, then the manifest; return its path.

    Idle actors of the caller hold some cores. `SolverError` if not one file is written for some seconds.
    """
    manifest = partitions_of(candidates, parts.call)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / parts.name).unlink(missing_ok=True)
    stored = _on_cluster(parts, manifest, directory, held, seconds)
    written = {file.name for file in stored}
    for old in directory.glob("part-*.parquet"):
        if old.name not in written:
            old.unlink()
    document = {"format": 1, **parts.about, "files": [asdict(file) for file in stored]}
    write_at(directory / parts.name, json.dumps(document, indent=1) + "\n")
    return directory / parts.name


def write_part(
    make: Callable[[Any, Partition, Any], Iterator[Any]], shared: Any, about: Partition, own: Any, to: Place
) -> StoredFile:
    """Write the file of one partition, which replaces an older one at once; runs in a task."""
    import pyarrow.parquet as pq

    writer = None
    with replacing_at(to / about.pairs.name) as beside:
        try:
            for table in make(shared, about, own):
                writer = writer or pq.ParquetWriter(beside, table.schema, write_page_checksum=True)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
    return StoredFile.of(to, about.pairs.name)


def _on_cluster(
    parts: Parts, manifest: Manifest, directory: Place, held: int, seconds: float
) -> list[StoredFile]:  # fmt: skip
    """The files that tasks have written, in order; tasks whose node is lost are run again."""
    import ray

    # idle actors may hold all cores: tasks take theirs, which Ray would not give to them
    task = ray.remote(write_part).options(num_cpus=0 if held else 1, max_retries=5, scheduling_strategy="SPREAD")
    shared = ray.put(parts.shared)
    cores = int(resources("cluster_resources").get("CPU", 1))
    most = held + int(resources("available_resources").get("CPU", 0)) if held else _AHEAD * max(1, cores)
    out: dict[str, StoredFile] = {}
    waiting: list[Any] = []
    left = list(reversed(manifest.partitions))
    try:
        while left or waiting:
            while left and len(waiting) < most:
                about = left.pop()
                waiting.append(task.remote(parts.make, shared, about, parts.own(about), directory))
            done, waiting = ray.wait(waiting, timeout=seconds)
            if not done:
                for ref in waiting:
                    ray.cancel(ref)
                raise SolverError(
                    f"{parts.call}(): no file was written within {seconds:g} seconds. Each task asks for a core; free "
                    f"in the cluster: {resources('available_resources').get('CPU', 0.0):g} of {cores}. End what holds "
                    "them, or wait longer with answer_timeout=."
                )
            out.update((file.name, file) for file in ray.get(done))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (OasisAllocError, OSError)):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise SolverError(f"{parts.call}(): a part could not be written: {error}") from error
    return [out[about.pairs.name] for about in manifest.partitions]


def slice_of(pairs: Ints, indptr: Ints, about: Partition) -> slice:
    """Which of some ascending positions of pairs are in a partition."""
    first, last = about.first_user, about.first_user + about.n_users
    begin, end = np.searchsorted(pairs, indptr[[first, last]]).tolist()
    return slice(begin, end)
