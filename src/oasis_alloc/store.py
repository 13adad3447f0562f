"""The policy that a host serves: loaded, verified and swapped while other threads score.

A request reads one attribute, `_served`, and gets everything it needs from that object. A swap makes a new object and
rebinds the attribute, so no request can see parts of two policies. Files are read and policies are warmed up before
the lock for rebinding is taken: slow or hanging reads block neither the staleness rules nor a roll-back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import ColumnsLike, ItemsLike
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.hosting.decision import StoreDecision
from oasis_alloc.hosting.mirror import Mirror, is_address
from oasis_alloc.hosting.options import (
    checked_clock,
    checked_history,
    checked_interval,
    checked_ladder,
    checked_name,
    checked_path,
    checked_trust,
)
from oasis_alloc.hosting.swapping import Swapping
from oasis_alloc.hosting.watcher import ForkState
from oasis_alloc.publish.reading import ManifestReader, has_manifest
from oasis_alloc.serving.file.stored import loaded
from oasis_alloc.serving.request.clashes import explained
from oasis_alloc.serving.schema import shown
from oasis_alloc.serving.staleness import Staleness
from oasis_alloc.signals.drift.told import tell
from oasis_alloc.signals.drift.watch import DriftWatch

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy
    from oasis_alloc.publish.trust import Trust
    from oasis_alloc.serving.request.reader import UserLike


@suggesting
class PolicyStore(Swapping):
    """The policy in a snapshot file, kept up to date.

    `store.policy` is the policy to serve now. A thread notices a replaced file, loads it, verifies it and swaps it in
    at once; a file that is refused changes nothing. The thread starts with the first request of a process (and again in
    the child of a fork), never at import or in the constructor.

    Parameters
    ----------
    path
        The snapshot file, or the `manifest.json` of a directory of published policies (docs/publishing.md); it may
        appear later. Or the address of such a manifest: `s3://`, `gs://`, `https://`.
    refresh
        Seconds between two checks of the file, or None: then only `refresh()` checks.
    staleness
        How a policy is served as it ages; None is `Staleness()`. In any case, after `valid_until` of a policy only the
        organic column counts.
    history
        Number of earlier policies kept for `rollback()`, each id once.
    clock
        A function that returns UNIX seconds, for tests.
    name
        Name of this store in statistics; None for its path.
    trust
        Whose signatures a manifest must have; None accepts any manifest, and a snapshot without one.
    watch
        An `oa.DriftWatch` that looks at a sample of the requests; `stats()["drift"]` then has what it says. `score`,
        `boosts` and `select` tell it of requests; a host that uses `decide` calls `watch.seen` itself.

    Raises
    ------
    InputError
        If an option has the wrong type or is out of range, or the first age of `staleness` is not above `refresh`.

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
        history: int = 3,
        clock: Callable[[], float] = time.time,
        name: str | None = None,
        trust: Trust | None = None,
        watch: DriftWatch | None = None,
    ) -> None:
        self._mirror = Mirror(str(path)) if is_address(path) else None
        place = checked_path(path) if self._mirror is None else self._mirror.path
        if name is None and self._mirror is not None:
            name = self._mirror.address
        self._name = checked_name(name, place)
        if not (watch is None or isinstance(watch, DriftWatch)):
            raise InputError(f"PolicyStore(watch={shown(watch)}): expected an oa.DriftWatch, or None.")
        self._watch = watch
        self._interval = checked_interval(refresh)
        ladder = checked_ladder(staleness, self._interval)
        manifest = ManifestReader(checked_trust(trust))
        super().__init__(place, ladder, checked_history(history), checked_clock(clock), manifest)
        if self._mirror is not None:
            self._called = self._mirror.address
        self.refresh()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a PolicyStore ({self._called}) belongs to one process: it has locks and a thread. Make one with "
            "PolicyStore(path, ...) in each process, or pickle store.policy."
        )

    def close(self) -> None:
        """Stop watching the file; the active policy is still served."""
        self._interval = None
        self._closed.ring()

    def __enter__(self) -> PolicyStore:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # Methods for requests.

    @property
    def policy(self) -> Policy:
        """The policy to serve now; use the same object for all calls of one request.

        Raises `SnapshotError` ("no policy") if none has been loaded yet.
        """
        return self._now().policy

    @property
    def mode(self) -> str:
        """The current level of staleness: "fresh", "hold", "decay" or "organic"."""
        return self._now().rung.mode

    @property
    def name(self) -> str:
        """Name of this store in statistics."""
        return self._name

    @explained
    def score(
        self, /, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, **request: Any
    ) -> NDArray[np.float64]:
        """`Policy.score` of the policy to serve now, counted and timed.

        Use it if item numbers mean the same in every policy of the file, such as ids that are numbers. If ids are
        encoded, encode and score with one policy, in `decide`.
        """
        scores: NDArray[np.float64] = self._timed("score", items, columns, user, request)
        return scores

    @explained
    def boosts(
        self, /, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, **request: Any
    ) -> NDArray[np.float64]:
        """`Policy.boosts` of the policy to serve now; as `score`."""
        boosts: NDArray[np.float64] = self._timed("boosts", items, columns, user, request)
        return boosts

    @explained
    def select(
        self, /, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, **request: Any
    ) -> NDArray[np.int64]:
        """`Policy.select` of the policy to serve now; as `score`."""
        positions: NDArray[np.int64] = self._timed("select", items, columns, user, request)
        return positions

    def _timed(
        self, method: str, items: ItemsLike, columns: ColumnsLike, user: UserLike, request: dict[str, Any]
    ) -> Any:
        if user is not None:
            request["user"] = user
        with self.decide() as decision:
            answer = getattr(decision.policy, method)(items, columns, **request)
            decision.unseen = int(np.count_nonzero(np.asarray(items) < 0))
        if self._watch is not None and self._watch._is_due():
            tell(self._watch, decision.policy, items, columns, request)
        return answer

    def decide(self) -> StoreDecision:
        """Group several calls into one decision: `with store.decide() as decision:`, counted and timed at its end.

        An exception within it counts as a failed request.
        """
        try:
            return StoreDecision(self._now(), self._stats)
        except SnapshotError:
            self._stats.failed("no policy")
            raise

    def warmup(self, draws: bool = True) -> dict[str, float]:
        """Compile everything that requests can need, before the first one; return seconds by kernel.

        With `draws=False`, `sample` and `propensities` are left out; with slate rules they take longest.

        From here on `stats()["ready"]` is True, and a new policy is warmed up before it becomes active. A policy
        that became active meanwhile is warmed up as well. Raises `SnapshotError` ("no policy") if none has been loaded
        yet.
        """
        self._warms, self._draws = True, draws
        seconds: dict[str, float] = {}
        while True:
            origin = self._now().origin
            for kernel, took in origin.warmup(draws).items():
                seconds[kernel] = seconds.get(kernel, 0.0) + took
            with self._changing:
                self._warm.add(id(origin))
                if self._served is not None and self._served.origin is origin:
                    return seconds

    def stats(self) -> dict[str, Any]:
        """A plain dict of what this process has done since it started, or since its fork.

        `store` (its name), `policy_id`, `created`, `age` (seconds), `mode`, `factor` (of the prices), `ready` and,
        where it is not, `not_ready` ("no policy", "not warm", "requests fail"), `kept` (for roll-back), `rolled_back`,
        `version` (of the manifest, the last one verified),
        `decisions` and `decisions_by_mode`, `failed_requests` by reason, `ignored_keys` by key, `mistyped_requests`,
        `unseen_items`, `score_seconds` (count, sum, p50, p90, p99, p999, max), `loaded_snapshots`, `refused_snapshots`
        by reason, `last_refused`, and with `watch` also `drift`. None if there is no policy.
        """
        if self._process != ForkState.forks:
            self._start()
        served = self._now() if self._served is not None else None
        origin = None if served is None else served.origin
        why = self._not_ready(origin)
        return {
            "store": self._name,
            "policy_id": None if served is None else served.policy.policy_id,
            "created": None if origin is None else origin.created,
            "age": None if origin is None else max(0.0, self._clock() - origin.created),
            "mode": None if served is None else served.rung.mode,
            "factor": None if served is None else served.rung.factor,
            "ready": why is None,
            "not_ready": why,
            "kept": len(self._earlier),
            "rolled_back": list(self._state.rolled_back),
            "version": None if self._manifest.version is None else self._manifest.version.version,
            **self._tally.summary(),
            **self._stats.summary(),
            **({} if self._watch is None else {"drift": self._watch.stats()}),
        }

    def _not_ready(self, origin: Policy | None) -> str | None:
        """Why requests should go to another instance; None if this one is ready."""
        if origin is None:
            return "no policy"
        if id(origin) not in self._warm:
            return "not warm"
        return "requests fail" if self._stats.is_failing() else None

    def _look(self) -> bool:
        if self._mirror is not None:
            self._mirror.update()
        return super()._look()

    def _load(self, path: Path, raw: bytes | None = None) -> Policy:
        if path == self._path and (self._manifest.version is not None or (raw is None and has_manifest(path))):
            try:
                raw = self._manifest.current(path)
            except SnapshotError as error:
                if self._manifest.is_incomplete:  # a copy of a directory may have the manifest before the policy
                    self._seen.forget()
                raise SnapshotError(f"{path}: {error}", error.reason) from error
        elif self._manifest.requires_signatures:
            raise SnapshotError(f"{path} is not a manifest, so it has no signature; one is required.", "unsigned")
        return _load(path, raw)


def _load(path: Path, raw: bytes | None) -> Policy:
    from oasis_alloc.policy import Policy

    return loaded(Policy, path, raw)
