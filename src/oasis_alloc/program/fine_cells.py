"""Cells of keys that are too fine for a table of all combinations: only those that occur have numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Ints
from oasis_alloc.data.grouping import runs
from oasis_alloc.data.occurring import Occurring


@dataclass(frozen=True, eq=False)
class FineCells:
    """The cells that occur, by segment and class, and how pairs in files find theirs."""

    segment: npt.NDArray[np.uint32]  # (n_users,) of the files' users
    start: Ints  # (n_segments + 1,)
    classes: npt.NDArray[np.uint32]  # (n_cells,) the class of a cell; segment s has those from start[s] on, ascending

    @classmethod
    def of(
        cls, indptr: Ints, item: npt.NDArray[Any], segment: Ints, code_of: npt.NDArray[Any] | None, n_classes: int
    ) -> tuple[FineCells, Ints]:
        """Read the items once; also returns every cell as `segment * n_classes + class`."""
        found = Occurring()
        for users, _, pointers, items in runs(indptr, item):
            key = np.repeat(segment[users].astype(np.int64), np.diff(pointers)) * n_classes
            found.add(key + (items if code_of is None else code_of[items]))
        cells = found.ascending()
        of, classes = np.divmod(cells, n_classes)
        start = np.searchsorted(of, np.arange(int(segment.max(initial=-1)) + 2))
        return cls(segment.astype(np.uint32), start, classes.astype(np.uint32)), cells

    def find(self, segment: npt.NDArray[np.uint32], code: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Write the cells of pairs, given by segment and class."""
        from oasis_alloc.kernels.solve.cells import find_cells

        find_cells(readonly(segment), readonly(code), readonly(self.start), readonly(self.classes), out)
