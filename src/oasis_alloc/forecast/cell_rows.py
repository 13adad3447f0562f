"""What a slot adds to the rows of a program: by cell, as all pairs of a cell differ in their columns alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.program import Program


class CellRows(NamedTuple):
    """Rows by cell in compressed form: a pair adds `adds[0] + sum_k adds[k] c_k` to each, with its columns c."""

    start: Ints  # (n_cells + 1,)
    row: Ints
    adds: Floats  # (K + 1, entries)

    @classmethod
    def of(cls, program: Program, most: int) -> CellRows | None:
        """Of all rows; None if that has more than `most` entries."""
        per_group = np.diff(sp.csc_array(program.arithmetic).indptr)
        if sum(int(np.diff(matrix.indptr) @ per_group) for matrix in program.base) > most:
            return None
        columns = [sp.csc_array(program.arithmetic @ matrix) for matrix in program.base]
        keys, parts = [], []
        for matrix in columns:
            matrix.sort_indices()
            cell = np.repeat(np.arange(program.n_cells), np.diff(matrix.indptr))
            keys.append(cell * max(1, program.n_rows) + matrix.indices)
            parts.append(matrix.data)
        every = np.unique(np.concatenate(keys)).astype(np.int64)
        adds = np.zeros((len(columns), every.size))
        for k, (key, data) in enumerate(zip(keys, parts, strict=True)):
            adds[k, np.searchsorted(every, key)] = data
        cell, row = np.divmod(every, max(1, program.n_rows))
        start = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=program.n_cells))])
        return cls(start.astype(np.int64), row, adds)

    def only(self, rows: np.ndarray) -> CellRows:
        """Some rows alone, by a flag per row; their numbers stay."""
        kept = rows[self.row]
        before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return CellRows(before[self.start], self.row[kept], np.ascontiguousarray(self.adds[:, kept]))

    def entries(self, cells: Ints, extra: Floats) -> tuple[Ints, Ints, Floats]:
        """(pair, row, what its slot adds) of each entry of some pairs, by their cells and columns, (K, n_pairs)."""
        start, places = gather(self.start, cells)
        pair = np.repeat(np.arange(cells.size), np.diff(start))
        adds = self.adds[0, places]
        for k in range(extra.shape[0]):
            adds = adds + self.adds[k + 1, places] * extra[k, pair]
        return pair, self.row[places], adds
