"""The shortest way from a request to a slate: buffers that are there already, and nothing checked twice."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from oasis_alloc.errors import InputError
from oasis_alloc.serving.data import Floats, Integers
from oasis_alloc.serving.requests import User
from oasis_alloc.serving.scorer import Scorer


class Prepared:
    """Buffers of one thread; see `Policy.prepare`."""

    __slots__ = (
        "_best", "_blend", "_counts", "_flat", "_info", "_k", "_keep", "_kept", "_most", "_of_item", "_owner", "_pick",
        "_plain", "_rules", "_score", "_share", "_stairs", "columns", "items", "marginal", "names", "positions",
        "scores",
    )  # fmt: skip

    def __init__(self, scorer: Scorer, most: int, k: int | None) -> None:
        from oasis_alloc.kernels import serve, slate_keep, slate_pick

        for name, number in (("most", most), ("k", k)):
            if number is not None and (not isinstance(number, Integral) or isinstance(number, bool) or number < 0):
                raise InputError(f"prepare({name}={number!r}): expected a whole number >= 0.")
        formula, selector, slate, names = scorer.formula, scorer.selector, scorer.data.slate, scorer.selected
        most, k = int(most), slate.size if k is None else int(k)
        self._owner, self._blend, self._of_item, self._plain = formula, scorer.blend, formula.of_item, selector.is_plain
        self._best, self._score, self._pick, self._keep = serve.best, serve.score, slate_pick.pick, slate_keep.keep
        self._rules = selector.rules.array
        self._stairs, self._flat, _ = selector.stairs(k)
        self._counts = np.zeros(selector.rules.system.size, np.int64)
        self._kept, self._share = -1, 0.0
        if slate.keep is not None:
            self._kept, self._share = names.index(slate.keep[0]), slate.keep[1]
        self._most, self._k, self._info = most, k, np.empty(4)
        self.names = names
        self.items: Integers = np.full(most, -1, np.int64)
        self.columns: Floats = np.zeros((len(names), most))
        self.scores: Floats = np.zeros(most)
        self.positions: Integers = np.zeros(max(k, 1), np.int64)
        self.marginal: Floats = np.zeros(max(k, 1))

    def score(self, n: int, user: User) -> None:
        """Write the priced scores of the first n candidates into `scores`."""
        if n > self._most or user.owner is not self._owner:
            self._refuse(n)
        self._score(n, self.items, self.columns, self._blend, self._of_item, user.table, self.scores)

    def select(self, n: int, user: User) -> int:
        """Write the slate of the first n candidates into `positions` (and scores); return how many it has."""
        if n > self._most or user.owner is not self._owner:
            self._refuse(n)
        k = self._k if self._k < user.size else user.size
        if self._plain:
            return self._best(
                n, self.items, self.columns, self._blend, self._of_item, user.table, k, min(user.at_least, k), 0.0,
                self.scores, self.positions,
            )  # fmt: skip
        least = min(user.at_least, k, n)
        self._score(n, self.items, self.columns, self._blend, self._of_item, user.table, self.scores)
        if self._kept < 0:
            return self._pick(
                n, self.scores, self.items, self._of_item, self._rules, self._stairs, self._counts, 0, k, least, 0.0,
                self.positions, self.marginal,
            )  # fmt: skip
        return self._keep(
            n, self.scores, self.columns[self._kept], self.items, self._of_item, self._rules, self._stairs, self._flat,
            self._counts, 0, k, least, 0.0, self._share, self.positions, self.marginal, self._info,
        )  # fmt: skip

    def _refuse(self, n: int) -> None:
        if n > self._most:
            raise InputError(f"{n} candidates; expected at most {self._most}, what was prepared for.")
        raise InputError("user: made by another policy; call policy.user(...) of the one that prepared this.")
