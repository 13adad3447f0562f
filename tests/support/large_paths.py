"""Every path of large problems, on small ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oasis_alloc.engines.settings import SIZES as ENGINE
from oasis_alloc.program.lowering import SIZES as LOWERING
from oasis_alloc.solvers.settings import DUAL


@contextmanager
def large_paths() -> Iterator[None]:
    """Turn every threshold for large problems down while the context is open."""
    dual = DUAL.using(
        min_undecided=2,
        undecided_per_row=0,
        sample_pairs=0,
        whole_relaxation=0,
        large=0,
        fractional_per_row=0.0,
        fractional_per_ruled_row=0.0,
    )
    with dual, ENGINE.using(chunk_pairs=8, users=1), LOWERING.using(folded_cells=0):
        yield
