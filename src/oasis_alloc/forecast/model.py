"""How deliveries have followed a plan, and where they go: levels and trends of all campaigns together, and scenarios.

The number of showings of campaign c in bin d is counted as

    n_cd ~ mean  e_cd * exp(level_c + slope_c * s_d),   variance  phi_c * mean

where e_cd is what the plan's prices serve at the expected traffic, and s_d in [0, 1] the part of the flight that has
passed. Two causes are common to all campaigns: traffic moves all levels by T, and relevance R moves each slope by the
campaign's elasticity:

    level_c = T + u_c,   slope_c = elasticity_c * R + v_c,   T, R, u_c, v_c normal with known variances.

The posterior is that of a Poisson regression with normal priors, by Newton's method (a Laplace approximation, Gelman et
al., Bayesian Data Analysis, section 4.1): each campaign has two numbers of its own and two are shared, so a step solves
2 x 2 systems. Scenarios draw the shared numbers first, then every campaign's own, then counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.types import Floats

_STEPS = 12  # of Newton's method
_HELD = 0.01  # of a cap: prices that follow delivery end up to so much below it
_LONGEST = 2.0  # a step of a level or slope: counts far from the plan are reached in several


@dataclass(frozen=True)
class Priors:
    """Standard deviations of what scenarios vary."""

    traffic: float  # of the logarithm of all traffic over what was expected
    relevance: float  # of the relative change of promoted items' relevance over the flight
    level: float  # of a campaign's own level, and of its own trend
    days: float  # of the traffic of single bins


@dataclass(frozen=True, eq=False)
class History:
    """What was counted, and what the plan expects; arrays by campaign and bin."""

    counts: Floats  # (n, bins so far)
    expected: Floats  # (n, bins so far)
    when: Floats  # (bins so far,) part of the flight at the middle of each
    ahead: Floats  # (n, bins to come) expected
    when_ahead: Floats  # (bins to come,)
    elasticity: Floats  # (n,) of delivery to relevance
    noise: Floats  # (n,) variance of the level from the sample that the plan was solved on
    dispersion: Floats  # (n,) variance of counts over their mean


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the history says; shared numbers are (traffic, relevance)."""

    shared: Floats  # (2,)
    shared_covariance: Floats  # (2, 2)
    own: Floats  # (n, 2) level and slope of each campaign
    to_own: Floats  # (n, 2, 2) what the shared numbers add to them
    base: Floats  # (n, 2) the rest
    own_covariance: Floats  # (n, 2, 2) given the shared numbers
    scale: float  # dispersion that was seen, over what was expected


def fitted(history: History, priors: Priors) -> Posterior:
    """The posterior of all levels and slopes."""
    n = history.counts.shape[0]
    loads = np.zeros((n, 2, 2))  # from shared to own
    loads[:, 0, 0], loads[:, 1, 1] = 1.0, history.elasticity
    precision = np.zeros((n, 2, 2))
    precision[:, 0, 0] = 1.0 / (priors.level**2 + history.noise)
    precision[:, 1, 1] = 1.0 / priors.level**2
    prior = np.diag([1.0 / max(priors.traffic, 1e-6) ** 2, 1.0 / max(priors.relevance, 1e-6) ** 2])
    own, scale = np.zeros((n, 2)), 1.0
    covariance: Floats = np.zeros((n, 2, 2))
    for step in range(_STEPS):
        information, pull = _likelihood(history, own, history.dispersion * scale)
        covariance = np.linalg.inv(information + precision).astype(np.float64)
        right = pull + np.einsum("nij,nj->ni", information, own)
        to_own = covariance @ precision @ loads
        base = np.einsum("nij,nj->ni", covariance, right)
        # what all campaigns say of the shared numbers, with their own numbers integrated out
        seen = np.einsum("nki,nkj->ij", loads, precision @ loads) - np.einsum("nki,nkj->ij", loads, precision @ to_own)
        told = np.einsum("nki,nk->i", loads, np.einsum("nij,nj->ni", precision, base))
        shared_covariance = np.linalg.inv(prior + seen)
        shared = shared_covariance @ told
        found = base + np.einsum("nij,j->ni", to_own, shared)
        moved = np.clip(found - own, -_LONGEST, _LONGEST)
        own = own + moved
        if step == _STEPS // 2:
            scale = _scale(history, own)
        elif step > _STEPS // 2 and np.abs(moved).max(initial=0.0) < 1e-8:
            break
    return Posterior(shared, shared_covariance, own, to_own, base, covariance, scale)


