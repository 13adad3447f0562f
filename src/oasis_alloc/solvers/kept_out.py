"""Limits of 0 that keep pairs out of all slates: every pair that counts in a total that has to be 0.

They are caps of 0 or less on totals without negative contributions, and floors of 0 or more on totals without positive
ones. The total may be of exposure or of any column. Users with slates of size 0 are shown no pairs either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Ints
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.pair_lookup import PairView

_PART = 1 << 20  # pairs looked up at a time


class Sorted(NamedTuple):
    """Some pairs, and which of them no slate may have."""

    pairs: PairView
    columns: sp.csr_array  # what they add to base totals, as `Program.columns_of`
    kept_out: npt.NDArray[np.bool_]


def rows_of_nothing(engine: Engine) -> Ints:
    """The rows whose total has to be 0, and is 0 only without all pairs that count in it."""
    program, survey = engine.program, engine.survey()
    lower, upper, _ = program.bands()
    caps, floors = (upper <= 0.0) & (survey.min_totals >= 0.0), (lower >= 0.0) & (survey.max_totals <= 0.0)
    counts = (survey.min_totals != 0.0) | (survey.max_totals != 0.0)
    return np.flatnonzero(program.hard & counts & (caps | floors))


def sorted_pairs(engine: Engine, nothing: Ints) -> Iterator[Sorted]:
    """All pairs, in parts; `nothing` are the rows of `rows_of_nothing`."""
    program = engine.program
    forbids, slots = program.arithmetic[nothing], program.slots_by_user
    for start in range(0, program.n_pairs, _PART):
        pairs = engine.take(np.arange(start, min(start + _PART, program.n_pairs)))
        columns = program.columns_of(pairs)
        kept_out = np.asarray(abs(forbids @ columns).sum(axis=0)).ravel() > 0.0
        kept_out |= slots[pairs.users] == 0
        yield Sorted(pairs, columns, kept_out)
