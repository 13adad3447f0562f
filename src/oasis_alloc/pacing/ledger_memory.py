"""A ledger's store in memory: for tests, replays, and a single process that may forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from threading import RLock

from oasis_alloc.pacing.ledger_merge import LOST, PENDING, Change, Row
from oasis_alloc.pacing.ledger_stores import ABSENT, Decide, Document, SliceTotal, has_changed


class MemoryStore:
    """See `Store`."""

    place = "memory"
    at_once = 100_000

    def __init__(self) -> None:
        self._lock = RLock()
        self._settings: str | None = None
        self._rows: dict[str, Row] = {}
        self._totals: dict[tuple[int, str], list[int]] = {}
        self._watermark = 0
        self._documents: dict[str, Document] = {}

    def settings(self, new: str) -> str:
        with self._lock:
            if self._settings is None:
                self._settings = new
            return self._settings

    def record(self, ids: Sequence[str], decide: Decide) -> Change:
        with self._lock:
            change = decide(self._rows, self._watermark)
            self._rows.update(change.new)
            self._rows.update(change.changed)
            for where, added in change.added.items():
                total = self._totals.setdefault(where, [0, 0, 0])
                total[:] = [a + b for a, b in zip(total, added, strict=True)]
            return change

    def totals(self, first: int, end: int) -> list[SliceTotal]:
        with self._lock:
            return [SliceTotal(*where, *t) for where, t in sorted(self._totals.items()) if first <= where[0] < end]

    def newest(self) -> int | None:
        with self._lock:
            return max((k for k, _ in self._totals), default=None)

    def watermark(self) -> int:
        return self._watermark

    def close_days(self, watermark: int, end: int, give_up: bool) -> None:
        with self._lock:
            self._watermark = max(self._watermark, watermark)
            for (k, _), total in self._totals.items() if give_up else ():
                if k < end:
                    total[LOST] += total[PENDING]
                    total[PENDING] = 0

    def remove_ids(self, limit: int) -> int:
        with self._lock:
            old = list(islice((one for one, row in self._rows.items() if row[2] < self._watermark), limit))
            for one in old:
                del self._rows[one]
            return len(old)

    def n_ids(self) -> int:
        return len(self._rows)

    def read(self, names: Sequence[str]) -> dict[str, Document]:
        with self._lock:
            return {name: self._documents.get(name, ABSENT) for name in names}

    def swap(self, expected: Mapping[str, int], texts: Mapping[str, str | None]) -> bool:
        with self._lock:
            if has_changed(self._documents, expected):
                return False
            for name, text in texts.items():
                if text is None:
                    self._documents.pop(name, None)
                else:
                    self._documents[name] = Document(self._documents.get(name, ABSENT).version + 1, text)
            return True

    def close(self) -> None:
        pass
