"""Diverse slates that keep a share of a column: picks of diversify.py, those left out after which it cannot be kept.

A slate that keeps the share by itself is taken as it is. Arguments are those of diversify.py and, behind them,
`column`, `flat` and `share` as slate_keep.py has them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.diversify import dpp as any_dpp
from oasis_alloc.kernels.serve.diversify import mmr as any_mmr
from oasis_alloc.kernels.serve.diversify import picks_dpp, picks_mmr
from oasis_alloc.kernels.serve.diversify_window import dpp_window as any_dpp_window
from oasis_alloc.kernels.serve.diversify_window import picks_dpp_window
from oasis_alloc.kernels.serve.slate_keep import _sum
from oasis_alloc.kernels.serve.slate_share import begun, column_of

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]


@jit
def mmr(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, diversity: float, out: Ints, marginal: Floats,
    column: Floats, flat: Floats, share: float,
) -> int:  # fmt: skip
    """As `mmr` of diversify.py, and keep the share of `column`."""
    column = column_of(n, scores, column)
    so_far = begun(n, column, keys, of_item, rules, flat, counts, pinned, k, least, share, out, marginal)
    m = any_mmr(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, diversity, out,
        marginal,
    )  # fmt: skip
    if _sum(m, out, column) >= so_far.target:
        return m
    return picks_mmr(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, diversity, out,
        marginal, so_far,
    )  # fmt: skip


@jit
def dpp(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, beta: float, out: Ints, marginal: Floats,
    column: Floats, flat: Floats, share: float,
) -> int:  # fmt: skip
    """As `dpp` of diversify.py, and keep the share of `column`."""
    column = column_of(n, scores, column)
    so_far = begun(n, column, keys, of_item, rules, flat, counts, pinned, k, least, share, out, marginal)
    m = any_dpp(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, beta, out,
        marginal,
    )  # fmt: skip
    if _sum(m, out, column) >= so_far.target:
        return m
    return picks_dpp(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, beta, out,
        marginal, so_far,
    )  # fmt: skip


@jit
def dpp_window(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, beta: float, window: int, out: Ints, marginal: Floats,
    column: Floats, flat: Floats, share: float,
) -> int:  # fmt: skip
    """As `dpp_window` of diversify_window.py, and keep the share of `column`."""
    column = column_of(n, scores, column)
    so_far = begun(n, column, keys, of_item, rules, flat, counts, pinned, k, least, share, out, marginal)
    m = any_dpp_window(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, beta, window, out,
        marginal,
    )  # fmt: skip
    if _sum(m, out, column) >= so_far.target:
        return m
    return picks_dpp_window(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, beta, window, out,
        marginal, so_far,
    )  # fmt: skip
