"""The functions of an objective, from the formulas of their documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from random_programs import Array, Gain
from scipy.special import xlogy

CURVED = ("log", "alpha_fair", "entropy", "kl", "square_deviation")


@dataclass(frozen=True, eq=False)
class Stated:
    """A function with its groups: totals of the plan are `matrix @ x`, and it is of those and what was delivered."""

    gain: Gain
    labels: list[Any]
    matrix: Array

    @property
    def delivered(self) -> Array:
        return np.zeros(len(self.labels)) if self.gain.delivered is None else self.gain.delivered

    @property
    def ranks(self) -> Array:
        """Weights of `gini_welfare`, the worst-off's first."""
        given, n = self.gain.numbers.get("ranks"), len(self.labels)
        return np.array([(2 * (n - k) + 1) / n**2 for k in range(1, n + 1)]) if given is None else np.asarray(given)

    def value(self, planned: Array) -> float:
        """Weight times the function; a rounding below 0 is 0 where the totals cannot be negative."""
        numbers, e = self.gain.numbers, planned + self.delivered
        if not e.size:
            return 0.0
        kind = self.gain.kind
        if kind in ("log", "alpha_fair", "entropy", "kl"):
            e = np.maximum(e, 0.0)
        with np.errstate(divide="ignore"):
            if kind == "log" or (kind == "alpha_fair" and numbers["alpha"] == 1.0):
                out = np.log(e + numbers["offset"]).sum()
            elif kind == "alpha_fair":
                out = ((e + numbers["offset"]) ** (1.0 - numbers["alpha"]) / (1.0 - numbers["alpha"])).sum()
            elif kind == "entropy":
                out = -xlogy(e / numbers["total"], e / numbers["total"]).sum()
            elif kind == "kl":
                p, q = e / numbers["total"], self.targets / self.targets.sum()
                out = -(xlogy(p, p / q) - p + q).sum()
            elif kind == "square_deviation":
                out = -0.5 * ((e - self.targets) ** 2).sum()
            elif kind == "reach":
                out = np.minimum(e, numbers["times"]).sum()
            elif kind == "worst_off":
                out = (e / numbers["shares"]).min()
            else:
                out = self.ranks @ np.sort(e)
        return float(self.gain.weight * out)

    @property
    def targets(self) -> Array:
        return np.asarray(self.gain.numbers["targets"], float)

    def expression(self, planned: Any) -> Any:
        """The same for cvxpy, in numbers near 1."""
        import cvxpy as cp

        numbers, kind, e = self.gain.numbers, self.gain.kind, planned + self.delivered
        if not self.labels:
            return 0.0
        if kind == "log" or (kind == "alpha_fair" and numbers["alpha"] == 1.0):
            out = cp.sum(cp.log(e + numbers["offset"]))
        elif kind == "alpha_fair":
            out = cp.sum(cp.power(e + numbers["offset"], 1.0 - numbers["alpha"])) / (1.0 - numbers["alpha"])
        elif kind == "entropy":
            out = cp.sum(cp.entr(e / numbers["total"]))
        elif kind == "kl":
            q = self.targets / self.targets.sum()
            out = -cp.sum(cp.kl_div(e / numbers["total"], q))
        else:
            out = -0.5 * cp.sum_squares(e - self.targets)
        return self.gain.weight * out


def piecewise(model: Any, stated: Stated, at: slice, matrix: Any) -> None:
    """Reach, worst-off and Gini as linear programs."""
    gain, n, delivered = stated.gain, len(stated.labels), stated.delivered
    if not n:
        return
    if gain.kind == "reach":  # a level below the total and below `times`
        level = model.add(np.full(n, gain.weight), -np.inf, gain.numbers["times"])
        model.rows([(at, -matrix), (level, sp.eye_array(n, format="csr"))], -np.inf, delivered)
    elif gain.kind == "worst_off":
        level = model.add(np.array([gain.weight]), -np.inf, np.inf)
        shares = sp.csr_array(np.reshape(gain.numbers["shares"] * np.ones(n), (n, 1)))
        model.rows([(at, -matrix), (level, shares)], -np.inf, delivered)
    else:  # the sum of the k smallest is the largest k t - sum (t - e)_+, as often as the weights fall after rank k
        falls = stated.ranks - np.append(stated.ranks[1:], 0.0)
        for k in np.flatnonzero(falls > 0):
            worth = gain.weight * falls[k]
            level = model.add(np.array([worth * (k + 1.0)]), -np.inf, np.inf)
            below = model.add(np.full(n, -worth), 0.0, np.inf)
            model.rows(
                [(at, -matrix), (level, sp.csr_array(np.ones((n, 1)))), (below, -sp.eye_array(n, format="csr"))],
                -np.inf,
                delivered,
            )
