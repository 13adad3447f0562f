"""What campaigns will have delivered when their flight ends, from a plan, a schedule and what was counted so far."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_flag, as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import NO_LIMIT
from oasis_alloc.data.by_group import Labels
from oasis_alloc.errors import InputError
from oasis_alloc.forecast.campaigns import CampaignForecast, Forecast, ForecastPoint
from oasis_alloc.forecast.explained import explained
from oasis_alloc.forecast.model import History, Posterior, Priors, Scenarios, fitted
from oasis_alloc.forecast.response import Response, response_of
from oasis_alloc.forecast.timeline import Flight, counted, flight_of
from oasis_alloc.forecast.what_if import checked, organic_of
from oasis_alloc.pacing.curves import RemainingShare
from oasis_alloc.pacing.instants import When
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.solution import Solution

_BLOCK = 32  # campaigns whose scenarios are drawn together
_DEEP = 0.95  # of a floor: less is a shortfall that is announced
_AT_RISK = 0.2  # share of scenarios
_LEAST_STEP = 0.02  # of relevance, by which the response of delivery is measured


@suggesting
def forecast(
    solution: Solution,
    schedule: RemainingShare | None = None,
    ledger: Ledger | None = None,
    *,
    start: When | None = None,
    end: When | None = None,
    now: When | None = None,
    by: str = "campaign",
    requests: float | None = None,
    traffic: float = 0.1,
    relevance: float = 0.1,
    own: float = 0.05,
    errors: Draws | bool | None = None,
    paced: bool = False,
    hard_caps: bool = False,
    schedule_by: bool = False,
    step: float | None = None,
    market: str | None = None,
    confirmed_share: float = 1.0,
    others: str = "refuse",
    scenarios: int = 1000,
    seed: int = 0,
) -> Forecast:
    """What every campaign will have delivered when its flight ends: low, middle and high, by day, and why.

    The plan's prices say what is served at the expected traffic; what the ledger has counted says how far traffic,
    relevance and each campaign are from that; scenarios say what may come.

    Parameters
    ----------
    solution
        The plan of the whole flight, whose prices serve; its users, each as often as its supply says, are the traffic.
    schedule
        When requests come, as of `oa.Pacer`; None: every second is alike.
    ledger
        What has been delivered; None: nothing yet.
    start, end
        The flight; None takes the period of the schedule, `schedule.over(start, end)`.
    now
        When the forecast is made; None takes the ledger's clock. Deliveries from then on are not used.
    by
        The key of the campaigns, in the plan and in the ledger.
    requests
        How many requests are expected over the flight; None: as many as the plan has.
    traffic, relevance, own
        Standard deviations of what is not known before the flight: of the logarithm of traffic over what is expected;
        of the relative change of promoted items' relevance over the flight; of a campaign's own level and trend.
    errors
        How the scores of requests may differ from those of the plan, besides a common trend of relevance: `oa.Draws` of
        the candidates' columns, of which up to 32 are served. None takes the standard deviations of the candidates
        (`uncertainty`), whose errors are independent; False: they do not differ.
    paced
        True where a pacer serves: it makes up for part of what a campaign is ahead of the others, or behind them.
    hard_caps
        True where serving stops at caps, as pacers and allowances do.
    schedule_by
        True if the schedule has a curve per campaign.
    step
        Seconds of a step of time; None takes days, or hours for flights of up to two days.
    market
        A key of the users whose groups are offered as remedies; None takes "market" where there is one.
    confirmed_share
        The share of pending deliveries that is expected to be confirmed.
    others
        "refuse" or "ignore" deliveries of campaigns that the plan does not have.
    scenarios, seed
        How many are drawn, at least 100, and by which seed.

    Returns
    -------
    Forecast
        One `CampaignForecast` per group of the key. Without `paced`, prices are taken to stay as they are.

    Raises
    ------
    ProblemError, SolverError
        For a solution without a plan, or one that is not proven; an unknown key; and candidates in files.
    InputError
        For a flight that has ended or ends before it starts, deliveries of unknown campaigns, numbers that are NaN or
        negative, and a schedule without traffic.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> cands = oa.Candidates.from_arrays(
    ...     np.arange(1001) * 2, np.tile([0, 1], 1000), {"r": rng.random(2000)}, items={"campaign": ["a", None]})
    >>> floors = (oa.exposure(by="campaign") >= {"a": 600.0}).named("floors")
    >>> plan = oa.solve(oa.Problem(cands, oa.total("r"), floors, oa.Slate(1)))
    >>> day, start = 86_400.0, 1_782_864_000.0
    >>> ledger = oa.Ledger(clock=lambda: start + 5 * day)
    >>> for k in range(5):  # a fifth less than planned
    ...     _ = ledger.record([oa.Event(f"day-{k}", "a", start + k * day, amount=48.0)])
    >>> found = oa.forecast(plan, oa.Schedule.flat().over(start, start + 10 * day), ledger)
    >>> found["a"].delivered, found["a"].status, 480 < found["a"].mid < 540
    (240.0, 'will fall short', True)
    """
    checked(solution, "forecast")
    candidates = solution.problem.candidates
    if by not in candidates.items:
        raise InputError(f"forecast(by={by!r}): the items have no such key.{did_you_mean(by, candidates.items)}")
    priors, options = _numbers(traffic, relevance, own, confirmed_share, requests, scenarios, seed)
    for name, flag in (("paced", paced), ("hard_caps", hard_caps), ("schedule_by", schedule_by)):
        as_flag(flag, name, "forecast")
    _check_errors(errors, candidates)
    if others not in ("refuse", "ignore"):
        raise InputError(f"forecast(others={shown(others)}): expected 'refuse' or 'ignore'.")
    users = candidates.users
    if market is not None and market not in users:
        raise InputError(f"forecast(market={market!r}): the users have no such key.{did_you_mean(market, users)}")
    market = "market" if market is None and "market" in users else market
    labels = Labels(candidates.groups(by))
    at = (ledger.now() if isinstance(ledger, Ledger) else time.time()) if now is None else now
    flight = flight_of(schedule, start, end, at, step, labels, schedule_by)
    counts = counted(ledger, flight, by, labels, options["confirmed_share"], others)
    response = response_of(solution, by, organic_of(solution), max(priors.relevance, _LEAST_STEP), errors)
    scale = 1.0 if requests is None else options["requests"] / response.requests
    history = _history(flight, counts, response, scale)
    posterior = fitted(history, priors)
    drawn = Scenarios(history, posterior, priors, int(options["scenarios"]), int(options["seed"]))
    floors, caps = _limits(solution, by)
    found: list[CampaignForecast] = []
    for first in range(0, len(labels), _BLOCK):
        last = min(first + _BLOCK, len(labels))
        ahead = np.cumsum((drawn.steered if paced else drawn.drawn)(first, last), axis=2)
        ahead[:, ~response.possible[first:last]] = 0.0  # no candidates, no deliveries
        for g in range(first, last):
            cap = drawn.caps(g, caps[g], paced) if hard_caps else np.inf
            found.append(
                _campaign(flight, labels[g], counts[g], ahead[:, g - first], (floors[g], caps[g]), cap,
                          scale * float(response.served[g]))
            )  # fmt: skip
    found = explained(found, solution, flight, history, posterior, by, market, scale)
    return Forecast(
        by,
        flight.start,
        flight.now,
        flight.end,
        _shared(posterior, 0, True),
        _shared(posterior, 1, False),
        tuple(found),
    )


def _check_errors(errors: object, candidates: Candidates) -> None:
    """Draws have to be of the plan's pairs."""
    if errors is None or errors is False:
        return
    if not isinstance(errors, Draws):
        raise InputError(f"forecast(errors={shown(errors)}): expected oa.Draws, None or False.")
    if not errors.fits(candidates):
        raise InputError("forecast(errors=...): its draws are of other candidates; expected those of the plan's pairs.")


