"""The manifest of a partitioned dataset: what is in each partition, and digests by which damage is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.digests import add_file
from oasis_alloc.common.documents import from_json
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.remote_path import Place, RemotePath, opened_for_parquet, text_at, write_at
from oasis_alloc.errors import InputError

NAME = "_partitions.json"
USERS, ITEMS = "_users", "_items.parquet"
_FORMAT = 1


@dataclass(frozen=True)
class StoredFile:
    """A file of the dataset, by its path within the directory."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, directory: Place, name: str) -> StoredFile:
        """Read a file for its size and digest."""
        path, digest = directory / name, hashlib.sha256()
        with path.open() if isinstance(path, RemotePath) else path.open("rb") as file:
            add_file(digest, file)
        return cls(name, _size(path), digest.hexdigest())

    def is_there(self, directory: Place) -> bool:
        """True if there is a file of this size; its bytes are not read."""
        try:
            return _size(directory / self.name) == self.size
        except OSError:
            return False

    def check(self, directory: Place, whole: bool = False) -> None:
        """Raise `InputError` if the file is missing or has another size; `whole` compares the digest too."""
        path = directory / self.name
        try:
            size = _size(path)
        except FileNotFoundError:
            raise InputError(
                f"partition file {path} is missing. Run `oasis-alloc partition` (or oa.partition) again with the same "
                "arguments: it writes what is missing, and nothing else."
            ) from None
        except OSError as error:
            raise InputError(f"partition file {path} cannot be read ({reason_of(error)}).") from error
        if size != self.size or (whole and StoredFile.of(directory, self.name).sha256 != self.sha256):
            raise InputError(
                f"partition file {path} is corrupt: it is not the file that the manifest describes ({self.size:,} "
                "bytes). Delete it and run `oasis-alloc partition` (or oa.partition) again with the same arguments."
            )

    def table(self, directory: Place, columns: list[str] | None = None) -> Any:
        """The rows of a Parquet file; its size and the checksums of its pages are compared on the way."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.check(directory)
        path = directory / self.name
        try:
            with opened_for_parquet(path) as source:
                return pq.read_table(source, columns=columns, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"partition file {path} is corrupt: it cannot be read ({error}). Delete it and run `oasis-alloc "
                "partition` (or oa.partition) again with the same arguments."
            ) from error


def _size(path: Place) -> int:
    return path.about()[0] if isinstance(path, RemotePath) else path.stat().st_size


@dataclass(frozen=True)
class Partition:
    """One partition: the pairs of consecutive users, and the users' ids and numbers of pairs."""

    pairs: StoredFile
    users: StoredFile
    n_pairs: int
    n_users: int
    first_pair: int
    first_user: int

    @property
    def files(self) -> tuple[StoredFile, StoredFile]:
        """Both files."""
        return self.pairs, self.users


@dataclass(frozen=True)
class Column:
    """Facts about a column of numbers over all pairs."""

    type: str
    sums: tuple[float, ...]  # of |c|, of every eighth pair, as `kernels.solve.check.add_sizes` adds them up
    min: float
    max: float


def counts_name(user: str, user_keys: Iterable[str]) -> str:
    """What the column of numbers of pairs is called: not like the ids or the keys of users.

    >>> counts_name("user", ["market"]), counts_name("user", ["pairs"])
    ('pairs', 'pairs_')
    """
    return answer_names(["pairs"], [user, *user_keys])["pairs"]


@dataclass(frozen=True)
class Manifest:
    """All facts about a partitioned dataset but its pairs and its users."""

    user: str
    item: str
    n_users: int
    n_items: int
    n_pairs: int
    columns: dict[str, Column]
    user_keys: list[str]
    bounds: list[Any]  # the first user id of each partition but the first
    items: StoredFile
    partitions: list[Partition]
    source: dict[str, Any] = field(default_factory=dict)  # what was read, and how: the same again changes nothing

    @property
    def counts(self) -> str:
        """The column of the users' files that has their numbers of pairs."""
        return counts_name(self.user, self.user_keys)

    def write(self, directory: Place) -> None:
        """Write the manifest, as the last file: without it there is no dataset."""
        write_at(directory / NAME, json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, directory: Place) -> Manifest | None:
        """The manifest of a directory, None if it has none; `InputError` if it cannot be understood."""
        path = directory / NAME
        try:
            text = text_at(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({reason_of(error)}).") from error
        try:
            found = from_json(text)
            if found.pop("format") != _FORMAT:
                raise InputError(f"{path} has another format than {_FORMAT}; partition the pairs again.")
            found["items"] = StoredFile(**found["items"])
            found["columns"] = {
                name: Column(**{**column, "sums": tuple(column["sums"])}) for name, column in found["columns"].items()
            }
            found["partitions"] = [
                Partition(**{**part, "pairs": StoredFile(**part["pairs"]), "users": StoredFile(**part["users"])})
                for part in found["partitions"]
            ]
            return cls(**found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is damaged ({error}). Delete it, and partition the pairs again.") from error
