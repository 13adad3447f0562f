"""The policy that a host serves now: loaded, verified and swapped while other threads score.

A request reads one attribute, `_served`, and everything it needs hangs on what that refers to. Whoever swaps makes a
new object and rebinds the attribute, so that no request can see a part of one policy and a part of another.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.serving.staleness import DECAY, ORGANIC, Rung, Staleness
from oasis_alloc.serving.stats import Stats
from oasis_alloc.serving.watching import Process, start_watching

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy

_log = logging.getLogger("oasis_alloc.serving")

_CLOCKS_DIFFER = 300.0  # seconds by which the clock of who wrote a snapshot may be ahead of ours
_QUIET = 30.0  # seconds between two lines in the log about the same reason

Stamp = tuple[int, int, int]


class _Served(NamedTuple):
    """What requests use until a time: `policy` is `origin`, or made from it by the rung that holds."""

    policy: Policy
    origin: Policy
    rung: Rung
    until: float  # UNIX seconds


class Decision:
    """One decision with the policy that was there when it began; see `PolicyStore.decide`.

    Attributes
    ----------
    policy, mode
        The policy to take it with, and its rung of the ladder.
    unseen
        To be set by the host: how many candidates the policy did not know.
    """

    __slots__ = ("_begun", "_stats", "mode", "policy", "unseen")

    def __init__(self, served: _Served, stats: Stats) -> None:
        self.policy, self.mode, self.unseen = served.policy, served.rung.mode, 0
        self._stats = stats
        self._begun = time.perf_counter()

    def __enter__(self) -> Decision:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:  # what raised was no decision
            self._stats.decided(self.mode, time.perf_counter() - self._begun, self.unseen)


class PolicyStore:
    """The policy in a snapshot file, kept up to date.

    `store.policy` is the policy to serve now. A file that is replaced is noticed by a thread, loaded, verified and
    swapped in at once; one that is refused changes nothing. The thread starts with the first request of a process (and
    again in the child of a fork), never at import or where the store is made.

    Parameters
    ----------
    path
        The snapshot file; it may appear later.
    refresh
        Seconds between two looks at the file, or None: then only `refresh()` looks.
    staleness
        How a policy is served as it grows old; None is `Staleness()`. Whatever it says, after `valid_until` of a policy
        only the organic column counts.
    keep
        How many earlier policies are kept for `rollback()`.
    clock
        UNIX seconds, for tests.

    Raises
    ------
    InputError
        If a number is out of range, or the ladder's first rung is not above `refresh`.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> store = oa.PolicyStore(tempfile.gettempdir() + "/no-such-policy", refresh=None)
    >>> store.stats()["mode"], store.stats()["refused_snapshots"]
    (None, {'unreadable': 1})
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        refresh: float | None = 5.0,
        staleness: Staleness | None = None,
        keep: int = 3,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(path)
        self._interval = _checked_interval(refresh)
        self._ladder = Staleness() if staleness is None else staleness
        if not isinstance(self._ladder, Staleness):
            raise InputError(f"PolicyStore(staleness={staleness!r}): expected a Staleness, or None.")
        if self._interval is not None:
            self._ladder.check_against(self._interval)
        if isinstance(keep, bool) or not isinstance(keep, Integral) or keep < 0:
            raise InputError(f"PolicyStore(keep={keep!r}): expected a whole number, 0 or more.")
        self._clock: Callable[[], float] = clock
        self._earlier: deque[Policy] = deque(maxlen=int(keep))
        self._newest: float = -math.inf  # when the newest policy that was active was created
        self._banned: set[str] = set()  # ids of policies that were rolled back
        self._seen: Stamp | None = None
        self._warm: bool = False
        self._draws: bool = True
        self._served: _Served | None = None
        self._renew()
        self.refresh()

    # What is of one process.

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a PolicyStore ({self._path}) is of one process: it has locks and a thread. Make one with "
            "PolicyStore(path, ...) in each process, or pickle store.policy."
        )

    def _renew(self) -> None:
        """Locks, counts and threads of this process; those of a parent may be held for ever."""
        self._changing = threading.RLock()  # around everything that rebinds _served
        self._stats = Stats()
        self._logged: dict[str, float] = {}
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()
        self._process = Process.forks

    def _start(self) -> None:
        """Start what this process lacks."""
        with Process.lock:
            if self._process != Process.forks:
                self._renew()
            if self._interval is not None and self._watcher is None:
                self._watcher = start_watching(self, self._interval, self._closed)

    def close(self) -> None:
        """Stop watching; the policy that is active goes on being served."""
        self._closed.set()
        self._interval = None

    def __enter__(self) -> PolicyStore:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def watched(self) -> None:
        """What the watching thread does: look at the file, and let an old policy grow older."""
        self.refresh()
        if self._served is not None:
            self._now()  # here, rather than while a request waits

    # What a request asks.

    @property
    def policy(self) -> Policy:
        """The policy to serve now; hold on to it for all calls of one request.

        Raises `SnapshotError` ("no policy") where none has been loaded yet.
        """
        return self._now().policy

    @property
    def mode(self) -> str:
        """The rung of the ladder: "fresh", "hold", "decay" or "organic"."""
        return self._now().rung.mode

    def score(self, items: Any, columns: Any, **request: Any) -> NDArray[np.float64]:
        """`Policy.score` of the policy to serve now, counted and timed.

        For item numbers that mean the same in every policy of the file, such as ids that are numbers; where ids are
        encoded, encode and score with one policy, in `decide`.
        """
        scores: NDArray[np.float64] = self._timed("score", items, columns, request)
        return scores

    def boosts(self, items: Any, columns: Any, **request: Any) -> NDArray[np.float64]:
        """`Policy.boosts` of the policy to serve now; as `score`."""
        boosts: NDArray[np.float64] = self._timed("boosts", items, columns, request)
        return boosts

    def select(self, items: Any, columns: Any, **request: Any) -> NDArray[np.int64]:
        """`Policy.select` of the policy to serve now; as `score`."""
        positions: NDArray[np.int64] = self._timed("select", items, columns, request)
        return positions

    def _timed(self, method: str, items: Any, columns: Any, request: dict[str, Any]) -> Any:
        with self.decide() as decision:
            answer = getattr(decision.policy, method)(items, columns, **request)
            decision.unseen = int(np.count_nonzero(np.asarray(items) < 0))
        return answer

    def decide(self) -> Decision:
        """Several calls that are one decision: `with store.decide() as decision:`, counted and timed at its end."""
        return Decision(self._now(), self._stats)

    def _now(self) -> _Served:
        served = self._served
        if self._process != Process.forks or (self._watcher is None and self._interval is not None):
            self._start()
        if served is None:
            raise SnapshotError(self._why_none(), "no policy")
        if self._clock() >= served.until:
            served = self._descend() or served
        return served

    def _why_none(self) -> str:
        last = self._stats.summary()["last_refused"]
        because = "" if last is None else f" The last one was refused: {last['message']}"
        return f"no policy has been loaded from {self._path}.{because}"

    def _descend(self) -> _Served | None:
        """Go to the rung that holds now; who comes while another one is at it serves what there is meanwhile."""
        if not self._changing.acquire(blocking=False):
            return None
        try:
            served = self._served
            if served is not None and self._clock() >= served.until:
                served = self._served = self._at_its_rung(served.origin)
            return served
        finally:
            self._changing.release()

    def _at_its_rung(self, origin: Policy) -> _Served:
        """The policy as old as it is."""
        rung = self._ladder.rung(self._clock() - origin.created)
        until = origin.created + rung.until
        if origin.valid_until is not None:
            if self._clock() >= origin.valid_until:
                rung, until = Rung(ORGANIC, 0.0, math.inf), math.inf
            else:
                until = min(until, origin.valid_until)
        policy = origin
        if rung.mode == ORGANIC:
            policy = origin.organic_only()
        elif rung.mode == DECAY:
            policy = origin.decayed(rung.factor)
        before = self._served
        if before is not None and before.rung.mode != rung.mode:
            _log.warning("policy %s of %s: %s, after %s", origin.policy_id, self._path, rung.mode, before.rung.mode)
        return _Served(policy, origin, rung, until)

    # What changes it.

    def refresh(self) -> bool:
        """Look at the file now; True if another policy has become active.

        A snapshot that is refused changes nothing: it is counted, logged, and looked at again when the file changes.
        """
        if self._process != Process.forks:
            self._start()
        with self._changing:
            try:
                at = os.stat(self._path)
                stamp = (at.st_mtime_ns, at.st_ino, at.st_size)
                if stamp == self._seen:
                    return False
                policy = self._accepted(_load(self._path))
            except OSError as error:
                return self._refuse(SnapshotError(f"{self._path} cannot be read: {error}", "unreadable"))
            except SnapshotError as error:
                if error.reason != "unreadable":  # that may pass
                    self._seen = stamp
                return self._refuse(error)
            self._seen = stamp
            if policy is None:
                return False
            if self._warm:
                policy.warmup(self._draws)
            if self._served is not None:
                self._earlier.append(self._served.origin)
            self._served = self._at_its_rung(policy)
            self._newest = policy.created
            self._stats.loaded()
            _log.info("policy %s of %s is active", policy.policy_id, self._path)
            return True

    def _accepted(self, policy: Policy) -> Policy | None:
        """The policy if it may become the active one, None if it is; else SnapshotError."""
        now, name = self._clock(), f"policy {policy.policy_id}"
        active = None if self._served is None else self._served.origin
        if active is not None and (policy.policy_id, policy.created) == (active.policy_id, active.created):
            return None
        if policy.policy_id in self._banned:
            raise SnapshotError(f"{name} has been rolled back here.", "rolled back")
        if policy.created > now + _CLOCKS_DIFFER:
            raise SnapshotError(f"{name} was created {policy.created - now:,.0f} s from now.", "in the future")
        if policy.valid_until is not None and policy.valid_until <= now:
            raise SnapshotError(f"{name} was valid until {now - policy.valid_until:,.0f} s ago.", "expired")
        if policy.created < self._newest:
            raise SnapshotError(f"{name} is {self._newest - policy.created:,.0f} s older than the active one.", "older")
        return policy

    def _refuse(self, error: SnapshotError) -> bool:
        now = self._clock()
        self._stats.refused(error.reason, str(error), now)
        if now - self._logged.get(error.reason, -math.inf) >= _QUIET:
            self._logged[error.reason] = now
            _log.warning("snapshot refused (%s): %s", error.reason, error)
        return False

    def rollback(self) -> Policy:
        """Make the policy before the active one active again, and return it as it is served now.

        The one that was rolled back is refused from here on; the next newer snapshot becomes active as ever. Raises
        `SnapshotError` ("no policy") where nothing is kept.
        """
        if self._process != Process.forks:
            self._start()
        with self._changing:
            if self._served is None or not self._earlier:
                raise SnapshotError(f"no earlier policy of {self._path} is kept to roll back to.", "no policy")
            self._banned.add(self._served.origin.policy_id)
            _log.warning("policy %s of %s is rolled back", self._served.origin.policy_id, self._path)
            self._served = self._at_its_rung(self._earlier.pop())
            return self._served.policy

    def warmup(self, draws: bool = True) -> dict[str, float]:
        """Compile everything that a request can need, before the first one; seconds by kernel.

        Without `draws`, all but what `sample` and `propensities` need, which takes longest where there are rules.

        From here on `stats()["ready"]` is True, and a new policy is warmed up before it becomes active. Raises
        `SnapshotError` ("no policy") where none has been loaded yet.
        """
        seconds = self.policy.warmup(draws)
        self._warm, self._draws = True, draws
        return seconds

    def stats(self) -> dict[str, Any]:
        """A plain dict of what this process has done since it started, or since its fork.

        `policy_id`, `created`, `age` (seconds), `mode`, `factor` (of the prices), `ready`, `kept` (for roll-back),
        `decisions` and `decisions_by_mode`, `unseen_items`, `score_seconds` (count, sum, p50, p90, p99, p999, max),
        `loaded_snapshots`, `refused_snapshots` by reason, `last_refused`. None where there is no policy.
        """
        if self._process != Process.forks:
            self._start()
        served = self._now() if self._served is not None else None
        origin = None if served is None else served.origin
        return {
            "policy_id": None if served is None else served.policy.policy_id,
            "created": None if origin is None else origin.created,
            "age": None if origin is None else max(0.0, self._clock() - origin.created),
            "mode": None if served is None else served.rung.mode,
            "factor": None if served is None else served.rung.factor,
            "ready": served is not None and self._warm,
            "kept": len(self._earlier),
            **self._stats.summary(),
        }


def _load(path: Path) -> Policy:
    from oasis_alloc.policy import Policy

    return Policy.load(path)


def _checked_interval(refresh: float | None) -> float | None:
    if refresh is None:
        return None
    if isinstance(refresh, bool) or not isinstance(refresh, Real) or not math.isfinite(refresh) or refresh <= 0:
        raise InputError(f"PolicyStore(refresh={refresh!r}): expected a finite number of seconds above 0, or None.")
    return float(refresh)
