"""The part of engines that reads all pairs once, whatever the prices: sizes, and what totals can reach."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.engines.base import Survey
from oasis_alloc.engines.pieces import Piece
from oasis_alloc.engines.tree import added_up
from oasis_alloc.kernels.solve import decide as decide_kernels
from oasis_alloc.kernels.solve.slate_reach import Entries, Room, slate_reach
from oasis_alloc.program.program import Program
from oasis_alloc.program.row_units import typical_sizes
from oasis_alloc.program.slate_reach import within_slates


class Surveyed(ABC):
    """Passes without prices, over the pieces of an engine; none is counted as a pass."""

    _in_memory = False  # whether some of the users can be read without the others

    program: Program
    _n: int  # chunks
    _load: Floats  # (n_chunks, K + 1, n_cells)
    _survey: Survey | None
    _parts: Floats | None  # (2, K + 1, n_cells) positive and negative parts of all columns, since the survey
    _slate_reach: tuple[Floats, Floats] | None

    @abstractmethod
    def _pieces(self, job: Callable[[Piece], object], stride: int = 1) -> None:
        """Call the job with every piece: those of a chunk in order, different chunks at the same time.

        With `stride` > 1, users outside the sample may come without their pairs.
        """

    def _added_up(self, tables: Floats) -> Floats:
        """The sum of the tables of the chunks, which the last pass over them has made."""
        return added_up(tables)

    def survey(self) -> Survey:
        if self._survey is None:
            program = self.program
            scalars = np.zeros((self._n, 4))
            positive, negative = np.zeros((2, *self._load.shape))
            self._survey_pieces(scalars, positive, negative)
            self._parts = np.stack([self._added_up(positive), self._added_up(negative)])
            min_totals, max_totals = program.reached(*self._parts)
            size, lowest = scalars[:, :2].sum(axis=0).tolist()
            self._survey = Survey(
                size=size / max(1, program.n_pairs),
                largest=float(scalars[:, 2].max(initial=0.0)),
                lowest=lowest,
                min_totals=min_totals,
                max_totals=max_totals,
                typical=typical_sizes(program, *self._parts),
                mark=float(scalars[:, 3].sum()),
            )
        return self._survey

    def _survey_pieces(self, scalars: Floats, positive: Floats, negative: Floats) -> None:
        """Add to (n_chunks, 4) scalars and to tables by chunk."""
        n_classes = self.program.n_classes

        def job(piece: Piece) -> None:
            at = piece.chunk
            decide_kernels.survey(piece.first, piece.last, piece.start, piece.pairs, scalars[at])
            decide_kernels.reach(piece.first, piece.last, piece.pairs, n_classes, positive[at], negative[at])

        self._pieces(job)

    def slate_reach(self) -> tuple[Floats, Floats]:
        if self._slate_reach is None:
            survey = self.survey()
            all_pairs = survey.min_totals, survey.max_totals
            if self._parts is None:  # the survey is that of another engine
                return all_pairs
            self._slate_reach = within_slates(
                self.program, *all_pairs, self._parts, self._added_by_slates, self._in_memory
            )
        return self._slate_reach

    def _added_by_slates(self, entries: Entries, room: Room, n_rows: int, stride: int) -> Floats:
        out = np.zeros((self._n, 3, n_rows))
        self._slate_reach_pieces(entries, room, out, stride)
        return self._added_up(out)

    def _slate_reach_pieces(self, entries: Entries, room: Room, out: Floats, stride: int = 1) -> None:
        """Add to (n_chunks, 3, n_rows) sums, of the first users of every piece, one in `stride`."""

        def job(piece: Piece) -> None:
            last = piece.first - (piece.first - piece.last) // stride
            slate_reach(piece.first, last, piece.pairs, self.program.n_classes, entries, room, out[piece.chunk])

        self._pieces(job)
