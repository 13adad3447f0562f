"""Types of arrays that every stage uses. Kernels, which import nothing, say `Floats` and `Ints` for the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
"""Numbers of users, items, groups and pairs, positions, counts."""
AnyInts = npt.NDArray[np.integer[Any]]
"""The same in as few bytes as hold them."""