def _numbers(
    traffic: Any, relevance: Any, own: Any, confirmed: Any, requests: Any, scenarios: Any, seed: Any
) -> tuple[Priors, dict[str, float]]:
    """The numbers of a forecast, checked."""
    out: dict[str, float] = {}
    for name, given, least, most in (
        ("traffic", traffic, 0.0, 3.0), ("relevance", relevance, 0.0, 0.9), ("own", own, 1e-6, 3.0),
        ("confirmed_share", confirmed, 0.0, 1.0), ("requests", 1.0 if requests is None else requests, 1e-9, 1e18),
    ):  # fmt: skip
        real = as_real(given)
        if real is None or not least <= real <= most:
            raise InputError(f"forecast({name}={shown(given)}): expected a number from {least:g} to {most:g}.")
        out[name] = real
    for name, given, least in (("scenarios", scenarios, 100), ("seed", seed, 0)):
        whole = as_whole(given)
        if whole is None or not least <= whole <= 1_000_000_000:
            raise InputError(f"forecast({name}={shown(given)}): expected a whole number of at least {least}.")
        out[name] = whole
    return Priors(out["traffic"], out["relevance"], out["own"], 0.02), out


def _history(flight: Flight, counts: Floats, response: Response, scale: float) -> History:
    served = np.maximum(response.served, 0.5 * response.unit)
    expected = scale * served[:, None] * flight.shares
    when = flight.when
    share = np.minimum(served / response.requests, 1.0)
    return History(
        counts, expected[:, : flight.passed], when[: flight.passed], expected[:, flight.passed :],
        when[flight.passed :], response.elasticity, response.unit / served + response.error,
        np.maximum(1.0 - share, 0.1),
    )  # fmt: skip


