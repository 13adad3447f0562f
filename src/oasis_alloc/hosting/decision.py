"""The policy that a store serves at one time, and a decision made with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from oasis_alloc.common.checks import as_whole
from oasis_alloc.errors import InputError
from oasis_alloc.hosting.stats import Stats
from oasis_alloc.serving.schema import shown
from oasis_alloc.serving.staleness import Rung

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy


class ActivePolicy(NamedTuple):
    """The policy served between two times: `policy` is `origin`, or made from it for its level of staleness."""

    policy: Policy
    origin: Policy
    rung: Rung
    since: float  # UNIX seconds
    until: float


class StoreDecision:
    """One decision with the policy that was active when it began; see `PolicyStore.decide`.

    Attributes
    ----------
    policy, mode
        The policy to use, and its level of staleness.
    unseen
        Set by the host: the number of candidates that the policy did not know. `InputError` if it is not a whole
        number.
    """

    __slots__ = ("_begun", "_stats", "_unseen", "mode", "policy")

    def __init__(self, served: ActivePolicy, stats: Stats) -> None:
        self.policy, self.mode = served.policy, served.rung.mode
        self._unseen = 0
        self._stats = stats
        self._begun = time.perf_counter()

    @property
    def unseen(self) -> int:
        """Number of candidates that the policy did not know."""
        return self._unseen

    @unseen.setter
    def unseen(self, number: int) -> None:
        whole = as_whole(number)
        if whole is None or whole < 0:
            raise InputError(f"decision.unseen={shown(number)}: expected a whole number, 0 or more.")
        self._unseen = whole

    def __enter__(self) -> StoreDecision:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:
            self._stats.decided(self.mode, time.perf_counter() - self._begun, self._unseen)
        elif issubclass(kind, Exception):  # an exception is not a decision
            self._stats.failed("input" if issubclass(kind, InputError) else "error")
