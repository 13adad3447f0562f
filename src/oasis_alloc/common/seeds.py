"""Random seeds: an integer in [0, 2^63), or a numpy Generator from which one is drawn."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError

Rng: TypeAlias = "int | np.random.Generator"

_MOST = 2**63


def as_seed(rng: object, what: str) -> int:
    """The seed in [0, 2^63): `rng` itself, or the next draw of a generator. `what` begins the error message.

    >>> as_seed(7, "round(rng=...)")
    7
    """
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(_MOST))
    seed = as_whole(rng)
    if seed is not None and 0 <= seed < _MOST:
        return seed
    raise InputError(
        f"{what}: rng is {shown(rng)}; expected a whole number from 0 to 2^63 - 1, or a numpy.random.Generator."
    )
