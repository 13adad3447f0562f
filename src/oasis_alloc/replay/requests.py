"""Requests in time: candidates of every request, and when it arrived."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Table
from oasis_alloc.errors import InputError


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
            raise InputError("Requests: there are none; expected at least one.")
        if any(not isinstance(column, np.ndarray) for column in candidates.columns.values()):
            raise InputError(
                "Requests(candidates): expected candidates in memory, not read from files as they are needed."
            )
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
        cls, pairs: Table, requests: Table, time: str = "time", *, user: str = "user", item: str = "item", **how: Any
    ) -> Self:
        """Requests from frames of any library: pairs with a column of request ids, and one row per request with a time.

        `how` goes to `Candidates.from_frames`: `items=`, columns and so on.
        """
        cands = Candidates.from_frames(pairs, users=requests, user=user, item=item, **how)
        if time not in cands.users:
            raise InputError(f"Requests.from_frames(time={time!r}): the frame of requests has no such column.")
        key = cands.users[time]
        return cls(cands, np.asarray(key.labels, np.float64)[key.codes])

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
