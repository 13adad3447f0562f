"""The outlook of a plan from a ledger and a schedule alone, where no pacer runs: a report, a dashboard, a test."""

from __future__ import annotations

import math

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.curves import Flat, RemainingShare
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.pacing.outlook import Outlook, Standing, outlooks
from oasis_alloc.pacing.plan import Plan
from oasis_alloc.pacing.recorder import check_fits, totals_of
from oasis_alloc.pacing.targets import Targets


@suggesting
def outlook(
    plan: Plan,
    ledger: Ledger,
    schedule: RemainingShare | None = None,
    *,
    now: float | None = None,
    schedule_by: bool = False,
    confirmed_share: float = 1.0,
) -> list[Outlook]:
    """What every goal of a plan will come to, from what a ledger has counted and a schedule expects.

    `pacer.outlook()` says the same where a pacer runs, and knows why a goal falls short: this one sees no prices.

    Parameters
    ----------
    plan
        Goals by the keys of the ledger, one per label.
    ledger
        What has been delivered.
    schedule
        A forecast of arrivals, as of `oa.Pacer`. None: every second is alike.
    now
        UNIX seconds; None takes the clock.
    schedule_by
        True if the schedule has a curve per label.
    confirmed_share
        The share of the pending amounts that is expected to be confirmed.

    Returns
    -------
    list of Outlook
        One per goal, in the order of the plan.

    Raises
    ------
    InputError
        For a plan that the ledger does not count, and numbers that cannot be.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> start = 1_782_864_000.0
    >>> ledger = oa.Ledger(clock=lambda: start + 1800.0)
    >>> _ = ledger.record_columns([f"imp-{k}" for k in range(40)], ["a"] * 40, start)
    >>> plan = oa.Plan("campaign", start, start + 3600.0, floors={"a": 100.0}, caps={"a": 120.0})
    >>> for one in oa.outlook(plan, ledger, now=start + 1800.0):
    ...     print(one)
    a: 40 delivered, will fall short by 20
    """
    if not isinstance(plan, Plan):
        raise InputError(f"outlook(plan): expected oa.Plan, got {type(plan).__name__}.")
    check_fits(ledger, plan.goals, "outlook")
    share = as_real(confirmed_share)
    if share is None or not 0 <= share <= 1:
        raise InputError(f"outlook(confirmed_share={shown(confirmed_share)}): expected a number from 0 to 1.")
    at = as_real(ledger.now() if now is None else now)
    if at is None or not math.isfinite(at):
        raise InputError(f"outlook(now={shown(now)}): expected UNIX seconds, a finite number.")
    if schedule is not None and not callable(getattr(schedule, "share", None)):
        raise InputError(f"outlook(schedule): {type(schedule).__name__} has no method share(t0, t1, key).")
    keys = [goal.label if schedule_by else None for goal in plan.goals]
    targets = Targets(plan.goals, Flat() if schedule is None else schedule, keys, 0.0)
    confirmed, pending, _ = totals_of(ledger, plan.goals)
    hard = np.array([not goal.soft and math.isfinite(goal.cap) for goal in plan.goals])
    return outlooks(Standing(plan.goals, targets, confirmed, pending, share * pending, hard), at)
