"""A flight of ten days whose deliveries are made up: a plan, a schedule, and ledgers that follow or fall behind."""

from __future__ import annotations

from collections.abc import Mapping

import oasis_alloc as oa
from tests.support import planned

DAY, DAYS, START = 86_400.0, 10, 1_782_864_000.0
END = START + DAYS * DAY


def schedule() -> oa.Schedule:
    return oa.Schedule.flat().over(START, END)


def ledger(plan: oa.Solution, days: int, factor: float | Mapping[str, float] = 1.0, by: str = "campaign") -> oa.Ledger:
    """What is served per day, times a factor for all campaigns or for some."""
    clock = START + days * DAY
    out = oa.Ledger(clock=lambda: clock, by=by, retention_days=50)
    planned_units = {one.label: one.served for one in oa.served(plan, close=False)} | {
        label: float(amount) for label, amount in zip(plan.problem.labels("caps"), plan.totals["caps"], strict=True)
    }
    for label, amount in planned_units.items():
        if label not in planned.CAMPAIGNS:
            continue
        of = factor if isinstance(factor, float) else factor.get(label, 1.0)
        for day in range(days):
            at = START + day * DAY
            out.record([oa.Event(f"{label}-{day}", label, at, amount=round(of * amount / DAYS, 6), state="confirmed")])
    return out
