"""Types of arrays that every stage uses, and of what callers pass.

Kernels, which import nothing, say `Floats` and `Ints` for the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
"""Numbers of users, items, groups and pairs, positions, counts."""
AnyInts = npt.NDArray[np.integer[Any]]
"""The same in as few bytes as hold them."""


class Table(Protocol):
    """A pandas, polars or pyarrow table."""

    @property
    def columns(self) -> Any:
        """Names of the columns, or the columns themselves."""


ItemsLike: TypeAlias = npt.ArrayLike
"""(n,) item numbers."""
ColumnsLike: TypeAlias = Mapping[str, npt.ArrayLike] | Table
"""Numbers by name of the column."""
LabelsLike: TypeAlias = Iterable[Any]
"""Ids or labels: a list, an array, a column of any library; for several labels per item a list of lists or a matrix."""
AttributesLike: TypeAlias = Mapping[str, LabelsLike] | Table
"""Labels by key."""
