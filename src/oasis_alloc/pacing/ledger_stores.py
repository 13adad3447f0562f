"""What a ledger asks of its store, and which address means which store."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from oasis_alloc.common.environment import text_of, without_password
from oasis_alloc.common.files import path_text
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError, LedgerUnavailableError
from oasis_alloc.pacing.ledger_merge import Change, Row

Decide = Callable[[Mapping[str, Row], int], Change]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")


class SliceTotal(NamedTuple):
    """Millionths of a group in a slice."""

    slice: int
    key: str
    confirmed: int
    pending: int
    lost: int


class Document(NamedTuple):
    """A text that is replaced as a whole; its version counts how often. Version 0 is one that does not exist."""

    version: int
    text: str


ABSENT = Document(0, "")


def has_changed(documents: Mapping[str, Document], expected: Mapping[str, int]) -> bool:
    """Whether a document has another version than the expected one."""
    return any(documents.get(name, ABSENT).version != version for name, version in expected.items())


class Store(Protocol):
    """Rows, totals and documents. Every method is one transaction, or one read; times are in microseconds.

    A store that cannot be reached raises `LedgerUnavailableError`.
    """

    place: str  # what messages call it
    at_once: int  # how many ids are removed in one transaction

    def settings(self, new: str) -> str:
        """The settings that the store was created with; `new` where this creates it."""

    def record(self, ids: Sequence[str], decide: Decide) -> Change:
        """Call `decide` with the rows of these ids that are known and the watermark, and apply what it returns.

        It may be called several times. What it raises leaves everything as it was.
        """

    def totals(self, first: int, end: int) -> list[SliceTotal]:
        """Totals of the slices from `first` to before `end`."""

    def newest(self) -> int | None:
        """The newest slice that has a total."""

    def watermark(self) -> int:
        """Events before this time are late."""

    def close_days(self, watermark: int, end: int, give_up: bool) -> None:
        """Raise the watermark, and where `give_up`, turn what is pending in slices before `end` into lost."""

    def remove_ids(self, limit: int) -> int:
        """Remove about `limit` ids from before the watermark; how many were removed."""

    def n_ids(self) -> int:
        """How many ids are kept."""

    def read(self, names: Sequence[str]) -> dict[str, Document]:
        """Documents by name, `ABSENT` for those that do not exist, all of them from one moment."""

    def swap(self, expected: Mapping[str, int], texts: Mapping[str, str | None]) -> bool:
        """Write or (None) remove these documents if all of `expected` have that version; tell whether it was done."""

    def close(self) -> None:
        """Let go of files and connections."""


def unavailable(place: str, error: Exception) -> LedgerUnavailableError:
    """What a store raises when `error` has stopped it."""
    return LedgerUnavailableError(
        f"{place}: {str(error) or type(error).__name__}. Whether the last change was stored is unknown; send it again."
    )


def open_store(address: object, name: str) -> Store:
    """The store at an address: None is memory, a path SQLite; `postgresql://` and `redis://` are servers.

    "env:NAME" is the address that a variable of the environment has. Messages show no password.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"Ledger(name={shown(name)}): expected up to 30 lower-case letters, digits and underscores, a letter first."
        )
    if isinstance(address, str):
        address = text_of(address, "Ledger(store)")
    if address is None:
        from oasis_alloc.pacing.ledger_memory import MemoryStore

        return MemoryStore()
    if isinstance(address, str) and address.startswith(("postgresql://", "postgres://")):
        from oasis_alloc.pacing.ledger_postgres import PostgresStore

        return PostgresStore(address, name)
    if isinstance(address, str) and address.startswith(("redis://", "rediss://", "unix://")):
        from oasis_alloc.pacing.ledger_redis import RedisStore

        try:
            return RedisStore(address, name)
        except ValueError as error:
            where = shown(without_password(address))
            raise InputError(f"Ledger({where}): {error}; expected redis://host:port/number.") from None
    if isinstance(address, (str, os.PathLike)) and "://" not in str(address) and str(address):
        from oasis_alloc.pacing.ledger_sqlite import SQLiteStore

        return SQLiteStore(path_text(address), name)
    if hasattr(address, "record") and hasattr(address, "swap"):
        return address  # type: ignore[return-value]  # a store of the caller's
    where = shown(without_password(address) if isinstance(address, str) else address)
    raise InputError(
        f"Ledger({where}): expected nothing (memory), the path of a SQLite file, or an address that begins "
        "with postgresql:// or redis://."
    )
