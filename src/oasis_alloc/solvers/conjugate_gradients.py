"""Conjugate gradients with a diagonal preconditioner, on some of the variables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats


def conjugate_gradients(
    product: Callable[[Floats], Floats],
    diagonal: Floats,
    target: Floats,
    free: npt.NDArray[np.bool_],
    stop: float,
    max_products: int,
) -> Floats:
    """Solution of H d = target on the free variables, up to a squared residual `stop`; the others stay 0."""
    preconditioner = 1.0 / diagonal
    d = np.zeros_like(target)
    residual = target.copy()
    step = preconditioner * residual
    search = step.copy()
    norm = float(residual @ step)
    for _ in range(max_products):
        if norm <= stop:
            break
        along = np.where(free, product(search), 0.0)
        curvature = float(search @ along)
        if curvature <= 0.0:
            break
        length = norm / curvature
        d += length * search
        residual -= length * along
        step = preconditioner * residual
        old, norm = norm, float(residual @ step)
        search = step + (norm / old) * search
    return d
