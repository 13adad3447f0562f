"""What requests use of a store at one time, and a decision that is taken with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from oasis_alloc.errors import InputError
from oasis_alloc.serving.staleness import Rung
from oasis_alloc.serving.stats import Stats

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
        To be set by the host: how many candidates the policy did not know.
    """

    __slots__ = ("_begun", "_stats", "mode", "policy", "unseen")

    def __init__(self, served: Served, stats: Stats) -> None:
        self.policy, self.mode, self.unseen = served.policy, served.rung.mode, 0
        self._stats = stats
        self._begun = time.perf_counter()

    def __enter__(self) -> Decision:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:
            self._stats.decided(self.mode, time.perf_counter() - self._begun, self.unseen)
        elif issubclass(kind, Exception):  # what raised was no decision
            self._stats.failed("input" if issubclass(kind, InputError) else "error")
