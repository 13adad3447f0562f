"""`oa.choose_exploration`: the smallest exploration rate whose log can detect a difference in a given time.

With an exploration of share e, candidate a is shown with probability `x_a = (1 - e) best_a + e even_a`. The difference
between a policy that shows a with probability q_a and the logged one, by inverse propensity, has the variance

    V(e) = E[r^2] sum_a (q_a - x_a)^2 / x_a

per request, up to terms of the square of the difference. It is convex in e: each x_a is linear, and
`q^2 / x - 2 q + x` is convex in x. A two-sided test of level alpha finds a difference d with probability `power` in

    n(e) = (z(1 - alpha / 2) + z(power))^2 V(e) / d^2

requests. The smallest e with n(e) at most the requests at hand is below the minimum of V, where V falls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.documents import Document
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import Printed, TextTable, number
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.policy import Policy
from oasis_alloc.publish.decisions.reading import Decisions
from oasis_alloc.serving.exploration import Exploration
from oasis_alloc.signals.off_policy.replayed import of_one_policy, probabilities

_CURVE = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
_STEPS = 100  # of the searches over shares
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True)
class ExplorationChoice(Document, Printed, ByFields, form="exploration_choice"):
    """The smallest share of exploration with which a log detects a difference; made by `oa.choose_exploration`.

    Attributes
    ----------
    share
        The share of the slots that is spread evenly over all candidates: `oa.Exploration(share=...)`.
    difference, requests, power, confidence
        What is detected, in how many requests, with which probability, by intervals that hold with which probability.
    needed
        Requests that are needed at this share; `requests` or fewer.
    curve
        (share, requests that are needed) at other shares.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> choice = oa.choose_exploration(0.01, requests=100_000, rate=0.05, candidates=20)
    >>> round(choice.share, 3), choice.exploration() == oa.Exploration(share=choice.share)
    (0.755, True)
    """

    share: float
    difference: float
    requests: float
    power: float
    confidence: float
    needed: float
    curve: tuple[tuple[float, float], ...]

    def exploration(self) -> Exploration:
        """The exploration to serve with."""
        return Exploration(share=self.share)

    def parts(self) -> list[str | TextTable]:
        """Paragraphs and tables of the report."""
        rows = [(f"{100 * share:g} %", number(needed, 3)) for share, needed in self.curve]
        return [
            f"An exploration of {100 * self.share:.3g} % of the slots detects a difference of "
            f"{number(self.difference, 4)} per request in {self.requests:,.0f} requests, "
            f"with a probability of {100 * self.power:g} %.",
            TextTable(("exploration", "requests needed"), "lr", rows),
        ]

    _parts = parts


class _Shown(NamedTuple):
    """Candidates: how many per request, and how often the best slate, an even one and the other policy show them."""

    number: Floats
    best: Floats
    even: Floats
    other: Floats

    def variance(self, share: float) -> float:
        """V(share) over E[r^2]."""
        x = (1.0 - share) * self.best + share * self.even
        apart = (self.other - x) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(apart > 0.0, apart / x, 0.0)
        return float(self.number @ terms)


@suggesting
def choose_exploration(
    difference: float,
    *,
    requests: float,
    rate: float,
    candidates: int | None = None,
    slots: int = 1,
    changed: float = 1.0,
    policies: Sequence[Policy] | None = None,
    decisions: Decisions | None = None,
    power: float = 0.8,
    confidence: float = 0.95,
) -> ExplorationChoice:
    """Find the smallest exploration rate whose log can detect a given difference in a given time.

    Parameters
    ----------
    difference
        The difference per request between another policy and the logged one that should be found, above 0: in units of
        the outcome.
    requests
        Number of requests in the time that is given: requests per day times days.
    rate
        Mean of the squared outcome of an item that is shown; for outcomes 0 and 1, their rate.
    candidates, slots, changed
        Numbers of candidates and of slots per request, and the share of the slots in which the other policy shows
        another item: a rough description of both policies.
    policies, decisions
        Instead of these: (current policy, other policy), and logged requests on which both are compared, from
        `read_decisions`. Neither needs propensities.
    power, confidence
        The probability of finding the difference, and the probability with which intervals hold.

    Returns
    -------
    ExplorationChoice
        `choice.share` for `oa.Exploration(share=...)`, and requests that other shares need.

    Raises
    ------
    InputError
        For numbers out of range, and if no rate detects the difference: the message says what the best rate would need.

    Notes
    -----
    A difference d is found in `(z(1 - alpha / 2) + z(power))^2 V / d^2` requests, where V, the variance per request of
    the inverse propensity estimate of the difference, is `rate * sum_a (q_a - x_a)^2 / x_a`, with x the logged
    propensities and q those of the other policy. Outcomes of items of one slate count as uncorrelated.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> choice = oa.choose_exploration(0.01, requests=100_000, rate=0.05, candidates=20, slots=5, changed=0.2)
    >>> print(choice.parts()[0])
    An exploration of 15.4 % of the slots detects a difference of 0.01 per request in 100,000 requests, with a
    probability of 80 %.
    """
    from scipy.stats import norm

    what = "choose_exploration"
    d = _positive(difference, what, "difference", "outcomes per request")
    n, squared = _positive(requests, what, "requests", "requests"), _positive(rate, what, "rate", "squared outcomes")
    chance, sure = _between(power, what, "power"), _between(confidence, what, "confidence")
    if policies is not None or decisions is not None:
        of = _of_policies(policies, decisions, what)
    else:
        of = _described(candidates, slots, changed, what)
    factor = float(norm.ppf(0.5 + sure / 2) + norm.ppf(chance)) ** 2 * squared / d**2
    if factor * of.variance(0.0) <= n:
        share = 0.0
    else:
        best = _lowest(of)
        if not factor * of.variance(best) <= n:
            raise InputError(
                f"{what}: no exploration detects a difference of {d:g} per request in {n:,.0f} requests. The best, "
                f"share={best:.3g}, takes {factor * of.variance(best):,.0f} requests; in {n:,.0f} it detects "
                f"{d * math.sqrt(factor * of.variance(best) / n):.4g}."
            )
        share = _first(of, n / factor, best)
    curve = tuple((s, factor * of.variance(s)) for s in _CURVE)
    return ExplorationChoice(share, d, n, chance, sure, factor * of.variance(share), curve)


def _positive(value: float, what: str, name: str, unit: str) -> float:
    found = as_real(value)
    if found is None or not 0.0 < found < math.inf:
        raise InputError(f"{what}({name}={shown(value)}): expected a finite number of {unit} above 0.")
    return found


def _between(value: float, what: str, name: str) -> float:
    found = as_real(value)
    if found is None or not 0.5 <= found < 1.0:
        raise InputError(f"{what}({name}={shown(value)}): expected a probability from 0.5 to below 1.")
    return found


def _described(candidates: int | None, slots: int, changed: float, what: str) -> _Shown:
    """Candidates of four kinds: in both slates, only in the other one, only in the best one, and in neither."""
    n, k, share = as_whole(candidates), as_whole(slots), as_real(changed)
    if n is None or n < 2:
        raise InputError(
            f"{what}(candidates={shown(candidates)}): expected a whole number of candidates per request, 2 or more; or "
            "pass policies= and decisions=."
        )
    if k is None or not 1 <= k < n:
        raise InputError(f"{what}(slots={shown(slots)}): expected a whole number, 1 to {n - 1}: fewer than candidates.")
    if share is None or not 0.0 < share <= 1.0 or k * (1.0 + share) > n:
        raise InputError(
            f"{what}(changed={shown(changed)}): expected a share of the slots above 0 and at most "
            f"{min(1.0, (n - k) / k):g}, for there are {n} candidates for {k} slots."
        )
    count = np.array([k * (1.0 - share), k * share, k * share, n - k * (1.0 + share)])
    best, other = np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])
    return _Shown(count, best, np.full(4, k / n), other)


def _of_policies(policies: Sequence[Policy] | None, decisions: Decisions | None, what: str) -> _Shown:
    pair = list(policies) if isinstance(policies, (list, tuple)) else []
    if len(pair) != 2 or not all(isinstance(one, Policy) for one in pair) or not isinstance(decisions, Decisions):
        raise InputError(
            f"{what}: expected policies=(current policy, other policy) and decisions=, from read_decisions."
        )
    chosen = of_one_policy(decisions, None, mixed=True)
    parts: tuple[list[Floats], list[Floats], list[Floats]] = ([], [], [])
    for one in chosen:
        for out, policy, share in zip(parts, (pair[0], pair[0], pair[1]), (0.0, 1.0, 0.0), strict=True):
            try:
                out.append(probabilities(policy, one, Exploration(share=share)))
            except InputError as error:
                raise InputError(f"request {shown(one.request)} cannot be replayed: {error}") from error
    best, even, other = (np.concatenate(part) for part in parts)
    found = _Shown(np.full(best.size, 1.0 / len(chosen)), best, even, other)
    if not found.variance(0.5) < math.inf:
        raise InputError(f"{what}: the other policy shows items that no exploration of the current policy shows.")
    return found


def _lowest(of: _Shown) -> float:
    """The share in (0, 1] with the smallest variance: golden sections on its logarithm, on which V is unimodal."""
    low, high = math.log(1e-9), 0.0
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if of.variance(math.exp(left)) <= of.variance(math.exp(right)):
            high = right
        else:
            low = left
    return min(math.exp(high), 1.0)


def _first(of: _Shown, target: float, best: float) -> float:
    """The smallest share with a variance of at most the target, between 0 and the best one."""
    low, high = 0.0, best
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if of.variance(middle) <= target:
            high = middle
        else:
            low = middle
    return high
