"""quote(solution, request): what more of a campaign costs, from the prices of a solution."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_flag, as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.quote_request import QuoteRequest
from oasis_alloc.forecast.quote_result import Quote, Quotes
from oasis_alloc.forecast.quote_target import target_of
from oasis_alloc.forecast.quoting import quoted_one
from oasis_alloc.solution import Solution


@overload
def quote(
    solution: Solution, request: Sequence[QuoteRequest], *, certify: bool = ..., gap: float = ...,
    threads: int | None = ..., now: dt.datetime | None = ...,
) -> Quotes: ...  # fmt: skip
@overload
def quote(
    solution: Solution, request: QuoteRequest | None = ..., *, certify: bool = ..., gap: float = ...,
    threads: int | None = ..., now: dt.datetime | None = ..., **fields: Any,
) -> Quote: ...  # fmt: skip
@suggesting
def quote(
    solution: Solution,
    request: QuoteRequest | Sequence[QuoteRequest] | None = None,
    *,
    certify: bool = False,
    gap: float = 1e-4,
    threads: int | None = None,
    now: dt.datetime | None = None,
    **fields: Any,
) -> Quote | Quotes:
    """Say what more impressions of a campaign cost, how many there are, who gives way, and what stops it.

    Parameters
    ----------
    solution
        A solution that keeps its limits. Its prices and its allocation are used; the first quote of a solution lowers
        its problem, and later ones reuse that. Of candidates in Parquet files, the pairs of the campaign's users are
        read; their quotes are immediate, of known items.
    request
        A request, or a list of them, which share visits. None: `fields` are those of one request.
    certify
        False: from the prices of the solution, in one visit to the campaign's users. `cost.low` is the bound that
        duality gives; `cost.high` is proven by exchanges within slates that keep all limits, where these deliver the
        units. True: the cost is proven from both sides to `gap`, by a few passes from a warm start where that bracket
        is wider.
    gap
        Width of the proven cost, as a share of the objective, at which `certify` is content; the gap of the solution
        itself comes on top. For the cost of a small campaign give less than the default.
    threads
        As for `solve`.
    now
        The time by which flights are past; None for the clock of this machine.
    **fields
        Fields of `QuoteRequest`.

    Returns
    -------
    Quote or Quotes
        `Quotes` for a list of requests.

    Raises
    ------
    ProblemError
        For unknown keys, labels, items and users, items that are no user's candidates, negative units, more units than
        slates have room for, flights in the past; for candidates in Parquet files also where `certify` or new items
        are asked for, or the pairs of the campaign's users take more memory than the candidates may.
    SolverError
        For a solution without an allocation, or one that misses limits.

    Notes
    -----
    Let lambda be the prices of the plan and mu >= 0 a price of the campaign's impressions. The value of every
    allocation with F of them is at most D(lambda, mu) - mu F (weak duality; Boyd and Vandenberghe, Convex Optimization,
    section 5.2.2), so they cost at least the value of the plan minus the least of these numbers over mu.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]},
    ...     users={"market": ["SE", "DE"]}, items={"song": ["a", "b"]})
    >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    >>> quote = oa.quote(solution, of={"song": "b"}, where={"market": "SE"}, units=1, certify=True)
    >>> quote.feasible, round(quote.cost.low, 6), round(quote.cost.high, 6)
    (True, 0.4, 0.4)
    """
    requests = _requests(request, fields)
    _check(solution, certify, gap, threads, now)
    if solution.problem.candidates.stream is not None:
        _check_streamed(requests, certify)
    moment = dt.datetime.now(dt.UTC) if now is None else now
    moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment
    targets = [target_of(solution.problem.candidates, one, moment) for one in requests]  # all checks before any work
    quotes = [
        quoted_one(solution, one, target, certify, float(gap), threads)
        for one, target in zip(requests, targets, strict=True)
    ]
    return quotes[0] if request is None or isinstance(request, QuoteRequest) else Quotes(quotes)


def _requests(request: object, fields: dict[str, Any]) -> list[QuoteRequest]:
    if request is None:
        return [QuoteRequest.of_fields(fields)]
    if fields:
        raise ProblemError(f"quote(request, {next(iter(fields))}=...): give a request or its fields, not both.")
    if isinstance(request, QuoteRequest):
        return [request]
    if isinstance(request, (list, tuple)) and request and all(isinstance(one, QuoteRequest) for one in request):
        return list(request)
    raise ProblemError(f"quote(request={shown(request)}): expected an oa.QuoteRequest, or a list of at least one.")


def _check_streamed(requests: list[QuoteRequest], certify: bool) -> None:
    """Refuse what needs pairs in memory."""
    what = "certify=True" if certify else "pairs=" if any(one.pairs is not None for one in requests) else None
    if what is not None:
        raise ProblemError(
            f"quote: {what} needs candidates in memory, and those of this solution are in Parquet files. Ask for an "
            "immediate quote of known items, or solve the market of the quote, or a sample of its users, from arrays "
            "or frames."
        )


def _check(solution: object, certify: object, gap: object, threads: object, now: object) -> None:
    if not isinstance(solution, Solution):
        raise ProblemError(f"quote() takes an oa.Solution, got {type(solution).__name__}.")
    as_flag(certify, "certify", "quote", ProblemError)
    real = as_real(gap)
    if real is None or not 0.0 < real < np.inf:
        raise ProblemError(f"quote(gap={shown(gap)}): expected a positive number.")
    if threads is not None and ((whole := as_whole(threads)) is None or whole < 1):
        raise ProblemError(f"quote(threads={shown(threads)}): expected a whole number of threads.")
    if now is not None and not isinstance(now, dt.datetime):
        raise ProblemError(f"quote(now={shown(now)}): expected a datetime, or None for the clock of this machine.")
