"""The solvers by name: what to call them in tables, the tolerance that they stop on, and who runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import conic_runners, runners
from benchmarks.instances import Instance
from benchmarks.runners import Answer


@dataclass(frozen=True)
class Peer:
    """A solver: its title, the tolerance that it stops on (None: its own), and how to run it."""

    title: str
    tolerance: float | None
    run: Callable[[Instance, float | None, int, float], Answer]


_PEERS = {
    "ours": Peer("oasis_alloc", 1e-6, runners.ours),
    "pdlp": Peer("OR-tools PDLP", 1e-4, runners.pdlp),
    "highs": Peer("HiGHS simplex", None, runners.highs),
    "highs-ipm": Peer("HiGHS ipm", 1e-4, runners.highs_ipm),
    "highs-pdlp": Peer("HiGHS pdlp", 1e-4, runners.highs_pdlp),
    "clarabel": Peer("cvxpy, Clarabel", 1e-4, conic_runners.clarabel),
    "osqp": Peer("cvxpy, OSQP", 1e-4, conic_runners.osqp),
    "scs": Peer("cvxpy, SCS", 1e-4, conic_runners.scs),
}

NAMES = tuple(_PEERS)


def peer_named(text: str) -> Peer:
    """A peer by `name`, or by `name:tolerance`.

    >>> peer_named("pdlp").tolerance, peer_named("pdlp:1e-6").tolerance
    (0.0001, 1e-06)
    """
    name, _, tolerance = text.partition(":")
    if name not in _PEERS:
        raise ValueError(f"no solver is named {name!r}; there are {', '.join(NAMES)}")
    peer = _PEERS[name]
    if not tolerance:
        return peer
    number = float(tolerance)
    if not number > 0:
        raise ValueError(f"the tolerance of {text!r} is not positive")
    return Peer(peer.title, number, peer.run)
