"""Users of files who stand several times in a row in a program: once per distinct slot weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Floats, Ints


@dataclass(frozen=True, eq=False)
class Copies:
    """Which pair of the files a pair of the program stands for, worked out from arrays by user alone."""

    indptr: Ints  # (users of the files + 1,)
    share: Floats  # (copies of a user,) the share of a pair's probability that its copy stands for

    @property
    def times(self) -> int:
        """Copies of every user."""
        return int(self.share.size)

    def between(self, first: int, last: int) -> tuple[int, int, Ints]:
        """(first pair of the files, one after the last, the place of every pair of the program in between) of users.

        The users are those of the program, `first` to one before `last`.
        """
        users = np.arange(first, last) // self.times
        begin, end = self.indptr[[users[0], users[-1] + 1]].tolist()
        return begin, end, gather(self.indptr, users)[1] - begin

    def pairs(self, users: Ints, positions: Ints) -> Ints:
        """The pairs of the files that pairs of the program stand for; `users` are the program's."""
        of, copy = np.divmod(users, self.times)
        begin = self.indptr[of]
        return np.asarray(begin + positions - (self.times * begin + copy * (self.indptr[of + 1] - begin)))

    def folded(self, users: Ints, positions: Ints, x: Floats) -> tuple[Ints, Floats]:
        """The non-zeros of an allocation over the files' own pairs, ascending."""
        found, inverse = np.unique(self.pairs(users, positions), return_inverse=True)
        weighted = self.share[users % self.times] * x
        return found, np.asarray(np.bincount(inverse, weighted, found.size), np.float64)
