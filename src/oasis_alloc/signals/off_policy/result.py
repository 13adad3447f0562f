"""What an off-policy evaluation found: estimates with intervals, what the weights carry, and a verdict in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.remote_path import AnyPath
from oasis_alloc.common.text_tables import Printed, TextTable, number
from oasis_alloc.data.named import frame_of
from oasis_alloc.errors import InputError
from oasis_alloc.signals.off_policy.weights import OffPolicyWeights

SCHEMA = 1
_FIRST = (
    "doubly robust", "cascade doubly robust", "self-normalized", "self-normalized pseudo-inverse", "pseudo-inverse",
    "cascade",
)  # fmt: skip
_MEMBERS = ("value", "standard_error", "low", "high", "difference", "difference_low", "difference_high")


@dataclass(frozen=True)
class OffPolicyEstimate:
    """The value of a policy per request by one estimator, with its interval.

    Attributes
    ----------
    estimator
        Its name, such as "self-normalized".
    value, standard_error
        Estimated outcome per request, and its standard error.
    low, high
        The confidence interval. An end is infinite if the log does not bound it.
    difference, difference_low, difference_high
        The same for the policy minus the logged one, whose outcomes are of the same requests.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> found = oa.off_policy([1, 0, 0, 1] * 25, [0.5] * 100, [0.5, 0.5, 0.25, 0.75] * 25)
    >>> one = found["inverse propensity"]
    >>> one.value, one.low < 0.625 < one.high
    (0.625, True)
    """

    estimator: str
    value: float
    standard_error: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float

    def to_dict(self) -> dict[str, Any]:
        """The numbers in the form of JSON."""
        return dict(jsonable(self))


@dataclass(frozen=True, eq=False)
class OffPolicy(Printed, ByFields):
    """What a log says about the value of another policy; print it, or read its numbers.

    Made by `oa.off_policy`, `oa.off_policy_slates` and `oa.evaluate_policy`. `found["switch"]` is one estimate.

    Attributes
    ----------
    estimates
        One `OffPolicyEstimate` per estimator; empty if the evaluation is refused.
    logged
        The logged policy's own mean outcome per request, in the same form.
    weights
        `OffPolicyWeights`: effective sample size, concentration, overlap.
    cautions, refusals
        Sentences about what the weights do not carry. With refusals there are no estimates.
    requests, units
        Number of requests, and of independent units: requests, or users.
    interval, confidence
        The kind of intervals, "bootstrap", "bernstein" or "normal", and the probability with which they hold.
    threshold
        The largest weight that the switch estimator uses; None without it.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> found = oa.off_policy([1, 0, 0, 1] * 25, [0.5] * 100, [0.5, 0.5, 0.25, 0.75] * 25)
    >>> found.best.estimator, found.refused, found.to_frame("pyarrow").num_rows
    ('self-normalized', False, 2)
    """

    estimates: tuple[OffPolicyEstimate, ...]
    logged: OffPolicyEstimate
    weights: OffPolicyWeights
    cautions: tuple[str, ...]
    refusals: tuple[str, ...]
    requests: int
    units: int
    interval: str
    confidence: float
    threshold: float | None = None

    @property
    def refused(self) -> bool:
        """Whether the log says too little of this policy for an estimate."""
        return bool(self.refusals)

    @property
    def is_compared(self) -> bool:
        """Whether intervals of differences to the logged policy hold: by Bernstein's bound, or with enough outcomes."""
        return self.interval == "bernstein" or self.weights.compares

    @property
    def best(self) -> OffPolicyEstimate:
        """The estimate to use first: doubly robust with predictions, else self-normalized.

        Raises `InputError` if the evaluation is refused.
        """
        if self.refused:
            raise InputError(f"there is no estimate. {' '.join(self.refusals)}")
        known = {one.estimator: one for one in self.estimates}
        return next((known[name] for name in _FIRST if name in known), self.estimates[0])

    def __getitem__(self, estimator: str) -> OffPolicyEstimate:
        for one in self.estimates:
            if one.estimator == estimator:
                return one
        names = [one.estimator for one in self.estimates]
        why = f" {' '.join(self.refusals)}" if self.refused else did_you_mean(str(estimator), names)
        raise InputError(f"there is no estimate {shown(estimator)}.{why}")

    @property
    def verdict(self) -> str:
        """One sentence: is the policy better than the logged one, as far as the log can say?"""
        if self.refused:
            return f"No estimate. {' '.join(self.refusals)}"
        one = self.best
        text = (
            f"About {number(one.value, 4)} per request ({one.estimator}, {100 * self.confidence:g} % interval "
            f"{_end(one.low)} to {_end(one.high)}), against {number(self.logged.value, 4)} of the logged policy: "
        )
        if not self.is_compared:
            text += "too few outcomes distinguish the two."
        elif one.difference_low > 0.0:
            text += "the policy is better."
        elif one.difference_high < 0.0:
            text += "the policy is worse."
        else:
            text += "the log cannot distinguish the two."
        return text + (" The weights carry little information." if self.cautions else "")

    def to_frame(self, backend: str = "pandas") -> Any:
        """The estimates as a frame of "pandas", "polars" or "pyarrow", one row per estimator."""
        rows = {"estimator": [one.estimator for one in self.estimates]}
        return frame_of(rows | {name: [getattr(one, name) for one in self.estimates] for name in _MEMBERS}, backend)

    def to_dict(self) -> dict[str, Any]:
        """Everything in the form of JSON: `oasis_alloc.off_policy`, docs/json.md; infinite ends are None."""
        return {
            "format": "oasis_alloc.off_policy",
            "schema": SCHEMA,
            "verdict": self.verdict,
            "refused": self.refused,
            "refusals": list(self.refusals),
            "cautions": list(self.cautions),
            "requests": self.requests,
            "units": self.units,
            "interval": self.interval,
            "confidence": self.confidence,
            "threshold": jsonable(self.threshold),
            "logged": self.logged.to_dict(),
            "estimates": [one.to_dict() for one in self.estimates],
            "weights": self.weights.to_dict(),
        }

    def page(self, path: AnyPath, title: str = "Off-policy evaluation") -> None:
        """Write one HTML page without dependencies: verdict, intervals, weights."""
        from oasis_alloc.signals.off_policy.page import write_page

        write_page(self, path, title)

    def parts(self) -> list[str | TextTable]:
        """Paragraphs and tables of the report."""
        return [self.verdict, *self.cautions, self._table(), self._weights()]

    _parts = parts

    def _table(self) -> TextTable:
        interval = f"{100 * self.confidence:g} % interval"
        rows = [
            (
                one.estimator, number(one.value, 4), f"{_end(one.low)} to {_end(one.high)}",
                number(one.difference, 4), f"{_end(one.difference_low)} to {_end(one.difference_high)}",
            )
            for one in (*self.estimates, self.logged)
        ]  # fmt: skip
        rows[-1] = (*rows[-1][:3], "", "")
        return TextTable(("per request", "value", interval, "minus logged", interval), "lrrrr", rows)

    def _weights(self) -> TextTable:
        of = self.weights
        rows = [
            ("effective sample size", f"{of.effective:,.0f} of {of.count:,}"),
            ("largest weight", number(of.largest, 4)),
            ("weight of the largest 1 %", f"{100 * of.top_share:.0f} %"),
            ("overlap", f"{100 * of.overlap:.1f} % +- {100 * of.overlap_error:.1f} %"),
            ("never shown by the policy", f"{100 * of.zero_share:.0f} % of the log"),
            ("effective outcomes", f"{of.outcomes:,.0f}"),
            ("of the difference", f"{of.compared:,.0f}"),
            ("requests", f"{self.requests:,}" + (f" of {self.units:,} users" if self.units < self.requests else "")),
        ]
        return TextTable(("weights", ""), "lr", rows)


def _end(value: float) -> str:
    """An end of an interval; infinite ones are not bounded by the log."""
    return number(value, 4) if math.isfinite(value) else ("-inf" if value < 0 else "inf")
