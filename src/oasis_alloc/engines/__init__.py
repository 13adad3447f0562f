"""Engines: visits to all users, in memory on threads, streamed from files, or by actors of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from oasis_alloc.engines.chunks import Chunked
    from oasis_alloc.program.program import Program


class Elsewhere(Protocol):
    """Other processes that hold the pairs."""

    def engine(self, program: Program) -> Chunked:
        """An engine for a program of these pairs."""


def engine_for(program: Program, threads: int | None = None, cluster: Elsewhere | None = None) -> Chunked:
    """The engine for a program: for pairs in memory, in Parquet files, or at the actors of a cluster."""
    if cluster is not None:
        return cluster.engine(program)
    if program.stream is not None:
        from oasis_alloc.engines.stream import ParquetStream

        return ParquetStream(program, threads)
    from oasis_alloc.engines.threads import Threads

    return Threads(program, threads)
