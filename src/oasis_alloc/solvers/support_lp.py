"""Support functions in the finisher's linear program, by their own linear forms.

A support function is exact there, so its prices come out in their domain and need no chords that get finer. The
undecided pairs determine the range of each total, which makes the forms small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats
from oasis_alloc.program.program import Program

_ROUNDING = 1e-9  # of totals, which are sums in another order than the program's


@dataclass(frozen=True, eq=False)
class SupportForms:
    """Columns and rows that support functions add to a program."""

    rows: npt.NDArray[np.int64]  # of measures: all rows of all support functions
    largest_price: Floats  # the largest size of a price of each of `rows`
    delivered: Floats  # constants added to the totals, by row of `rows`
    totals: sp.csr_array  # (n_rows, n)
    inner: sp.csr_array  # (m, n), rows between `row_lower` and 0
    row_lower: Floats
    gain: Floats
    lower: Floats

    def same_as(self, other: SupportForms) -> bool:
        """True if a basis of one is a basis of the other."""
        mine, theirs = self.inner, other.inner
        return (
            self.totals.shape == other.totals.shape
            and mine.shape == theirs.shape
            and np.array_equal(self.totals.indices, other.totals.indices)
            and np.array_equal(mine.indices, theirs.indices)
        )


def support_forms(program: Program, base: sp.csr_array, fixed: Floats, prices: Floats) -> SupportForms:
    """The forms of a program's support functions.

    `base` are the contributions of the undecided pairs to base totals, (n_base, n_pairs); `fixed` the totals of fixed
    pairs, by row; `prices` those near which the program stays, in the domain.
    """
    if not program.supports:
        none = np.empty(0)
        empty = sp.csr_array((0, 0))
        return SupportForms(
            np.empty(0, np.int64), none, none, sp.csr_array((program.n_rows, 0)), empty, none, none, none
        )
    up, down = base.maximum(0).sum(axis=1), base.minimum(0).sum(axis=1)
    more, less = program.arithmetic.maximum(0), program.arithmetic.minimum(0)
    low, high = fixed + more @ down + less @ up, fixed + more @ up + less @ down
    slack = _ROUNDING * np.maximum(program.row_scale, np.abs(fixed))
    low, high = low - slack, high + slack
    forms, places = [], []
    for block, function in program.supports:
        here = block.rows
        form = function.linear(low[here], high[here], prices[here])
        place = sp.csr_array(
            (np.ones(len(block.labels)), (np.arange(here.start, here.stop), np.arange(len(block.labels)))),
            shape=(program.n_rows, len(block.labels)),
        )
        places.append(place @ form.totals)
        forms.append(form)
    equal = np.concatenate([form.equal for form in forms])
    return SupportForms(
        rows=np.concatenate([np.arange(block.rows.start, block.rows.stop) for block, _ in program.supports]),
        largest_price=np.concatenate(
            [
                function.largest() if form.largest is None else form.largest
                for (_, function), form in zip(program.supports, forms, strict=True)
            ]
        ),
        delivered=np.concatenate([np.broadcast_to(f.delivered, len(b.labels)) for b, f in program.supports]),
        totals=sp.csr_array(sp.hstack(places)),
        inner=sp.csr_array(sp.block_diag([form.inner for form in forms])),
        row_lower=np.where(equal, 0.0, -np.inf),
        gain=np.concatenate([form.gain for form in forms]),
        lower=np.concatenate([form.lower for form in forms]),
    )
