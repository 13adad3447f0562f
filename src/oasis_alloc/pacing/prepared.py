"""The shortest path of a pacer: slates at the prices of now, counted as they are served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.live import Kind
from oasis_alloc.serving.request.prepared import Prepared
from oasis_alloc.serving.request.reader import User

if TYPE_CHECKING:
    from oasis_alloc.pacing.pacer import Pacer


class PreparedPacer:
    """Buffers of one thread; see `Pacer.prepare`."""

    def __init__(self, pacer: Pacer, max_candidates: int, k: int | None) -> None:
        from oasis_alloc.kernels.serve import paced

        self._pacer, self._hot = (
            pacer,
            Prepared(pacer.policy._scorer, max_candidates, k, True),
        )  # `observe` reads `values`
        self._live, self._core = pacer._live, pacer._core
        self._of_item = self._live.formula.of_item
        self._count, self._fits, self._drop = paced.count, paced.fits, paced.drop
        self._kind: Kind | None = None
        self._shown = 0
        self.items: Ints = self._hot.items
        self.columns: Floats = self._hot.columns
        self._values: Floats = self._hot.values  # what prices count: calibrated columns
        self.names = self._hot.names
        self.scores: Floats = self._hot.scores
        self.positions: Ints = self._hot.positions

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedPacer, (self._pacer, self.items.size, self.positions.size)

    def select(self, n: int, user: User) -> int:
        """Write the slate of the first n candidates into `positions`; return how many it has."""
        kind = self._kind = self._live._kinds.get(user) or self._live.kind(user)
        core = self._core
        if core.rates is not None:
            self._shown = self._throttled(n, kind)
            return self._shown
        shown = self._hot.select(n, kind.user)
        if core.near:
            shown = self._fitting(shown, kind)
        self._shown = shown
        return shown

    def score(self, n: int, user: User) -> None:
        """Write the priced scores of the first n candidates into `scores`."""
        self._hot.score(n, self._live.kind(user).user)

    def observe(self, shown: int) -> None:
        """Count the first `shown` of `positions`, those that were served of the last `select`."""
        kind, core = self._kind, self._core
        if kind is None or type(shown) is not int or not 0 <= shown <= self._shown:
            raise InputError(f"observe({shown!r}): expected what the last select() returned, or a smaller number.")
        uses = kind.uses
        with core.lock:
            core.requests += 1
            near = self._count(
                shown, self.positions, self.items, self._values, self._of_item, uses.indptr, uses.cells, uses.amount,
                core.used, core.room,
            )  # fmt: skip
        if near:
            self._pacer._is_near(near)

    def _fitting(self, shown: int, kind: Kind) -> int:
        uses, core = kind.uses, self._core
        with core.lock:
            return self._fits(
                shown, self.positions, self.items, self._values, self._of_item, uses.indptr, uses.cells, uses.amount,
                core.used, core.room,
            )  # fmt: skip

    def _throttled(self, n: int, kind: Kind) -> int:
        uses, core = kind.uses, self._core
        assert core.rates is not None
        self._hot.score(n, kind.user)
        core.draws += 1
        self._drop(n, self.items, self._of_item, uses.indptr, uses.cells, core.rates, core.draws, self.scores)
        return self._fitting(self._hot.pick(n, kind.user), kind)
