"""What the kernel of rules (ruled.py) reads and writes for its jobs, besides the pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Curvature(NamedTuple):
    """Fractional pairs of a visit in runs that the same rule holds back: what a Hessian product needs."""

    cell: npt.NDArray[np.int64]  # (capacity,)
    extra: npt.NDArray[np.float64]  # (K, capacity)
    lean: npt.NDArray[np.float64]  # (capacity,) direction that the user's guard holds, of length 1; zeros for none
    end: npt.NDArray[np.int64]  # (capacity + 1,) end of each run; negative where no rule holds it
    runs: npt.NDArray[np.int64]  # (capacity + 1,) end of each user's runs


class Sums(NamedTuple):
    """What a visit reads and writes besides the pairs: see visit.visit."""

    load: npt.NDArray[np.float64]  # (K + 1, n_cells)
    square: npt.NDArray[np.float64]  # (K + 1, n_cells)
    kept: Curvature
    out: npt.NDArray[np.float64]


class Marks(NamedTuple):
    """What decisions read and write: see decide.decide and decide.margins. What a job does not need is empty."""

    margin: npt.NDArray[np.float64]  # (n_segments, n_classes)
    state: npt.NDArray[np.uint8]  # pairs of the users visited
    histogram: npt.NDArray[np.int64]  # (N_BINS,)
    x: npt.NDArray[np.float64]  # pairs of the users visited; or users, for what they attain


def marks(
    margin: npt.NDArray[np.float64] | None = None,
    state: npt.NDArray[np.uint8] | None = None,
    histogram: npt.NDArray[np.int64] | None = None,
    x: npt.NDArray[np.float64] | None = None,
) -> Marks:
    """Marks of which some are not needed."""
    return Marks(
        np.empty((0, 0)) if margin is None else margin,
        np.empty(0, np.uint8) if state is None else state,
        np.empty(0, np.int64) if histogram is None else histogram,
        np.empty(0) if x is None else x,
    )


def no_sums() -> Sums:
    """Sums for jobs that add nothing up."""
    cell, none = np.empty(0, np.int64), np.empty((0, 0))
    return Sums(none, none, Curvature(cell, none, np.empty(0), cell, cell), np.empty(0))
