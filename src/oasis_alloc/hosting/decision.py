"""What requests use of a store at one time, and a decision that is taken with it."""

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


class Served(NamedTuple):
    """What requests use between two times: `policy` is `origin`, or made from it by the rung that holds."""

    policy: Policy
    origin: Policy
    rung: Rung
    since: float  # UNIX seconds
    until: float


class Decision:
    """One decision with the policy that was there when it began; see `PolicyStore.decide`.

    Attributes
    ----------
    policy, mode
        The policy to take it with, and its rung of the ladder.
    unseen
        To be set by the host: how many candidates the policy did not know. `InputError` for what is no whole number.
    """

    __slots__ = ("_begun", "_stats", "_unseen", "mode", "policy")

    def __init__(self, served: Served, stats: Stats) -> None:
        self.policy, self.mode = served.policy, served.rung.mode
        self._unseen = 0
        self._stats = stats
        self._begun = time.perf_counter()

    @property
    def unseen(self) -> int:
        """How many candidates the policy did not know."""
        return self._unseen

    @unseen.setter
    def unseen(self, number: int) -> None:
        whole = as_whole(number)
        if whole is None or whole < 0:
            raise InputError(f"decision.unseen={shown(number)}: expected a whole number, 0 or more.")
        self._unseen = whole

    def __enter__(self) -> Decision:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:
            self._stats.decided(self.mode, time.perf_counter() - self._begun, self._unseen)
        elif issubclass(kind, Exception):  # what raised was no decision
            self._stats.failed("input" if issubclass(kind, InputError) else "error")