def _likelihood(history: History, own: Floats, dispersion: Floats) -> tuple[Floats, Floats]:
    """(information, gradient) of the counts at some levels and slopes."""
    mean = _means(history.expected, history.when, own)
    design = np.stack([np.ones_like(history.when), history.when])
    weighted = mean / dispersion[:, None]
    information = np.einsum("nt,it,jt->nij", weighted, design, design)
    gradient = ((history.counts - mean) / dispersion[:, None]) @ design.T
    return information, gradient


def _means(expected: Floats, when: Floats, own: Floats) -> Floats:
    exponent = np.clip(own[:, :1] + own[:, 1:] * when, -30.0, 30.0)
    return expected * np.exp(exponent)


def _scale(history: History, own: Floats) -> float:
    """Pearson's statistic over its degrees of freedom, where there are enough counts to tell."""
    mean = _means(history.expected, history.when, own)
    clear = mean >= 1.0
    free = int(clear.sum()) - 2 * history.counts.shape[0] - 2
    if free < 50:
        return 1.0
    apart = (history.counts - mean) ** 2 / (mean * history.dispersion[:, None])
    return float(np.clip(apart[clear].sum() / free, 0.5, 10.0))


class Scenarios:
    """Counts that may come: what is shared is drawn once, and each campaign's own part when it is asked for."""

    def __init__(self, history: History, posterior: Posterior, priors: Priors, count: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 23])
        self._history, self._posterior, self._seed, self.count = history, posterior, seed, count
        bins = history.ahead.shape[1]
        self._shared = rng.multivariate_normal(posterior.shared, posterior.shared_covariance, count, method="cholesky")
        wave = rng.standard_normal((count, 1, bins))
        self._of_bin = np.exp(priors.days * wave - 0.5 * priors.days**2)

    def drawn(self, first: int, last: int) -> Floats:
        """(scenarios, last - first, bins to come) counts of some campaigns; the same however they are asked for."""
        history, posterior = self._history, self._posterior
        bins = history.ahead.shape[1]
        out = np.empty((self.count, last - first, bins))
        root = np.linalg.cholesky(posterior.own_covariance[first:last])
        for k in range(first, last):
            rng = np.random.default_rng([self._seed, 29, k])
            own = posterior.base[k] + self._shared @ posterior.to_own[k].T
            own = own + rng.standard_normal((self.count, 2)) @ root[k - first].T
            exponent = np.clip(own[:, :1] + own[:, 1:] * history.when_ahead, -30.0, 30.0)
            mean = np.minimum(history.ahead[k] * np.exp(exponent) * self._of_bin[:, 0], 1e15)
            spread = float(np.sqrt(history.dispersion[k] * posterior.scale))
            out[:, k - first] = np.maximum(mean + spread * (rng.poisson(mean) - mean), 0.0)
        return out

    def steered(self, first: int, last: int) -> Floats:
        """The same where a pacer serves, which closes a part of what a campaign is ahead of all campaigns, or behind.

        A campaign that has had more than the common causes explain gets less from then on, and one that has had less
        gets more. Which part of the difference is made up for by the end is not known: scenarios draw it evenly from
        none to all.
        """
        history, out = self._history, self.drawn(first, last)
        when = np.concatenate([history.when, history.when_ahead])
        for k in range(first, last):
            part = np.random.default_rng([self._seed, 31, k]).random(self.count)
            exponent = self._shared[:, :1] + history.elasticity[k] * self._shared[:, 1:] * when
            common = np.exp(np.clip(exponent, -30.0, 30.0)) @ np.concatenate([history.expected[k], history.ahead[k]])
            ahead = out[:, k - first].sum(axis=1)
            wanted = np.maximum(ahead + part * (common - history.counts[k].sum() - ahead), 0.0)
            out[:, k - first] *= (wanted / np.maximum(ahead, 1e-9))[:, None]
        return out

    def caps(self, at: int, cap: float, paced: bool) -> Floats:
        """(scenarios, 1) where deliveries stop: a pacer's prices hold a cap from a little below."""
        part = np.random.default_rng([self._seed, 37, at]).random((self.count, 1)) if paced else np.zeros((1, 1))
        below: Floats = cap * (1.0 - _HELD * part**2)  # mostly close to it
        return below
