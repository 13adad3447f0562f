"""`Ledger`: events that count once, as totals per group and time slice."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import as_listed, shown
from oasis_alloc.common.types import LabelsLike
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.instants import When, instant
from oasis_alloc.pacing.ledger_events import UNITS, Batch, Event, Reader, Rejected, label_of, label_text
from oasis_alloc.pacing.ledger_merge import Change, merge
from oasis_alloc.pacing.ledger_stores import SliceTotal, Store, open_store

DAY = 86_400
_FORMAT = 1
_END = 2**62


class Receipt(NamedTuple):
    """What became of a batch: events that changed something, that were known, that came too late, and refused ones.

    >>> import oasis_alloc as oa
    >>> oa.Ledger().record([oa.Event("imp-1", "one", 1_782_864_000.0)]).counted
    1
    """

    counted: int
    repeated: int
    late: int
    rejected: tuple[Rejected, ...] = ()


class DeliveredTotal(NamedTuple):
    """Amounts of one group in one slice, which begins at `start`, seconds since 1970 UTC.

    >>> import oasis_alloc as oa
    >>> ledger = oa.Ledger()
    >>> _ = ledger.record([oa.Event("imp-1", "one", 1_782_864_900.0)])
    >>> ledger.totals()
    [DeliveredTotal(group='one', start=1782864000.0, confirmed=0.0, pending=1.0, lost=0.0)]
    """

    group: Any
    start: float
    confirmed: float
    pending: float
    lost: float


@suggesting
class Ledger:
    """Counts deliveries: every event once, however often, in whatever order, and whatever crashes in between.

    `store` is nothing (memory), the path of a SQLite file, or the address of a server: `postgresql://...`, `redis://...`;
    "env:NAME" is the address that a variable of the environment has.
    Processes that open the same store and `name` share one ledger. `by` names the keys of groups. Where `groups` are
    given, events for others are refused. `docs/ledger.md` has the rules and the guarantees.

    A ledger can be used from several threads. It is of one process: open the store again in others.

    >>> import oasis_alloc as oa
    >>> ledger = oa.Ledger(groups=["one", "two"])
    >>> ledger.record([
    ...     oa.Event("imp-1", "one", 1_782_864_000.0),
    ...     oa.Event("imp-1", "one", 1_782_864_000.0),
    ...     oa.Event("imp-1", "one", 1_782_864_000.0, state="confirmed"),
    ... ])
    Receipt(counted=2, repeated=1, late=0, rejected=())
    >>> ledger.delivered()
    {'one': 1.0, 'two': 0.0}
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | None = None,
        *,
        by: str | tuple[str, ...] = "campaign",
        groups: Iterable[Any] | None = None,
        name: str = "ledger",
        slice_seconds: int = 3600,
        retention_days: int = 2,
        skew: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.by = _keys(by)
        self.slice_seconds = _whole("slice_seconds", slice_seconds, 1, DAY)
        if DAY % self.slice_seconds:
            raise InputError(
                f"Ledger(slice_seconds={slice_seconds!r}): expected seconds that divide a day, such as 900."
            )
        self.retention_days = _whole("retention_days", retention_days, 1, 400)
        ahead = as_real(skew)
        if ahead is None or not 0 <= ahead < math.inf:
            raise InputError(f"Ledger(skew={shown(skew)}): expected a finite number of seconds, 0 or more.")
        if not callable(clock):
            raise InputError(f"Ledger(clock={shown(clock)}): expected a function that returns seconds since 1970 UTC.")
        self._skew, self._clock = ahead, clock
        self._reader = Reader(self.by, groups)
        self._counts = dict.fromkeys(("batches", "counted", "repeated", "late", "rejected"), 0)
        self.store: Store = open_store(store, name)
        try:
            self._agree()
        except BaseException:
            self.store.close()
            raise

    def record(self, events: Iterable[Event], *, on_bad: str = "raise") -> Receipt:
        """Store a batch of events, all or nothing; when this returns, they are stored.

        Events that are refused raise `InputError`, and nothing of the batch is stored. With `on_bad="skip"` the others
        are stored and the receipt has the refused ones. Late events are counted in the receipt, in both cases.

        >>> import oasis_alloc as oa
        >>> oa.Ledger().record([oa.Event("imp-1", "one", 1_782_864_000.0, amount=-1.0)])
        Traceback (most recent call last):
            ...
        oasis_alloc.errors.InputError: event 0 (id 'imp-1'): the amount is -1.0; expected a number from 0 to 1e+09. ...
        """
        if isinstance(events, (Event, str, bytes, Mapping)) or not isinstance(events, Iterable):
            raise InputError(f"events is {shown(events)}; expected a list of oasis_alloc.Event.")
        given = [tuple(event) if isinstance(event, (tuple, list)) else event for event in events]
        wrong = next(
            (k for k, event in enumerate(given) if not isinstance(event, tuple) or not 3 <= len(event) <= 5), None
        )
        if wrong is not None:
            raise InputError(f"event {wrong:,} is {shown(given[wrong])}; expected an oasis_alloc.Event.")
        full = [Event(*event) for event in given]
        columns = zip(*full, strict=True) if full else ((),) * 5
        ids, keys, times, amounts, states = map(list, columns)
        return self.record_columns(ids, keys, times, amounts, states, on_bad=on_bad)

    def record_columns(
        self,
        ids: LabelsLike,
        keys: LabelsLike,
        times: When | LabelsLike,
        amounts: float | LabelsLike = 1.0,
        states: str | LabelsLike = "served",
        *,
        on_bad: str = "raise",
    ) -> Receipt:
        """Store a batch that is given by column, as `record` does; `times`, `amounts`, `states` may be one for all.

        >>> import oasis_alloc as oa
        >>> oa.Ledger().record_columns(["a", "b"], ["one", "two"], 1_782_864_000.0).counted
        2
        """
        if on_bad not in ("raise", "skip"):
            raise InputError(f"on_bad is {shown(on_bad)}; expected 'raise' or 'skip'.")
        now = self.now()
        batch = self._reader.columns(ids, keys, times, amounts, states, latest=now + self._skew, now=now)
        if batch.rejected and on_bad == "raise":
            _refuse(batch.rejected)

        def decide(known: Any, watermark: int) -> Change:
            change = merge(batch, known, watermark, self.slice_seconds * UNITS)
            if change.conflicts and on_bad == "raise":
                _refuse(change.conflicts)
            return change

        change = self.store.record(batch.ids, decide) if batch.ids else Change()
        return self._receipt(batch, change)

    def delivered(
        self,
        *,
        since: When | None = None,
        until: When | None = None,
        pending: bool = True,
        by: str | tuple[str, ...] | None = None,
        among: Iterable[Any] | None = None,
    ) -> dict[Any, float]:
        """{label: amount} delivered from `since` to before `until`, edges of slices; what `delivered_so_far` takes.

        Confirmed amounts, and with `pending` those that were served and not yet confirmed. `by` are some of the
        ledger's keys, over which the others are added up. `among` keeps these labels alone, in their order, with 0
        where there is nothing: labels that a problem no longer has are left out by `among=candidates.groups(...)`.

        >>> import oasis_alloc as oa
        >>> ledger = oa.Ledger(by=("market", "campaign"))
        >>> _ = ledger.record_columns(["a", "b"], [("SE", "one"), ("DE", "one")], 1_782_864_000.0)
        >>> ledger.delivered(by="campaign", among=["one", "two"])
        {'one': 2.0, 'two': 0.0}
        """
        wanted = self.by if by is None else _keys(by)
        if unknown := [key for key in wanted if key not in self.by]:
            raise InputError(f"by={shown(by)}: {unknown[0]!r} is not a key of this ledger; its keys are {self.by!r}.")
        places = [self.by.index(key) for key in wanted]
        sums: dict[Any, int] = {}
        if self._reader.groups is not None and among is None:
            sums = {self._part(label_of(text), places): 0 for text in self._reader.groups}
        for total in self._between(since, until):
            label = self._part(label_of(total.key), places)
            sums[label] = sums.get(label, 0) + total.confirmed + pending * total.pending
        if among is not None:
            labels = [(label, label_of(label_text(label, len(wanted)))) for label in as_listed(among)]
            return {label: sums.get(kept, 0) / UNITS for label, kept in labels}
        return {label: amount / UNITS for label, amount in sums.items()}

    def totals(self, *, since: When | None = None, until: When | None = None) -> list[DeliveredTotal]:
        """A row per group and slice, oldest first.

        >>> import oasis_alloc as oa
        >>> ledger = oa.Ledger()
        >>> _ = ledger.record([oa.Event("a", "one", 1_782_864_000.0, 0.8), oa.Event("b", "one", 1_782_867_600.0)])
        >>> [(row.start, row.pending) for row in ledger.totals()]
        [(1782864000.0, 0.8), (1782867600.0, 1.0)]
        """
        return [
            DeliveredTotal(label_of(key), float(k * self.slice_seconds), c / UNITS, p / UNITS, lost / UNITS)
            for k, key, c, p, lost in self._between(since, until)
        ]

    def compact(self, *, unconfirmed: str = "keep", limit: int | None = None) -> int:
        """Close days that are older than the retention, and remove their ids; return how many ids were removed.

        Call it from a timer. Writers wait for milliseconds. What is pending on a day that closes stays pending, and so
        counts as spent; with `unconfirmed="lost"` it becomes lost. `limit` ends a call after about as many ids.

        >>> import oasis_alloc as oa
        >>> now = 1_782_864_000.0
        >>> ledger = oa.Ledger(clock=lambda: now)
        >>> _ = ledger.record([oa.Event("a", "one", now)])
        >>> now += 5 * 86_400
        >>> _ = ledger.record([oa.Event("b", "one", now)])
        >>> ledger.compact(), ledger.delivered(), ledger.stats()["ids"]
        (1, {'one': 2.0}, 1)
        """
        if unconfirmed not in ("keep", "lost"):
            raise InputError(f"unconfirmed is {shown(unconfirmed)}; expected 'keep' or 'lost'.")
        if limit is not None and ((most := as_whole(limit)) is None or most < 1):
            raise InputError(f"limit is {shown(limit)}; expected a whole number of ids, 1 or more, or None.")
        newest = self.store.newest()
        if newest is not None:
            last = min(self.now(), (newest + 1) * self.slice_seconds)
            day = max(int((last - self.retention_days * DAY) // DAY), 0)
            self.store.close_days(day * DAY * UNITS, day * DAY // self.slice_seconds, unconfirmed == "lost")
        removed, at_once = 0, self.store.at_once
        while limit is None or removed < limit:
            some = self.store.remove_ids(at_once if limit is None else min(at_once, limit - removed))
            removed += some
            if not some:
                break
        return removed

    def add_groups(self, groups: Iterable[Any]) -> None:
        """Take events for these groups too, in this process: campaigns that begin.

        >>> import oasis_alloc as oa
        >>> ledger = oa.Ledger(groups=["one"])
        >>> ledger.add_groups(["two"])
        >>> ledger.delivered()
        {'one': 0.0, 'two': 0.0}
        """
        self._reader.add(groups)

    def stats(self) -> dict[str, Any]:
        """Counts of this process since it opened the ledger; of the store, ids that are kept and the watermark.

        >>> import oasis_alloc as oa
        >>> oa.Ledger().stats()["late"]
        0
        """
        return {**self._counts, "ids": self.store.n_ids(), "watermark": self.store.watermark() / UNITS}

    def close(self) -> None:
        """Let go of the file or the connection. A ledger in memory stays as it is."""
        self.store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Ledger by {', '.join(self.by)} in {self.store.place}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Ledger is of one process; open the same store with Ledger(store, ...) in each process.")

    def _agree(self) -> None:
        """Compare what this process was told with what the store was created with."""
        mine = {"format": _FORMAT, "by": list(self.by), "slice_seconds": self.slice_seconds}
        found = json.loads(self.store.settings(json.dumps(mine)))
        for key, value in mine.items():
            if found.get(key) != value:
                raise InputError(
                    f"{self.store.place} has a ledger with {key} = {found.get(key)!r}, and not {value!r}; open it with "
                    "the same, or choose another name=."
                )

    def now(self) -> float:
        """What the ledger's clock says, in seconds since 1970 UTC.

        >>> import oasis_alloc as oa
        >>> oa.Ledger(clock=lambda: 60.0).now()
        60.0
        """
        now = as_real(self._clock())
        if now is None or not math.isfinite(now):
            raise InputError("Ledger(clock=...) returned no finite number; expected seconds since 1970 UTC.")
        return now

    def _receipt(self, batch: Batch, change: Change) -> Receipt:
        rejected = (*batch.rejected, *change.conflicts)
        out = Receipt(
            change.counted, change.repeated, change.late, tuple(sorted(rejected, key=lambda bad: bad.position))
        )
        for name, number in (*zip(out._fields[:3], out[:3], strict=True), ("rejected", len(rejected)), ("batches", 1)):
            self._counts[name] += number
        return out

    def _between(self, since: Any, until: Any) -> list[SliceTotal]:
        edges = []
        for name, given, free in (("since", since, 0), ("until", until, _END)):
            if given is None:
                edges.append(free)
                continue
            slices, rest = divmod(instant(given, name), self.slice_seconds)
            if rest:
                raise InputError(f"{name} is {shown(given)}; expected an edge of a slice of {self.slice_seconds} s.")
            edges.append(int(slices))
        return self.store.totals(*edges)

    def _part(self, label: Any, places: list[int]) -> Any:
        if len(self.by) == 1 or places == list(range(len(self.by))):
            return label
        parts = tuple(label[place] for place in places)
        return parts if len(parts) > 1 else parts[0]


def _keys(by: object) -> tuple[str, ...]:
    keys = (by,) if isinstance(by, str) else by
    if not isinstance(keys, (tuple, list)) or not keys or not all(isinstance(key, str) and key for key in keys):
        raise InputError(f"by is {shown(by)}; expected the name of a key, or a tuple of names.")
    if len(set(keys)) < len(keys):
        raise InputError(f"by is {shown(by)}; expected every key once.")
    return tuple(keys)


def _whole(name: str, given: object, low: int, high: int) -> int:
    number = as_whole(given)
    if number is None or not low <= number <= high:
        raise InputError(f"Ledger({name}={shown(given)}): expected a whole number from {low} to {high:,}.")
    return number


def _refuse(rejected: list[Rejected]) -> NoReturn:
    others = f" So are {len(rejected) - 1:,} others." if len(rejected) > 1 else ""
    raise InputError(
        f"{rejected[0].message}{others} Nothing of the batch was stored; on_bad='skip' stores the valid events."
    )
