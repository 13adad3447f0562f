"""What a pacer answers requests with, and what it takes in of deliveries."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import ColumnsLike, Floats, Ints, ItemsLike, LabelsLike
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.accounts import CountedEvent
from oasis_alloc.pacing.outlook import Outlook, outlooks
from oasis_alloc.pacing.recorder import Recorder
from oasis_alloc.pacing.usage import Labels, Usage, of_slate
from oasis_alloc.serving.explain.explanation import Explanation
from oasis_alloc.serving.request.clashes import explained
from oasis_alloc.serving.request.reader import User, UserLike

if TYPE_CHECKING:
    from oasis_alloc.pacing.core import Core
    from oasis_alloc.pacing.live import Live
    from oasis_alloc.policy import Policy

_AHEAD = 60.0  # seconds that clocks may differ by


class ServedRequests:
    """Requests and deliveries of a pacer; see `Pacer`."""

    policy: Policy
    _core: Core
    _live: Live
    _given: dict[str, Any]
    _labels: Labels
    _recorder: Recorder | None

    def _time(self, call: str, now: object) -> float:
        raise NotImplementedError

    def _is_near(self, near: int) -> None:
        with self._core.lock:
            self._core.near = max(self._core.near, near)
            if near == 2:
                self._core.crossed()

    def encode(self, ids: LabelsLike) -> Ints:
        """Item numbers of ids; see `Policy.encode`."""
        return self.policy.encode(ids)

    def user(self, /, **labels: Hashable) -> User:
        """A user by their labels, encoded once; valid whatever prices become. See `Policy.user`."""
        return self.policy.user(**labels)

    def _asked(self, user: Any, attributes: Mapping[str, Any]) -> tuple[Policy, Any]:
        """The policy to ask, and the user as it knows them."""
        known = self.policy._scorer.reader.user(user)
        if not attributes:
            return self.policy, self._live.kind(known).user
        now = self._live.at_now()
        return now, known if now is self.policy else now._scorer.reader._user(known.codes)

    @explained
    def score(
        self, /, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, out: Floats | None = None,
        **attributes: LabelsLike,
    ) -> Floats:  # fmt: skip
        """Priced scores at the prices of now; see `Policy.score`."""
        policy, known = self._asked(user, attributes)
        return policy.score(items, columns, known, out, **attributes)

    @explained
    def boosts(
        self, /, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, **attributes: LabelsLike
    ) -> Floats:
        """What to add to a host's own ranking score, at the prices of now; see `Policy.boosts`."""
        policy, known = self._asked(user, attributes)
        return policy.boosts(items, columns, known, **attributes)

    @explained
    def select(
        self, /, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, k: int | None = None,
        pinned: ArrayLike | None = None, exclude: ArrayLike | None = None, fill: bool = False, **attributes: LabelsLike,
    ) -> Ints:  # fmt: skip
        """The slate at the prices of now, without what would cross a hard cap; see `Policy.select`.

        It is not counted: tell `observe` what was served, as `pacer.usage(slate, items, columns, user)`.
        """
        core, kind = self._core, self._live.kind(self.policy._scorer.reader.user(user))
        policy, known = self._asked(user, attributes) if attributes else (self.policy, kind.user)
        if core.rates is not None:
            exclude = self._without(kind, items, exclude)
        slate = policy.select(items, columns, known, k, pinned, exclude, fill, None, None, **attributes)
        if core.near == 0 or attributes:
            return slate
        from oasis_alloc.kernels.serve import paced

        request = self.policy._scorer.reader.request(items, columns, self.policy.data.selected, known, {})
        uses = kind.uses
        with core.lock:
            left = paced.fits(
                slate.size, slate, request.items, request.columns, self._live.formula.of_item, uses.indptr, uses.cells,
                uses.amount, core.used, core.room,
            )  # fmt: skip
        return slate[:left]

    def _without(self, kind: Any, items: Any, exclude: Any) -> Any:
        """The positions that are excluded, and those of goals that do not take part in this request."""
        from oasis_alloc.kernels.serve import paced

        core, uses = self._core, kind.uses
        assert core.rates is not None
        numbers = self.policy._scorer.reader.items(items)
        marks = np.zeros(numbers.size)
        core.draws += 1
        paced.drop(
            numbers.size, numbers, self._live.formula.of_item, uses.indptr, uses.cells, core.rates, core.draws, marks
        )
        given = np.asarray([] if exclude is None else exclude)
        chosen = np.flatnonzero(given) if given.dtype == np.bool_ else given.astype(np.int64)
        return np.union1d(chosen, np.flatnonzero(np.isneginf(marks)))

    @explained
    def explain(
        self, /, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, k: int | None = None,
        pinned: ArrayLike | None = None, exclude: ArrayLike | None = None, fill: bool = False, **attributes: LabelsLike,
    ) -> Explanation:  # fmt: skip
        """Why `select` decides as it does at the prices of now; see `Policy.explain`."""
        now = self._live.at_now()
        known = self.policy._scorer.reader.user(user)
        mine = known if now is self.policy else now._scorer.reader._user(known.codes)
        return now.explain(items, columns, mine, k, pinned, exclude, fill, **attributes)

    def usage(self, positions: ArrayLike, items: ItemsLike, columns: Mapping[str, Any], user: UserLike = None) -> Usage:
        """What showing these positions of a request uses of the goals, for `observe`."""
        kind = self._live.kind(self.policy._scorer.reader.user(user))
        if (calibrator := self._live.formula.calibrator) is not None:
            numbers, codes = np.asarray(items, np.int64), np.array([kind.user.codes], np.int64)
            columns = calibrator.batch(columns, np.array([0, numbers.size]), numbers, codes, np.zeros(1, np.int64))
        return of_slate(self._core.rows, self._live.formula, kind.uses, positions, items, columns)

    def observe(
        self,
        amounts: Mapping[Any, float] | Usage | None = None,
        *,
        event: Hashable = None,
        time: float | None = None,
        status: str = "confirmed",
    ) -> bool:
        """Take in one delivery; whether it changed anything.

        Parameters
        ----------
        amounts
            `{label: amount}`, or what `usage` returns; None for a later word on an event that is known.
        event
            Its id, by which it counts once, however often and in whatever order it is told; None for one that will not
            come again.
        time
            When it happened, UNIX seconds; None for now.
        status
            "served": it is expected to be confirmed; "confirmed": it counts for sure; "lost": it will not be confirmed.

        Raises
        ------
        InputError
            For labels that have no goal, negative amounts, and times in the future.
        """
        now = self._time("observe", None)
        at = as_real(now if time is None else time)
        if at is None or not -math.inf < at <= now + _AHEAD:
            raise InputError(f"observe(time={shown(time)}): expected UNIX seconds, not after now ({now:.0f}).")
        if not isinstance(event, Hashable) or event != event:
            raise InputError(f"observe(event={shown(event)}): expected an id that is equal to itself, such as a text.")
        if status not in ("served", "confirmed", "lost"):
            raise InputError(f"observe(status={shown(status)}): expected 'served', 'confirmed' or 'lost'.")
        used = None if amounts is None else self._labels.usage("observe(amounts)", amounts)
        if event is None and (used is None or status != "confirmed"):
            raise InputError("observe(): an event without an id is a confirmed delivery with amounts; pass event=.")
        if status == "served" and used is None:
            raise InputError("observe(status='served'): expected the amounts of the event.")
        accounts, core, recorder = self._core.accounts, self._core, self._recorder
        with core.lock:
            name = None if recorder is None else recorder.name(event)
            is_new = event is not None and event not in accounts.events
            is_elsewhere = is_new and core.confirm and status == "confirmed"  # another process has served it
            before_served = status == "served" and event is not None and self._is_confirmed_before(event)
            core.requests += (is_new and not is_elsewhere) or before_served
            if is_elsewhere and used is not None and recorder is not None:  # and has counted its ratios
                mine = ~core.rows.per_request[used.rows]
                used = Usage(used.rows[mine], used.amounts[mine])
            before = np.stack([accounts.confirmed, accounts.pending])
            known: CountedEvent | None
            if event is None:
                assert used is not None
                np.add.at(accounts.confirmed, used.rows, used.amounts)
                accounts.spend(used.rows, used.amounts)
                changed, known = True, CountedEvent(used.rows, used.amounts, at, "confirmed")
            else:
                rows, showings = (None, None) if used is None else (used.rows, used.amounts)
                changed, known = (
                    accounts.take_in(event, status, rows, showings, at, not core.confirm),
                    accounts.events.get(event),
                )
            if before_served and used is not None:  # the ledger has it, but nobody has counted its ratios
                mine = core.rows.per_request[used.rows]
                np.add.at(accounts.confirmed, used.rows[mine], used.amounts[mine])
            change = np.stack([accounts.confirmed, accounts.pending]) - before
            core.took(change.sum(axis=0))
            if changed and recorder is not None and name is not None and known is not None:
                recorder.add(name, known, change)
            elif before_served and recorder is not None:
                recorder.changed(change)
            return changed

    def _is_confirmed_before(self, event: Hashable) -> bool:
        """Whether a delivery of this process was heard of as confirmed before it was heard of as served."""
        known = self._core.accounts.events.get(event)
        return known is not None and known.state == "confirmed" and not known.mine

    def delivered(self) -> dict[Any, float]:
        """{label: amount} so far: confirmed, and what is expected of the rest; labels are as in `prices`."""
        with self._core.lock:
            found = self._core.delivered().tolist()
        goals = self._core.rows.goals
        one = len({goal.terms for goal in goals}) == 1
        return {goal.label if one else goal.name: amount for goal, amount in zip(goals, found, strict=True)}

    def outlook(self, now: float | None = None) -> list[Outlook]:
        """What every goal will come to if the flight goes on as it has, in the order of the plan; see `oa.Outlook`."""
        at = self._time("outlook", now)
        with self._core.lock:
            return outlooks(self._core.standing(), at)
