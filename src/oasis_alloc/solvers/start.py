"""Converts numbers by name and label to numbers by row: weights of missed units, and prices to start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.labels import same
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import Labels, numbers_of, place_of, spread
from oasis_alloc.errors import ProblemError
from oasis_alloc.program.program import Program, RowBlock
from oasis_alloc.statement.measures import Limit

_MOST_APART = 1e12  # largest ratio of two weights of a relaxation: float64 sums cannot represent more


def weights_by_row(program: Program, given: Mapping[str, Limit]) -> Floats:
    """Weights of a missed unit, (n_rows,), scaled so that the smallest is 1: only their ratios matter."""
    if not isinstance(given, Mapping):
        raise ProblemError(
            f"relax_weights= takes {{constraint name: weight}}, with a number, one number per group or "
            f"{{label: number}} for a weight; got {type(given).__name__}."
        )
    hard = {block.name: block for block in program.blocks if block.function.is_constraint}
    out = np.ones(program.n_rows)
    for name, weight in given.items():
        if name not in hard:
            known = any(block.name == name for block in program.blocks)
            raise ProblemError(
                f"relax_weights: {name!r} is not a hard constraint, so it is never relaxed; leave it out."
                if known
                else f"relax_weights: no constraint is named {name!r}.{did_you_mean(name, list(hard))}"
            )
        try:
            frozen = numbers_of(weight, "relax_weights", "weight")
        except ProblemError as error:
            raise ProblemError(f"relax_weights: the weights of {name!r} are not numbers ({error})") from error
        numbers = np.array(list(frozen.values()) if isinstance(frozen, dict) else [frozen]).ravel()
        bad = numbers[~(np.isfinite(numbers) & (numbers > 0))]
        if bad.size:
            raise ProblemError(
                f"relax_weights: a weight of {name!r} is {bad[0]:g}; expected positive finite numbers. If a "
                "limit may be missed at no cost, leave it out of the problem."
            )
        out[hard[name].rows] = spread(
            frozen, hard[name].labels, f"relax_weights of {name!r}", free=1.0, what="the array"
        )
    return _comparable(program, hard, out)


def _comparable(program: Program, hard: Mapping[str, RowBlock], out: Floats) -> Floats:
    """The weights scaled so that the smallest is 1; `ProblemError` if they are too far apart for one sum."""
    rows = [out[block.rows] for block in hard.values() if len(block.labels)]
    if not rows:
        return out
    stated: Floats = np.concatenate(rows)
    costs = np.concatenate([(out * program.row_scale)[block.rows] for block in hard.values()])  # of what a pair adds
    if costs.max() > _MOST_APART * costs.min():
        raise ProblemError(
            f"relax_weights: weights of {stated.min():g} and {stated.max():g} (1 by default) are too far "
            "apart: what a candidate adds to one limit counts more than 1e12 times what it adds to another, so one of "
            "the two is ignored. Use weights that are closer."
        )
    return out / float(stated.min())


def start_prices(program: Program, given: Mapping[str, Any]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(prices by row, rows that were given one) from `{name: {label: price}}`, matched by name and label."""
    if not isinstance(given, Mapping):
        raise ProblemError(
            f"start= takes a Solution or {{constraint name: {{label: price}}}}, got {type(given).__name__}."
        )
    prices, stated = np.zeros(program.n_rows), np.zeros(program.n_rows, np.bool_)
    known = {block.name: block for block in program.blocks}
    for name, numbers in given.items():
        if name not in known:
            raise ProblemError(f"start: no constraint or function is named {name!r}.{did_you_mean(name, list(known))}")
        rows = known[name].rows
        prices[rows], stated[rows] = _prices_of(known[name], numbers)
    return prices, stated


def _prices_of(block: RowBlock, numbers: Any) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(prices of the groups of one constraint or function, groups that were given one)."""
    name = block.name
    try:
        frozen = numbers_of(numbers, "start", "price")
    except ProblemError as error:
        raise ProblemError(f"start: the prices of {name!r} are not numbers ({error})") from error
    stated = np.ones(len(block.labels), np.bool_)
    if isinstance(frozen, dict):  # groups that no longer exist have no price here
        places = Labels(block.labels).places
        known_labels = {label: price for label, price in frozen.items() if same(label) in places}
        if frozen and not known_labels:
            place_of(next(iter(frozen)), places, block.labels, f"start: {name!r}")
        frozen = spread(known_labels, block.labels, f"start: {name!r}", free=0.0)
        if any(price != price for price in known_labels.values()):
            raise ProblemError(f"start: the prices of {name!r} are not all finite.")
        stated[:] = False
        stated[[places[same(label)] for label in known_labels]] = True
    values = np.asarray(frozen, dtype=np.float64)
    if values.shape != (len(block.labels),):
        raise ProblemError(f"start: {name!r} has {values.shape} prices; expected (n_groups,) = ({len(block.labels)},).")
    if not np.isfinite(values).all():
        raise ProblemError(f"start: the prices of {name!r} are not all finite.")
    return values, stated
