"""Input and output of visits in addition to the pairs: users, prices, sums, and marks of decisions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NEVER = -2
"""The category that marks a user who was not visited yet."""


class RuledCurvature(NamedTuple):
    """Fractional pairs of a visit, in runs under the same binding rule, for Hessian products."""

    cell: npt.NDArray[np.int64]  # (capacity,)
    extra: npt.NDArray[np.float64]  # (K, capacity)
    end: npt.NDArray[np.int64]  # (capacity + 1,) end of each run; negative where no rule holds it
    runs: npt.NDArray[np.int64]  # (users + 1,) end of each user's runs
    held: npt.NDArray[np.float64]  # entries of the vectors that guards and further categories hold, pair by pair
    vectors: npt.NDArray[np.int64]  # (users + 1,) end of each user's entries of vectors


class Users(NamedTuple):
    """The users of a call: first <= u < last; with stride > 1 only one block of 32 users in `stride`."""

    first: int
    last: int
    stride: int


class FurtherPrices(NamedTuple):
    """Positive prices of further categories at the last visit, user by user; all empty where none are kept."""

    start: npt.NDArray[np.int64]  # (n_users + 1,) where a user's prices begin
    category: npt.NDArray[np.int32]  # their categories; NEVER at the first where there was no visit, else -1 ends them
    price: npt.NDArray[np.float64]


class Point(NamedTuple):
    """Where users are visited, and where their own prices were at the last visit."""

    price: npt.NDArray[np.float64]  # (K + 1, n_segments, n_classes)
    gamma: float  # smoothing
    slack: float  # candidates further below the threshold of the last visit are not looked at first
    threshold: npt.NDArray[np.float64]  # (n_users,) the slates' prices; a visit overwrites them
    nu: npt.NDArray[np.float64]  # (n_users,) the guards' prices, or empty; a visit overwrites them
    further: FurtherPrices  # a visit overwrites them


class Sums(NamedTuple):
    """Output of a visit, to which it adds: see visit.visit."""

    load: npt.NDArray[np.float64]  # (K + 1, n_cells) sums of c x
    square: npt.NDArray[np.float64]  # (K + 1, n_cells) sums of c^2 (1 - 1/active) over fractional pairs
    kept: Any  # PlainCurvature or RuledCurvature: the fractional pairs of some users, up to its capacity
    keep_every: int  # of one user in so many
    out: npt.NDArray[np.float64]  # (N_OUT,) scalars; they also say where kept ends


class Marks(NamedTuple):
    """Input and output of decisions: see decide.decide and decide.margins. Unused arrays are empty."""

    margin: npt.NDArray[np.float64]  # (n_segments, n_classes)
    state: npt.NDArray[np.uint8]  # pairs of the users visited
    widest: float  # margins of the histogram end here
    histogram: npt.NDArray[np.int64]  # (N_BINS,)
    x: npt.NDArray[np.float64]  # pairs of the users visited; or users, for what they attain
    bound: npt.NDArray[np.float64]  # (1,) to which decisions add what the best slates are worth


def no_further() -> FurtherPrices:
    """Where prices of further categories are not kept: every visit finds them from nothing."""
    return FurtherPrices(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0))


def further_prices(count: npt.NDArray[np.int64]) -> FurtherPrices:
    """Room for so many prices per user, before the first visit."""
    start = np.concatenate([[0], np.cumsum(count)])
    return FurtherPrices(start, np.full(int(start[-1]), NEVER, np.int32), np.zeros(int(start[-1])))


def marks(
    margin: npt.NDArray[np.float64] | None = None,
    state: npt.NDArray[np.uint8] | None = None,
    widest: float = 1.0,
    histogram: npt.NDArray[np.int64] | None = None,
    x: npt.NDArray[np.float64] | None = None,
    bound: npt.NDArray[np.float64] | None = None,
) -> Marks:
    """Marks of which some are not needed."""
    return Marks(
        np.empty((0, 0)) if margin is None else margin,
        np.empty(0, np.uint8) if state is None else state,
        widest,
        np.empty(0, np.int64) if histogram is None else histogram,
        np.empty(0) if x is None else x,
        np.empty(0) if bound is None else bound,
    )


def no_sums() -> Sums:
    """Sums for jobs that add nothing up."""
    cell, none = np.empty(0, np.int64), np.empty((0, 0))
    return Sums(none, none, RuledCurvature(cell, none, cell, cell, np.empty(0), cell), 1, np.empty(0))
