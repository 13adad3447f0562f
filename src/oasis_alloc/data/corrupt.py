"""Files of pairs that are corrupt, and candidates without them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.errors import InputError

if TYPE_CHECKING:
    from oasis_alloc.common.types import Ints
    from oasis_alloc.data.partition_manifest import Manifest, Partition
    from oasis_alloc.data.row_groups import Dataset


class CorruptFileError(InputError):
    """A file of pairs is missing, damaged or has changed; `file` is its name."""

    def __init__(self, message: str, file: str) -> None:
        super().__init__(message)
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return CorruptFileError, (str(self), self.file)


@dataclass(frozen=True)
class Excluded:
    """A partition that is left out because a file of it is corrupt."""

    file: str
    users: int
    pairs: int
    reason: str

    @classmethod
    def of(cls, about: Partition, error: Exception) -> Excluded:
        """The partition, and the error that its file gave."""
        return cls(about.pairs.name, about.n_users, about.n_pairs, str(error))


def exclusions(excluded: Collection[Excluded], n_pairs: int) -> str:
    """What is left out, for a report; `n_pairs` are those that are not."""
    names = [one.file for one in excluded]
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    n, users, pairs = len(names), sum(one.users for one in excluded), sum(one.pairs for one in excluded)
    return (
        f"excluded: {n:,} corrupt partition{'s'[: n > 1]} ({', '.join(names[:3])}{more}) with {users:,} users and "
        f"{pairs:,} of {pairs + n_pairs:,} pairs; the certificate is about the rest"
    )


def remaining(dataset: Dataset, excluded: Mapping[int, Excluded], manifest: Manifest) -> Dataset:
    """The files of the other partitions as one sequence of row groups."""
    names = {manifest.partitions[k].pairs.name for k in excluded}
    kept = [k for k, file in enumerate(dataset.files) if file.path.name not in names]
    groups = np.flatnonzero(np.isin(dataset.file, kept))
    sizes = np.diff(dataset.start)[groups]
    return replace(
        dataset,
        files=tuple(dataset.files[k] for k in kept),
        start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        file=np.searchsorted(kept, dataset.file[groups]),
        group=dataset.group[groups],
        excluded=tuple(excluded[k] for k in sorted(excluded)),
    )


def counts_without(counts: Ints, excluded: Collection[int], manifest: Manifest) -> Ints:
    """Numbers of pairs by user, 0 for users of the partitions that are left out."""
    out = np.array(counts, np.int64)
    for k in excluded:
        about = manifest.partitions[k]
        out[about.first_user : about.first_user + about.n_users] = 0
    return out
