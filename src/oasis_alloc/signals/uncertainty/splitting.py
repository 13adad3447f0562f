"""Predictions split into two independent ones: one to select by, one to judge what was selected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.common.seeds import Rng, as_seed
from oasis_alloc.errors import InputError, ProblemError


@suggesting
def split_predictions(candidates: Candidates, share: float = 0.5, rng: Rng = 0) -> tuple[Candidates, Candidates]:
    """Split every uncertain column into two independent ones with the same mean.

    For a normal error of standard deviation sd, draw z of the same and take `c + g z` and `c - z / g` with
    `g^2 = (1 - share) / share`. Their errors are uncorrelated, hence independent, with variances `sd^2 / share` and
    `sd^2 / (1 - share)`: as if the data had been split (Rasines and Young, Biometrika 110:597, 2023; Leiner et al.,
    J. Amer. Statist. Assoc. 120:135, 2025). If the data themselves can be split, predict twice instead.

    Parameters
    ----------
    candidates
        With standard deviations; in memory.
    share
        Of the information that the first part gets, in (0, 1).
    rng
        A seed or a generator.

    Returns
    -------
    fit, check
        Solve over the first; pass the second to `oa.estimate_value(solution, check=check)`.

    Raises
    ------
    ProblemError
        If no column has standard deviations, or `share` is not in (0, 1).

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, uncertainty={"r": [0.2, 0.1]})
    >>> fit, check = oa.split_predictions(cands, share=0.8)
    >>> fit.uncertainty["r"].round(3).tolist(), check.uncertainty["r"].round(3).tolist()
    ([0.224, 0.112], [0.447, 0.224])
    """
    if not isinstance(candidates, Candidates):
        raise InputError(f"split_predictions(): expected oa.Candidates, got {type(candidates).__name__}.")
    part = as_real(share)
    if part is None or not 0.0 < part < 1.0:
        raise ProblemError(f"split_predictions(share={shown(share)}): expected a share in (0, 1).")
    if not candidates.uncertainty:
        raise ProblemError(
            "split_predictions(): no column has standard deviations; expected Candidates.from_arrays(..., "
            "uncertainty={column: standard deviations})."
        )
    seed, ratio = as_seed(rng, "split_predictions(rng=...)"), np.sqrt((1.0 - part) / part)
    columns = dict(candidates.columns), dict(candidates.columns)
    deviations: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]] = {}, {}
    for k, (name, deviation) in enumerate(candidates.uncertainty.items()):
        noise = np.random.default_rng([seed, k]).standard_normal(candidates.n_pairs) * deviation
        for j, factor in enumerate((ratio, -1.0 / ratio)):
            columns[j][name] = readonly(candidates.columns[name] + factor * noise)
            deviations[j][name] = readonly(deviation.astype(np.float64) * np.sqrt(1.0 + factor**2))
    made = [
        replace(candidates, columns=FrozenMapping(columns[j]), uncertainty=FrozenMapping(deviations[j]))
        for j in range(2)
    ]
    for one in made:
        one._groupings.update(candidates._groupings)
    return made[0], made[1]
