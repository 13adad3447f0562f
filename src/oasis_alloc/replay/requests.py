"""Requests in time: candidates of every request, and when it arrived."""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import as_listed, same, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.remote_path import copied_from, name_of
from oasis_alloc.common.types import Floats, Table
from oasis_alloc.data.validation import by_name
from oasis_alloc.errors import InputError, require
from oasis_alloc.pacing.calendar import zone_of
from oasis_alloc.pacing.curves import RemainingShare
from oasis_alloc.pacing.instants import seconds_array

_BINS = 1440  # of the times that are generated


@suggesting
class Requests(ByFields):
    """What `oa.replay` plays: a user of the candidates is one request, with a time.

    Parameters
    ----------
    candidates
        The candidates of every request, with the columns and keys that the policy reads, in memory.
    time
        (n_users,) when each request arrived, UNIX seconds; any order.
    start, end
        What the requests cover; None takes the whole seconds around their times.

    Raises
    ------
    InputError
        For times that do not fit the candidates or are not finite, and for candidates that are read from files.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]})
    >>> oa.Requests(cands, [20.0, 10.0])
    Requests(2 from 10 to 20)
    """

    def __init__(
        self, candidates: Candidates, time: npt.ArrayLike, start: float | None = None, end: float | None = None
    ) -> None:
        if not isinstance(candidates, Candidates):
            raise InputError(f"Requests(candidates): expected oa.Candidates, got {type(candidates).__name__}.")
        try:
            at = np.array(time, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"Requests(time): expected UNIX seconds ({error}).") from None
        if at.shape != (candidates.n_users,):
            raise InputError(f"Requests(time): shape {at.shape}; expected ({candidates.n_users},), one per request.")
        bad = np.flatnonzero(~np.isfinite(at))
        if bad.size:
            raise InputError(f"Requests(time): entry {bad[0]} is {at[bad[0]]}; expected finite UNIX seconds.")
        if not at.size:
            raise InputError("Requests: there are no requests; expected one or more.")
        if any(not isinstance(column, np.ndarray) for column in candidates.columns.values()):
            raise InputError(
                "Requests(candidates): expected candidates in memory, not read from files as they are needed."
            )
        for name, given in (("start", start), ("end", end)):
            if given is not None and not math.isfinite(math.nan if (edge := as_real(given)) is None else edge):
                raise InputError(f"Requests({name}={shown(given)}): expected finite UNIX seconds, or None.")
        at.flags.writeable = False
        self.candidates, self.time = candidates, at
        self.start = float(np.floor(at.min())) if start is None else float(start)
        self.end = (
            float(np.floor(at.max()) + (0.0 if at.max() == np.floor(at.max()) else 1.0)) if end is None else float(end)
        )
        if self.start > at.min() or self.end < at.max():
            raise InputError(f"Requests: there are times outside of [{self.start:g}, {self.end:g}].")

    @classmethod
    def from_frames(
        cls, pairs: Table, requests: Table, time: str = "time", *, user: str = "user", item: str = "item",
        start: float | None = None, end: float | None = None, zone: str = "UTC", **how: Any,
    ) -> Self:  # fmt: skip
        """Requests from frames of any library: pairs with a column of request ids, and one row per request with a time.

        Parameters
        ----------
        pairs, requests
            The candidates, as of `Candidates.from_frames`, and a row per request: its id, its time, and attributes of
            its user.
        time
            The column of `requests` with UNIX seconds, or with dates and times.
        user, item
            The columns with the ids of requests and items.
        start, end
            As in `Requests`.
        zone
            The time zone of dates and times that have none.
        how
            Goes to `Candidates.from_frames`: `items=`, `columns=` and so on.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> import pandas as pd
        >>> pairs = pd.DataFrame({"user": ["x", "x", "y"], "item": [1, 2, 2], "relevance": [0.9, 0.5, 0.7]})
        >>> table = pd.DataFrame({"user": ["x", "y"], "time": [20.0, 10.0], "market": ["SE", "DE"]})
        >>> oa.Requests.from_frames(pairs, table)
        Requests(2 from 10 to 20)
        """
        columns = None if isinstance(requests, Mapping) else by_name(requests)
        if columns is None:
            raise InputError(f"Requests.from_frames(requests): expected a frame, got {type(requests).__name__}.")
        for name in (user, time):
            if name not in columns:
                raise InputError(f"Requests.from_frames: requests has no column {name!r}.{did_you_mean(name, columns)}")
        seconds = seconds_array(columns[time], zone_of(zone))
        bad = np.flatnonzero(~np.isfinite(seconds))
        if bad.size:
            found = as_listed(columns[time])[int(bad[0])]
            raise InputError(
                f"Requests.from_frames: requests, column {time!r}, row {bad[0]}: {shown(found)}; expected UNIX "
                "seconds, or a date and time."
            )
        frame: Any = requests
        rest = [name for name in columns if name != time]
        users = frame.select(rest) if hasattr(frame, "select") else frame[rest]  # pandas has no select
        cands = Candidates.from_frames(pairs, users=users, user=user, item=item, **how)
        ids = as_listed(columns[user])
        at = dict(zip(map(same, ids), seconds.tolist(), strict=True))
        known = range(cands.n_users) if cands.user_ids is None else as_listed(cands.user_ids)
        return cls(cands, [at[same(one)] for one in known], start, end)

    @classmethod
    def from_parquet(
        cls, pairs: str | PathLike[str], requests: str | PathLike[str], time: str = "time", *,
        items: str | PathLike[str] | None = None, **how: Any,
    ) -> Self:  # fmt: skip
        """Requests from Parquet files, or folders of them, which are read into memory; see `from_frames` for the rest.

        Raises `InputError` for a file that cannot be read, and `MissingDependencyError` without pyarrow.

        Example
        -------
        >>> import tempfile, oasis_alloc as oa, pyarrow as pa
        >>> from pyarrow import parquet
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     parquet.write_table(pa.table({"user": [7, 7], "item": [1, 2], "r": [0.9, 0.5]}), folder + "/pairs")
        ...     parquet.write_table(pa.table({"user": [7], "time": [12.5]}), folder + "/requests")
        ...     oa.Requests.from_parquet(folder + "/pairs", folder + "/requests")
        Requests(1 from 12 to 13)
        """
        read = require("pyarrow.parquet", "parquet").read_table
        tables: list[Any] = []
        for path in (pairs, requests, *(() if items is None else (items,))):
            try:
                with copied_from(path) as local:
                    tables.append(read(local))
            except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
                raise InputError(
                    f"Requests.from_parquet: {name_of(path)} cannot be read: {str(error).strip()}"
                ) from None
        if items is not None:
            how["items"] = tables[2]
        return cls.from_frames(tables[0], tables[1], time, **how)

    @classmethod
    def generated(
        cls, candidates: Candidates, start: float, end: float, *, schedule: RemainingShare | None = None, seed: int = 0
    ) -> Self:
        """Traffic for candidates without times: each user comes once, at a time drawn from a schedule; None is even.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]})
        >>> oa.Requests.generated(cands, 0.0, 3600.0)
        Requests(2 from 0 to 3600)
        """
        if not isinstance(candidates, Candidates):
            raise InputError(f"Requests(candidates): expected oa.Candidates, got {type(candidates).__name__}.")
        first, last = as_real(start), as_real(end)
        if first is None or last is None or not -np.inf < first < last < np.inf:
            raise InputError(f"Requests.generated(start={shown(start)}, end={shown(end)}): expected start < end.")
        if schedule is not None and not callable(getattr(schedule, "share", None)):
            raise InputError(
                f"Requests.generated(schedule): {type(schedule).__name__} has no method share(t0, t1, key)."
            )
        number = as_whole(seed)
        if number is None or number < 0:
            raise InputError(f"Requests.generated(seed={shown(seed)}): expected a whole number >= 0.")
        edges = np.linspace(first, last, _BINS + 1)
        spans = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        mass = np.diff(edges) if schedule is None else np.array([schedule.share(a, b, None) for a, b in spans])
        if not (np.isfinite(mass).all() and (mass >= 0).all() and mass.sum() > 0):
            raise InputError("Requests.generated(schedule): expected shares that are finite, >= 0 and not all 0.")
        total = np.concatenate([[0.0], np.cumsum(mass)])
        drawn = np.random.default_rng(number).random(candidates.n_users)
        return cls(candidates, np.interp(drawn, total / total[-1], edges), first, last)

    def __len__(self) -> int:
        return int(self.time.size)

    def __repr__(self) -> str:
        return f"Requests({self.time.size:,} from {self.start:g} to {self.end:g})"

    def arrivals(self, step: float) -> Floats:
        """How many arrive in each step of so many seconds from the start."""
        n = max(1, int(np.ceil((self.end - self.start) / step)))
        counts = np.bincount(((self.time - self.start) / step).astype(np.int64).clip(0, n - 1), minlength=n)
        out: Floats = counts.astype(np.float64)
        return out
