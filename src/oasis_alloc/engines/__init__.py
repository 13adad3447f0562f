"""Engines: visits to all users, in memory on threads or streamed from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oasis_alloc.engines.chunks import Chunked
    from oasis_alloc.program.program import Program


def engine_for(program: Program, threads: int | None = None) -> Chunked:
    """The engine for a program, whose pairs are in memory or in Parquet files."""
    if program.stream is not None:
        from oasis_alloc.engines.stream import ParquetStream

        return ParquetStream(program, threads)
    from oasis_alloc.engines.threads import Threads

    return Threads(program, threads)
