"""Campaigns that fall short, with what is behind it, who is shown in their place, and what would help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oasis_alloc.common.text_tables import number
from oasis_alloc.forecast.campaigns import CampaignForecast
from oasis_alloc.forecast.model import History, Posterior
from oasis_alloc.forecast.reasons import competition_in_words
from oasis_alloc.forecast.remedies import Diagnosis
from oasis_alloc.forecast.timeline import Flight
from oasis_alloc.solution import Solution


def explained(
    found: list[CampaignForecast], solution: Solution, flight: Flight, history: History, posterior: Posterior, by: str,
    market: str | None, scale: float,
) -> list[CampaignForecast]:  # fmt: skip
    """Campaigns that fall short or may, with reasons, competitors and remedies."""
    behind = [g for g, one in enumerate(found) if one.status in ("will fall short", "at risk")]
    if not behind:
        return found
    diagnosis = Diagnosis(solution, by, market, scale)
    out = list(found)
    widths = np.diff(flight.edges)[flight.passed :]
    for g in behind:
        one, contest = found[g], diagnosis.contest(g)
        short = max(one.floor - one.mid, 0.0) or max(one.floor - one.low, 0.0)
        last = one.points[-2].mid if len(one.points) > 1 else 0.0
        pace = max(one.mid - last, 0.0) / float(widths[-1]) * 86_400.0
        shares = flight.shares[g if flight.shares.shape[0] > 1 else 0]
        remedies = diagnosis.remedies(contest, g, short, float(shares[flight.passed :].sum()), pace, "day")
        said = [*_why(one, g, flight, history, posterior), *competition_in_words(contest)]
        out[g] = replace(one, reasons=tuple(said), competitors=contest.competitors, remedies=tuple(remedies))
    return out


def _why(one: CampaignForecast, g: int, flight: Flight, history: History, posterior: Posterior) -> list[str]:
    """What is behind a shortfall: the plan itself, traffic, relevance, or the campaign."""
    said = []
    due = float(history.expected[g].sum())
    if flight.passed:
        part = f", {100 * one.delivered / due:.0f} % of the {number(due, 5)} that the plan serves by now" if due else ""
        said.append(f"{number(one.delivered, 6)} are delivered{part}.")
    if one.planned < one.floor * (1 - 1e-9):
        said.append(f"The plan's prices serve {number(one.planned, 6)} of its floor of {number(one.floor, 6)}.")
    level, trend = posterior.shared.tolist()
    sure = np.sqrt(np.diag(posterior.shared_covariance))
    if abs(level) > 2 * sure[0]:
        said.append(f"All campaigns have {_percent(level)} than expected: traffic differs.")
    moved = trend * float(history.elasticity[g])
    if abs(trend) > 2 * sure[1] and abs(moved) > 0.01:
        falls = "falls" if trend < 0 else "rises"
        said.append(
            f"The relevance of promoted items {falls} by {100 * abs(trend):.0f} % over the flight: {_percent(moved)} "
            "of it in the end."
        )
    own = posterior.own[g] - np.array([level, moved])
    spread = np.sqrt(np.diag(posterior.own_covariance[g]))
    if abs(own[0]) > 2 * spread[0]:
        said.append(f"It has {_percent(float(own[0]))} than other campaigns in its place.")
    if abs(own[1]) > 2 * spread[1]:
        said.append(f"Its own trend over the flight is {100 * float(np.expm1(own[1])):+.0f} %.")
    return said


def _percent(log: float) -> str:
    change = 100 * float(np.expm1(log))
    return f"{abs(change):.0f} % {'less' if change < 0 else 'more'}"
