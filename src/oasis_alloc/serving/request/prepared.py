"""The fastest path from a request to a slate: preallocated buffers and minimal checks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.pickling import Remade
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.serving.calibrator import Calibrator
from oasis_alloc.serving.request.reader import User
from oasis_alloc.serving.request.scorer import Scorer
from oasis_alloc.serving.request.selection import checked_slots
from oasis_alloc.serving.schema import shown

_LARGEST = (1 << 31) - 1  # users or candidates of a buffer


class Prepared(Remade):
    """Buffers of one thread; see `Policy.prepare`.

    `values` are calibrated columns after a call if `writes`, and otherwise scratch where columns are calibrated.
    """

    __slots__ = (
        "_best",
        "_best_calibrated",
        "_blend",
        "_both",
        "_calibrate",
        "_k",
        "_keep",
        "_keep_scored",
        "_max_candidates",
        "_of_item",
        "_owner",
        "_pick",
        "_pick_scored",
        "_plain",
        "_rules",
        "_score",
        "_score_calibrated",
        "_to_keep",
        "_writes",
        "columns",
        "items",
        "marginal",
        "names",
        "positions",
        "scores",
        "values",
    )  # fmt: skip

    def __init__(self, scorer: Scorer, max_candidates: int, k: int | None, writes: bool = False) -> None:
        from oasis_alloc.kernels.serve import calibrate, score_calibrated, select_one
        from oasis_alloc.kernels.serve import score as serve

        max_candidates = _checked("prepare", "max_candidates", max_candidates)
        formula, selector, slate, names = scorer.formula, scorer.selector, scorer.data.slate, scorer.selected
        k = min(checked_slots(k, slate.size), max_candidates)
        self._owner, self._blend, self._of_item, self._plain = formula, scorer.blend, formula.of_item, selector.is_plain
        self._best, self._score = serve.best, serve.score
        self._calibrate, self._best_calibrated = calibrate.calibrate, score_calibrated.best_calibrated
        self._score_calibrated = score_calibrated.score_calibrated
        self._pick, self._keep = select_one.pick_one, select_one.keep_one
        self._pick_scored, self._keep_scored = select_one.pick_scored, select_one.keep_scored
        costs, caps, _ = selector.category_costs(k)
        self._rules = selector.rules.array, costs, np.zeros(selector.rules.system.size, np.int64)
        self._max_candidates, self._k, self._writes = max_candidates, k, writes
        self.names = names
        with _room(f"prepare(max_candidates={max_candidates:,})"):
            self.items: Ints = np.full(max_candidates, -1, np.int64)
            is_calibrated = formula.calibrator is not None
            self._both: Floats = np.zeros((1 + is_calibrated, len(names) + is_calibrated, max_candidates))
            self.columns: Floats = self._both[0, : len(names)]
            self.values: Floats = self._both[
                -1, : len(names)
            ]  # what is scored: another block if columns are calibrated
            self.scores: Floats = np.zeros(max_candidates)
            self.positions: Ints = np.zeros(max(k, 1), np.int64)
            self.marginal: Floats = np.zeros(max(k, 1))
        self._to_keep: tuple[Floats, Floats, float] | None = None
        if slate.keep is not None:
            self._to_keep = self.values[names.index(slate.keep[0])], caps, slate.keep[1]

    def _map(self, n: int, user: User) -> None:
        """Write the calibrated columns of the first n candidates into `values`."""
        if len(self._both) > 1:
            self._calibrate(0, n, self.items, self.columns, len(self.names), user.plan, self._of_item, self.values)

    def score(self, n: int, user: User) -> None:
        """Write the priced scores of the first n candidates into `scores`."""
        if type(n) is not int or not 0 <= n <= self._max_candidates or user.owner is not self._owner:
            n = self._counted(n, user)
        if len(self._both) > 1:
            self._score_calibrated(
                n, self.items, self._both, self._writes, self._blend, self._of_item, user.table, self.scores, user.plan
            )
        else:
            self._score(n, self.items, self.columns, self._blend, self._of_item, user.table, self.scores)

    def select(self, n: int, user: User) -> int:
        """Write the slate of the first n candidates into `positions` (and scores); return its length."""
        if type(n) is not int or not 0 <= n <= self._max_candidates or user.owner is not self._owner:
            n = self._counted(n, user)
        k = self._k if self._k < user.size else user.size
        if self._plain and len(self._both) > 1:
            return self._best_calibrated(
                n, self.items, self._both, self._writes, self._blend, self._of_item, user.table, k,
                min(user.at_least, k), 0.0, self.scores, self.positions, user.plan,
            )  # fmt: skip
        if self._plain:
            return self._best(
                n, self.items, self.columns, self._blend, self._of_item, user.table, k, min(user.at_least, k), 0.0,
                self.scores, self.positions,
            )  # fmt: skip
        min_size = min(user.at_least, k, n)
        self._map(n, user)
        request = self.items, self.values, self._blend, self._of_item, self.scores
        slate = self.positions, self.marginal
        if self._to_keep is None:
            return self._pick(n, user.table, k, min_size, request, self._rules, slate)
        return self._keep(n, user.table, (k, min_size), request, self._rules, self._to_keep, slate)

    def pick(self, n: int, user: User) -> int:
        """The same from `scores` as they are: those of `score`, which the caller may have changed since."""
        if type(n) is not int or not 0 <= n <= self._max_candidates or user.owner is not self._owner:
            n = self._counted(n, user)
        k = self._k if self._k < user.size else user.size
        request, fill = (self.scores, self.items, self._of_item), (0, k, min(user.at_least, k, n), 0.0)
        slate = self.positions, self.marginal
        if self._to_keep is None:
            return self._pick_scored(n, request, self._rules, fill, slate)
        return self._keep_scored(n, request, self._rules, fill, self._to_keep, slate, np.empty(4))

    def _counted(self, n: object, user: User) -> int:
        """Check a number of candidates that is not a Python int within the buffers: convert it, or raise an error."""
        whole = _whole(n)
        if whole > self._max_candidates:
            raise InputError(
                f"{shown(whole)} candidates; expected at most {self._max_candidates}, the number given to prepare()."
            )
        _check_owner(user, self._owner)
        return whole


class PreparedBatch(Remade):
    """Buffers of one thread for the requests of several users; see `Policy.prepare_batch`."""

    def __init__(self, scorer: Scorer, users: int, max_candidates: int, k: int | None) -> None:
        from oasis_alloc.kernels.serve import select_users

        users = _checked("prepare_batch", "users", users)
        max_candidates = _checked("prepare_batch", "max_candidates", max_candidates)
        formula, selector, slate, names = scorer.formula, scorer.selector, scorer.data.slate, scorer.selected
        k = min(checked_slots(k, slate.size), max_candidates)
        self._formula, self._blend, self._max_candidates, self._k = formula, scorer.blend, max_candidates, k
        self._select = select_users.select_users
        self._calibrator, self._slates = formula.calibrator, selector.arrays(k, names)
        with _room(f"prepare_batch(users={users:,}, max_candidates={max_candidates:,})"):
            self._pointers = np.zeros(users + 1, np.int64)
            self._segment, self._sizes, self._min_sizes = np.zeros((3, users), np.int64)
            self.items: Ints = np.full(max_candidates, -1, np.int64)
            self.columns: Floats = np.zeros((len(names), max_candidates))
            self.scores: Floats = np.zeros(max_candidates)
            self.positions: Ints = np.full((users, k), -1, np.int64)
        self._read = readonly(self._pointers.view())
        self._users: list[User] = []
        self.names = names

    def clear(self) -> None:
        """Begin the next batch."""
        self._users.clear()

    def add(self, n: int, user: User) -> tuple[int, int]:
        """Add one user; its candidates go into [a, b) of `items` and of every row of `columns`: returns (a, b)."""
        u = len(self._users)
        a = int(self._pointers[u])
        if (
            type(n) is not int
            or n < 0
            or u >= self._segment.size
            or a + n > self._max_candidates
            or (user.owner is not self._formula)
        ):
            n = self._counted(u, a, n, user)
        self._pointers[u + 1] = a + n
        k = self._k if self._k < user.size else user.size
        self._sizes[u], self._min_sizes[u] = k, user.at_least
        self._users.append(user)
        return a, a + n

    def select(self) -> int:
        """Write scores, and row by row in `positions` the slates of all users, then -1; return the number of users."""
        n = len(self._users)
        tables, self._segment[:n] = self._formula.tables([user.codes for user in self._users])
        prices = self._blend, self._formula.of_item, tables, self._segment
        values = self.columns if self._calibrator is None else self._mapped(self._calibrator, n)
        self._select(
            0, n, (self._read, self.items, values), prices, (self._sizes, self._min_sizes), self._slates, False,
            (self.scores, self.positions),
        )  # fmt: skip
        return n

    def _mapped(self, calibrator: Calibrator, n: int) -> Floats:
        """The columns of the first n users, calibrated."""
        out = np.zeros_like(self.columns)
        for u, user in enumerate(self._users):
            a, b = int(self._pointers[u]), int(self._pointers[u + 1])
            out[:, a:b] = calibrator.request(self.columns[:, a:b].copy(), self.items[a:b].copy(), user.codes)
        return out

    def _counted(self, u: int, a: int, n: object, user: User) -> int:
        """Check a number of candidates that is not a Python int within the buffers: convert it, or raise an error."""
        _check_owner(user, self._formula)
        if u >= self._segment.size:
            raise InputError(
                f"{u + 1} users; expected at most {u}, the number given to prepare_batch(); clear() begins a new batch."
            )
        whole = _whole(n)
        if a + whole > self._max_candidates:
            raise InputError(
                f"{shown(whole)} candidates after {a}; expected at most {self._max_candidates} in total, the number "
                "given to prepare_batch()."
            )
        return whole


def _check_owner(user: User, owner: object) -> None:
    if user.owner is not owner:
        raise InputError("user: made by another policy; call user(...) of the policy that prepared this.")


def _whole(n: object) -> int:
    """The number of candidates of a call, checked."""
    whole = as_whole(n)
    if whole is None or whole < 0:
        raise InputError(f"n={shown(n)}: expected how many candidates there are, a whole number >= 0.")
    return whole


def _checked(call: str, name: str, number: object) -> int:
    whole = as_whole(number)
    if whole is None or not 0 <= whole <= _LARGEST:
        raise InputError(f"{call}({name}={shown(number)}): expected a whole number >= 0 and below 2^31.")
    return whole


@contextmanager
def _room(call: str) -> Iterator[None]:
    """Context for allocating buffers: turns memory errors into `InputError`."""
    try:
        yield
    except (MemoryError, ValueError) as error:  # the latter if an array has too many bytes for NumPy
        raise InputError(f"{call}: not enough memory for these buffers ({error}); ask for fewer.") from None
