"""How a policy becomes the active one of a store, and how it ages.

Files are read and policies are warmed up before the lock for rebinding `_served` is taken: slow or hanging reads block
neither aging nor a roll-back.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from oasis_alloc.common.files import reason_of
from oasis_alloc.errors import SnapshotError
from oasis_alloc.hosting.decision import ActivePolicy
from oasis_alloc.hosting.judging import Facts, Seen, judge
from oasis_alloc.hosting.state import NoStateFile, State, StateFile
from oasis_alloc.hosting.stats import Stats
from oasis_alloc.hosting.watcher import Bell, ForkState, start_watching
from oasis_alloc.publish.reading import ManifestReader
from oasis_alloc.serving.schema import readable
from oasis_alloc.serving.staleness import DECAY, ORGANIC, Rung, Staleness
from oasis_alloc.serving.tally import Tally

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy
    from oasis_alloc.serving.overlay import Overlay

_log = logging.getLogger("oasis_alloc.serving")

_QUIET = 30.0  # seconds between two log lines with the same reason
_PATIENCE = 5.0  # seconds that a roll-back waits for the disk


class Swapping:
    """The active policy, those before it, and the methods that change them; see `PolicyStore`."""

    _overlay: tuple[Policy, Policy, int] | None = None  # (the policy, the same at other prices, sequence)

    _interval: float | None
    _called: str  # how messages name the file: a store of an address watches a copy

    def __init__(
        self, path: Path, ladder: Staleness, history: int, clock: Callable[[], float], manifest: ManifestReader
    ) -> None:
        self._path, self._ladder, self._manifest = path, ladder, manifest
        self._called = str(path)
        self._clock: Callable[[], float] = clock
        self._earlier: deque[Policy] = deque(maxlen=history)
        self._file = NoStateFile(path) if manifest.requires_signatures else StateFile(path)
        self._file_seen: object = None
        self._state, self._unsaved = State(), False
        self._seen = Seen()
        self._served: ActivePolicy | None = None
        self._tally = Tally()
        self._warm: set[int] = set()  # ids of the warm objects among those that are served or kept
        self._warms: bool = False  # whether a policy is warmed up before it becomes active
        self._draws: bool = True
        self._renew()

    def watched(self) -> None:
        """The job of the watcher thread: update the level of staleness, and check the file."""
        if self._served is not None:
            self._now()  # done here so that no request waits for it
        self.refresh()

    def _load(self, path: Path, raw: bytes | None = None) -> Policy:
        """The policy of a snapshot file, usually from bytes already read; SnapshotError if it is refused."""
        raise NotImplementedError

    # State of one process.

    def _renew(self) -> None:
        """Make new locks, counts and threads for this process; the locks of a parent may be held forever."""
        self._looking = threading.RLock()  # held during a check of the file, however long it takes
        self._changing = threading.RLock()  # held while _served is rebound: no file is read under it
        self._stats, self._tally = Stats(), self._tally.emptied()
        for policy in self._policies():
            policy.count_into(self._tally)
        self._logged: dict[str, float] = {}
        self._watcher: threading.Thread | None = None
        self._closed = Bell()
        self._process = ForkState.forks

    def _policies(self) -> list[Policy]:
        served = self._served
        return [*self._earlier, *([] if served is None else [served.origin, served.policy])]

    def _start(self) -> None:
        """Start the watcher of this process if it does not run."""
        with ForkState.lock:
            if self._process != ForkState.forks:
                self._renew()
            if self._interval is not None and self._watcher is None:
                self._watcher = start_watching(self, self._interval, self._closed)

    def _now(self) -> ActivePolicy:
        served = self._served
        if self._process != ForkState.forks or (self._watcher is None and self._interval is not None):
            self._start()
        if served is None:
            raise SnapshotError(self._why_none(), "no policy")
        if not served.since <= self._clock() < served.until:
            served = self._aged() or served
        return served

    def _why_none(self) -> str:
        last = self._stats.summary()["last_refused"]
        because = "" if last is None else f" The last one was refused: {last['message']}"
        return f"no policy has been loaded from {self._called}.{because}"

    def _aged(self) -> ActivePolicy | None:
        """Switch to the current level of staleness. Concurrent callers serve the previous one until it is done."""
        if not self._changing.acquire(blocking=False):
            return None
        try:
            served = self._served
            if served is not None and not served.since <= self._clock() < served.until:
                served = self._served = self._at_its_rung(served.origin)
            return served
        finally:
            self._changing.release()

    def _at_its_rung(self, origin: Policy) -> ActivePolicy:
        """The policy at its current level of staleness."""
        now = self._clock()
        rung = self._ladder.rung(now - origin.created)
        since, until = origin.created + rung.since, origin.created + rung.until
        if origin.valid_until is not None:
            if now >= origin.valid_until:
                rung, since, until = Rung(ORGANIC, 0.0, math.inf), origin.valid_until, math.inf
            else:
                until = min(until, origin.valid_until)
        before = self._served
        if before is not None and before.rung.mode != rung.mode:
            _log.warning("policy %s of %s: %s, after %s", self._id(origin), self._called, rung.mode, before.rung.mode)
        if before is not None and before.origin is origin and before.rung[:2] == rung[:2]:
            return ActivePolicy(before.policy, origin, rung, since, until)
        return ActivePolicy(self._on(rung, origin), origin, rung, since, until)

    def _on(self, rung: Rung, origin: Policy) -> Policy:
        """What is served of a policy on a rung, at the prices of the last overlay for it."""
        if rung.mode == ORGANIC:
            return origin.organic_only()
        laid = self._overlay
        priced = laid[1] if laid is not None and laid[0] is origin else origin
        return priced.decayed(rung.factor) if rung.mode == DECAY else priced

    def apply(self, overlay: Overlay) -> bool:
        """Serve the active policy at the prices of `pacer.overlay()`, without reading its file; False for an old one.

        Requests in progress end at the prices that they began with. The overlay holds until a higher one, or another
        policy, is there; as the policy grows old, its prices decay as the policy's own would.

        Raises `SnapshotError` for an overlay that is for another policy ("another policy"), and where there is none yet
        ("no policy").
        """
        with self._changing:
            served = self._now()
            laid = self._overlay
            if laid is not None and laid[0] is served.origin and overlay.sequence <= laid[2]:
                return False
            self._overlay = (served.origin, served.origin.overlaid(overlay), overlay.sequence)
            self._served = served._replace(policy=self._on(served.rung, served.origin))
        return True

    @staticmethod
    def _id(policy: Policy) -> str:
        return readable(policy.policy_id)

    # Methods that change the active policy.

    def refresh(self) -> bool:
        """Check the file now; True if another policy has become active.

        A snapshot that is refused changes nothing: it is counted, logged, and checked again when the file changes, or
        when the reason may have passed.
        """
        if self._process != ForkState.forks:
            self._start()
        with self._looking:
            followed = self._follow()
            try:
                found = self._look()
            except OSError as error:
                self._seen.forget()
                return (
                    self._refuse(SnapshotError(f"{self._called} cannot be read: {reason_of(error)}", "unreadable"))
                    or followed
                )
            except SnapshotError as error:
                if error.reason == "unreadable":  # the reason may pass
                    self._seen.forget()
                self._refuse(error)
                return self._instead(error) or followed
            except BaseException:
                self._seen.forget()  # a bug, or not enough memory: read it again later
                raise
            return found or followed

    def _look(self) -> bool:
        """Load the file if it has changed; True if its policy has become active."""
        seen = self._seen
        same, raw = seen.is_same(self._path)
        if same:
            if seen.waiting is None:
                return False
            try:
                self._judge(seen.waiting)
            except SnapshotError as error:
                if error.reason != seen.refused:
                    seen.refused = error.reason
                    raise
                return False
        policy = self._load(self._path, raw)
        facts = Facts.of(policy)
        seen.waiting, seen.refused = None, ""
        if self._is_active(facts):
            return False
        try:
            self._judge(facts)
            return self._activate(policy, keeps=True)
        except SnapshotError as error:
            seen.waiting, seen.refused = facts, error.reason
            raise

    def _is_active(self, facts: Facts) -> bool:
        served = self._served
        return served is not None and Facts.of(served.origin).version == facts.version

    def _judge(self, facts: Facts) -> None:
        # versions of a manifest say which policy is newer
        newest = -math.inf if self._manifest.version is not None else self._state.newest
        judge(facts, newest, self._state, self._clock(), self._path)

    def _activate(self, policy: Policy, keeps: bool) -> bool:
        """Make a policy active, warm if the store was warmed up; `keeps`: the previous one is kept for a roll-back."""
        policy.count_into(self._tally)
        is_warm = self._warms
        if is_warm:
            policy.warmup(self._draws)
        with self._changing:
            if keeps:
                self._judge(Facts.of(policy))  # again: a roll-back may have happened meanwhile
                if self._served is not None:
                    self._keep(self._served.origin, policy.policy_id)
                self._state = replace(self._state, newest=policy.created)
            elif policy in self._earlier:
                self._earlier.remove(policy)
            if is_warm:
                self._warm.add(id(policy))
            self._served = self._at_its_rung(policy)
            self._warm &= {id(one) for one in self._policies()}
            self._stats.loaded()
        _log.info("policy %s of %s is active", self._id(policy), self._called)
        return True

    def _keep(self, policy: Policy, active: str) -> None:
        """Keep a policy for roll-backs, each id once: a roll-back goes from one id to another."""
        others = [one for one in self._earlier if one.policy_id not in (active, policy.policy_id)]
        self._earlier.clear()
        self._earlier.extend(others if policy.policy_id == active else [*others, policy])

    def _refuse(self, error: SnapshotError) -> bool:
        now, message = self._clock(), readable(str(error))
        self._stats.refused(error.reason, message, now)
        if now - self._logged.get(error.reason, -math.inf) >= _QUIET:
            self._logged[error.reason] = now
            _log.warning("snapshot refused (%s): %s", error.reason, message)
        return False

    # Decisions that hold after a restart.

    def _follow(self) -> bool:
        """Apply the decisions of other processes or of the command line; True if another policy has become active."""
        stamp = self._file.stamp()
        if stamp != self._file_seen:
            self._file_seen = stamp
            self._seen.forget()  # a refused policy may be allowed now
            try:
                found = self._file.read()
            except SnapshotError as error:
                _log.error("the list of rolled-back policies cannot be read: %s", readable(str(error)))
                found = self._state
            with self._changing:
                if self._unsaved:  # a decision that could not be written holds in this process
                    for policy_id in self._state.rolled_back:
                        found = found.banning(policy_id)
                newest = found.newest if found.again != self._state.again else max(found.newest, self._state.newest)
                self._state = replace(found, newest=newest)
        served = self._served
        if served is None or served.origin.policy_id not in self._state.rolled_back:
            return False
        with self._changing:
            earlier = [one for one in self._earlier if one.policy_id not in self._state.rolled_back]
            wanted = [one for one in earlier if Facts.of(one).version == self._state.kept] or earlier
        if not wanted and self._state.kept is None:
            return False  # there is no other policy
        policy = wanted[-1] if wanted else self._kept()
        if policy is None:
            return False
        _log.warning("policy %s of %s has been rolled back", self._id(served.origin), self._called)
        return self._activate(policy, keeps=False)

    def _instead(self, error: SnapshotError) -> bool:
        """If the file's policy is refused by a decision: store the active policy, or serve the stored one."""
        if error.reason not in ("older", "rolled back"):
            return False
        served = self._served
        if served is not None:
            if error.reason == "older" and self._state.kept != Facts.of(served.origin).version:
                self._remember(served.origin)
            return False
        policy = self._kept()
        return policy is not None and self._activate(policy, keeps=False)

    def _kept(self) -> Policy | None:
        """The policy in `<snapshot>.kept`, if the state names it and does not refuse it."""
        if self._state.kept is None or self._state.kept[0] in self._state.rolled_back:
            return None
        try:
            policy = self._load(self._file.kept)
        except SnapshotError as error:
            _log.error("the policy to roll back to cannot be read: %s", readable(str(error)))
            return None
        return policy if Facts.of(policy).version == self._state.kept else None

    def _remember(self, active: Policy, gone: str | None = None) -> None:
        """Write the decision and the active policy next to the file; if that fails, it holds only in this process."""
        with self._changing:
            state = self._state if gone is None else self._state.banning(gone)
            self._state, self._unsaved = replace(state, kept=Facts.of(active).version), True

        def write() -> None:
            try:
                self._file.keep(active)
                self._file.write(self._state)
                self._unsaved = False
            except (OSError, SnapshotError) as error:
                _log.error(
                    "the state of %s cannot be written and is lost when this process ends: %s", self._path, error
                )

        writing = threading.Thread(target=write, name="oasis_alloc state", daemon=True)
        writing.start()
        writing.join(_PATIENCE)  # a hanging disk must not block

    def rollback(self) -> Policy:
        """Make the previous policy active again, and return it as it is served now.

        That is the last policy with other prices that has not been rolled back. Policies made again from the same data
        have the same id and count as one policy.

        The rolled-back policy is refused from now on, in all stores of this file and after a restart. For this,
        `<path>.state` and `<path>.kept` are written; if that fails, it is logged. The next newer snapshot becomes
        active as usual; to serve this one again, `publish` it. Raises `SnapshotError` ("no policy") if there is no
        earlier policy.
        """
        if self._process != ForkState.forks:
            self._start()
        with self._changing:
            gone = None if self._served is None else self._served.origin
            state = self._state if gone is None else self._state.banning(gone.policy_id)
            earlier = [one for one in self._earlier if one.policy_id not in state.rolled_back]
            if gone is None or not earlier:
                raise SnapshotError(f"there is no earlier policy of {self._called} to roll back to.", "no policy")
            policy = earlier.pop()
            self._earlier.clear()
            self._earlier.extend(earlier)
            _log.warning("policy %s of %s is rolled back", self._id(gone), self._called)
            self._served = self._at_its_rung(policy)
            self._state = state
            self._warm &= {id(one) for one in self._policies()}
        self._remember(policy, gone.policy_id)
        return self._now().policy

    def publish(self, snapshot: str | PathLike[str]) -> Policy:
        """Make a snapshot active, even if it is older than the active one or has been rolled back.

        Its bytes replace the store's file, for all stores of that file and after a restart. Returns the policy as it is
        served now. Raises `SnapshotError` for a file that is not a policy or has expired, and `OSError` if the store's
        file or its state cannot be written.
        """
        from oasis_alloc.hosting.publishing import publish

        if self._process != ForkState.forks:
            self._start()
        facts = publish(snapshot, self._path, self._clock())
        self.refresh()
        if not self._is_active(facts):
            raise SnapshotError(f"policy {readable(facts.policy_id)} was published but is not active.", "no policy")
        return self._now().policy