def _limits(solution: Solution, by: str) -> tuple[Floats, Floats]:
    """Floors and caps of exposure by the key, over the whole flight: with what was delivered before."""
    problem = solution.problem
    grouping = problem.candidates.grouping(by)
    floors, caps = np.full(grouping.n_groups, -np.inf), np.full(grouping.n_groups, np.inf)
    for function, bound in zip(problem.functions, problem.bound, strict=True):
        terms = function.measure.terms
        plain = len(terms) == 1 and terms[0].column is None and terms[0].by == (by,) and terms[0].coefficient == 1.0
        if not plain or not function.in_constraints:
            continue
        before = function.measure.constant(grouping.labels)
        lower, upper, _ = bound.band()
        floors = np.maximum(floors, np.where(lower > -NO_LIMIT, lower + before, -np.inf))
        caps = np.minimum(caps, np.where(upper < NO_LIMIT, upper + before, np.inf))
    return np.where(floors > 0, floors, -np.inf), caps


def _campaign(
    flight: Flight,
    label: Any,
    counts: Floats,
    ahead: Floats,
    limits: tuple[float, float],
    cap: Floats | float,
    planned: float,
) -> CampaignForecast:
    """One campaign's interval by step of time, and how likely its limits are missed."""
    so_far = float(counts.sum())
    totals = np.minimum(so_far + ahead, np.maximum(cap, so_far))
    low, mid, high = np.quantile(totals, (0.05, 0.5, 0.95), axis=0)
    done = np.cumsum(counts)
    edges = flight.edges.tolist()
    points = [
        ForecastPoint(edges[k], edges[k + 1], *(3 * (float(done[k]),))) for k in range(flight.passed)
    ]  # fmt: skip
    points += [
        ForecastPoint(
            edges[flight.passed + k], edges[flight.passed + k + 1], float(low[k]), float(mid[k]), float(high[k])
        )
        for k in range(low.size)
    ]
    floor, stated = limits
    final = totals[:, -1]
    risk, deep = float(np.mean(final < floor)), float(np.mean(final < _DEEP * floor)) if np.isfinite(floor) else 0.0
    status = "on track"
    if deep >= 0.5:
        status = "will fall short"
    elif risk >= _AT_RISK:
        status = "at risk"
    elif np.isfinite(stated) and float(np.mean(so_far + ahead[:, -1] >= stated)) >= 0.5:
        status = "will reach its cap"
    return CampaignForecast(
        label, floor, stated, planned, so_far, float(low[-1]), float(mid[-1]), float(high[-1]), tuple(points), risk,
        deep, status,
    )  # fmt: skip


def _shared(posterior: Posterior, at: int, is_log: bool) -> tuple[float, float]:
    middle, spread = float(posterior.shared[at]), float(np.sqrt(posterior.shared_covariance[at, at]))
    return (float(np.exp(middle)), float(np.exp(middle)) * spread) if is_log else (middle, spread)
