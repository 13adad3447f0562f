"""Arrays of objects, and read-only arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def objects(values: Iterable[object]) -> NDArray[np.object_]:
    """Return an object array with one entry per value, even if the values are tuples."""
    return np.fromiter(values, dtype=object)


def readonly(array: NDArray[T]) -> NDArray[T]:
    """Return a read-only view of `array`; the array itself does not change."""
    view = array.view()
    view.flags.writeable = False
    return view
