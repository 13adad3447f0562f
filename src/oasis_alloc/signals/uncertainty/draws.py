"""Draws of uncertain columns and of supply: what the numbers of a problem could also be, all equally likely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.common.seeds import Rng, as_seed
from oasis_alloc.common.types import Table
from oasis_alloc.errors import InputError
from oasis_alloc.signals.uncertainty.draw_frames import columns_by_draw, supply_by_draw

Drawn: TypeAlias = "Mapping[str, npt.ArrayLike] | tuple[Mapping[str, npt.ArrayLike], npt.ArrayLike]"
"""What a function returns for one draw: columns by name, (n_pairs,) each; or these and the supply, (n_users,)."""


@suggesting
@dataclass(frozen=True, eq=False, repr=False, init=False)
class Draws(ByFields):
    """Equally likely draws of some columns, and of the supply of users.

    Parameters
    ----------
    candidates
        Whose columns are drawn; in memory, not in files.
    columns
        `{name: (n_draws, n_pairs)}`, finite, for columns that the candidates have, in the order of `candidates.columns`
        (for frames, see `from_frame`). Floats of 32 bits stay so: 100 draws of 1e6 pairs are 400 MB.
    supply
        (n_draws, n_users), positive: the weight of every user in each draw. None: the problem's own.

    Raises
    ------
    InputError
        For fewer than two draws, unknown columns, wrong shapes, numbers that are not finite, supply that is not
        positive, candidates in files.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    >>> oa.Draws(cands, {"r": np.array([[0.9, 0.5], [0.4, 0.6], [0.8, 0.4]])})
    Draws(3 draws of r for 2 pairs)
    """

    candidates: Candidates
    columns: Mapping[str, npt.NDArray[Any]]
    supply: npt.NDArray[np.float64] | None

    def __init__(
        self,
        candidates: Candidates,
        columns: Mapping[str, npt.ArrayLike] | None = None,
        supply: npt.ArrayLike | None = None,
    ) -> None:
        if not isinstance(candidates, Candidates):
            raise InputError(f"Draws(candidates=...): expected oa.Candidates, got {type(candidates).__name__}.")
        if candidates.stream is not None:
            raise InputError("Draws(...): the pairs of these candidates are in files; draws need them in memory.")
        named = {} if columns is None else dict(columns)
        if not named and supply is None:
            raise InputError("Draws(...): neither columns nor supply; expected draws of at least one of them.")
        checked = {name: _column_draws(name, given, candidates) for name, given in named.items()}
        weights = None if supply is None else _supply_draws(supply, candidates)
        counts = {f"columns[{name!r}]": len(drawn) for name, drawn in checked.items()}
        if weights is not None:
            counts["supply"] = len(weights)
        if len(set(counts.values())) > 1:
            raise InputError(f"Draws(...): {_listed(counts)}; expected the same number of draws for all.")
        object.__setattr__(self, "candidates", candidates)
        object.__setattr__(self, "columns", FrozenMapping(checked))
        object.__setattr__(self, "supply", weights)

    @classmethod
    def from_function(
        cls, candidates: Candidates, draw: Callable[[np.random.Generator], Drawn], number: int = 100, rng: Rng = 0
    ) -> Draws:
        """Call `draw(generator)` once per draw; draw s has its own generator, made of the seed and s.

        `draw` returns `{column: (n_pairs,)}`, or a tuple of that and the supply of the draw, (n_users,). Columns are
        kept with 32 bits. Raises `InputError` as `Draws` does, and if two draws differ in what they have.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
        >>> oa.Draws.from_function(cands, lambda rng: {"r": cands.columns["r"] * rng.lognormal(0, 0.2)}, number=50)
        Draws(50 draws of r for 2 pairs)
        """
        seed = as_seed(rng, "Draws.from_function(...)")
        whole = as_whole(number)
        if whole is None or whole < 2:
            raise InputError(f"Draws.from_function(number={shown(number)}): expected 2 draws or more.")
        columns: dict[str, npt.NDArray[np.float32]] = {}
        supply: npt.NDArray[np.float64] | None = None
        for s in range(whole):
            drawn = draw(np.random.default_rng([seed, s]))
            by_name, weights = drawn if isinstance(drawn, tuple) else (drawn, None)
            if not isinstance(by_name, Mapping):
                raise InputError(f"draw {s} is {type(by_name).__name__}; expected {{column: (n_pairs,) numbers}}.")
            if s == 0:
                columns = {name: np.empty((whole, candidates.n_pairs), np.float32) for name in by_name}
                supply = None if weights is None else np.empty((whole, candidates.n_users))
            if by_name.keys() != columns.keys() or (weights is None) != (supply is None):
                raise InputError(f"draw {s} has other columns or supply than draw 0; expected the same in all draws.")
            for name, numbers in by_name.items():
                columns[name][s] = _row(f"draw {s}: column {name!r}", numbers, candidates.n_pairs, "n_pairs")
            if supply is not None:
                supply[s] = _row(f"draw {s}: supply", weights, candidates.n_users, "n_users")
        return cls(candidates, columns, supply)

    @classmethod
    def from_frame(
        cls,
        candidates: Candidates,
        pairs: Table | None = None,
        users: Table | None = None,
        draw: str = "draw",
        supply: str = "supply",
    ) -> Draws:
        """Read draws from pandas, polars or pyarrow frames, rows in any order.

        `pairs` has a row per draw and pair: the label of the draw in the column `draw`, the ids of user and item in the
        columns of the candidates' names, and columns to draw. `users` has a row per draw and user: the draw, the user,
        and the weight in the column `supply`. Every draw has every pair and every user, and with both frames the same
        label is the same draw.

        Raises `InputError` for users and pairs that a draw lacks or has twice, unknown ids, missing columns, and as
        `Draws` does.

        Example
        -------
        >>> import pandas as pd, oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 1, 2], [0, 0], {"r": [0.9, 0.5]}, user_ids=["ann", "zoe"])
        >>> table = pd.DataFrame({"draw": [1, 1, 2, 2], "user": ["ann", "zoe"] * 2, "supply": [1.0, 2.0, 2.0, 1.0]})
        >>> oa.Draws.from_frame(cands, users=table)
        Draws(2 draws of supply for 2 pairs)
        """
        if not isinstance(candidates, Candidates):
            raise InputError(f"Draws.from_frame(candidates=...): got {shown(candidates)}; expected oa.Candidates.")
        columns, labels = (None, None) if pairs is None else columns_by_draw(candidates, pairs, draw)
        weights = None if users is None else supply_by_draw(candidates, users, draw, supply, labels)
        return cls(candidates, columns, weights)

    @property
    def number(self) -> int:
        """How many draws there are."""
        return len(self.supply) if self.supply is not None else len(next(iter(self.columns.values())))

    def fits(self, candidates: Candidates) -> bool:
        """Whether these are draws of the same users, items and pairs."""
        own = self.candidates
        return own is candidates or (
            own.n_items == candidates.n_items
            and np.array_equal(own.indptr, candidates.indptr)
            and np.array_equal(own.item, candidates.item)
        )

    def __repr__(self) -> str:
        what = [*self.columns, *(["supply"] if self.supply is not None else [])]
        return f"Draws({self.number:,} draws of {', '.join(what)} for {self.candidates.n_pairs:,} pairs)"


def _column_draws(name: str, given: npt.ArrayLike, candidates: Candidates) -> npt.NDArray[Any]:
    if name not in candidates.columns:
        raise InputError(f"draws of {name!r}: there is no such column.{did_you_mean(name, candidates.columns)}")
    array = _matrix(f"draws of {name!r}", given, candidates.n_pairs, "n_pairs")
    array = np.ascontiguousarray(array, array.dtype if array.dtype in (np.float32, np.float64) else np.float64)
    for s, row in enumerate(array):
        bad = np.flatnonzero(~np.isfinite(row))
        if bad.size:
            user = int(candidates.user_of(bad[:1])[0])
            raise InputError(
                f"draws of {name!r}: draw {s}, pair {bad[0]:,} (user {user:,}) is {row[bad[0]]}; expected finite "
                "numbers."
            )
    return readonly(array)


def _supply_draws(given: npt.ArrayLike, candidates: Candidates) -> npt.NDArray[np.float64]:
    array = np.ascontiguousarray(_matrix("draws of supply", given, candidates.n_users, "n_users"), np.float64)
    bad = np.argwhere(~((array > 0.0) & np.isfinite(array)))
    if bad.size:
        s, user = bad[0]
        raise InputError(
            f"draws of supply: draw {s}, user {user:,} has the weight {array[s, user]}; expected positive finite "
            "numbers."
        )
    return readonly(array)


def _matrix(what: str, given: npt.ArrayLike, size: int, name: str) -> npt.NDArray[Any]:
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{what}: dtype {array.dtype}; expected numbers.")
    if array.ndim != 2 or array.shape[1] != size:
        raise InputError(f"{what}: shape {array.shape}; expected (n_draws, {name}) = (n_draws, {size:,}).")
    if array.shape[0] < 2:
        raise InputError(f"{what}: {array.shape[0]} draw; expected 2 or more, or nothing is known of the spread.")
    return array


def _row(what: str, given: object, size: int, name: str) -> npt.NDArray[Any]:
    array = np.asarray(given)
    if array.shape != (size,) or array.dtype.kind not in "biuf":
        raise InputError(f"{what}: shape {array.shape}, dtype {array.dtype}; expected ({name},) = ({size:,},) numbers.")
    return array


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} has {count}" for name, count in counts.items())
