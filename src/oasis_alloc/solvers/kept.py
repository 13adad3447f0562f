"""What a solve keeps for the next one, and what of it holds for another program.

Prices of the best bound prove it, but Newton's steps need the smoothed dual: its optimum is up to a few smoothings
away from those prices, so a solve that starts from them begins with that error. A solve therefore keeps the prices and
the smoothing of its last visit. Rows are matched by name and label. The allocation is used where it is still one: the
pairs and all rules of slates have to be the same; value and violation are computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.labels import all_same
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.shown import NonZeros
from oasis_alloc.program.program import Program, RowBlock
from oasis_alloc.solvers.checkpoint import add_to_digest
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.statement.stay_close import same_pairs

_EXCESS = 1e-9  # of a slot, that sums of slates may be too large


@dataclass(frozen=True, eq=False)
class Kept(ByFields):
    """The end of a solve, as arrays by row and pair of its own program."""

    smoothed: dict[str, Floats] | None  # prices of the smoothed dual by name, at the last smoothing; None if unknown
    gamma: float
    recovered: bool  # whether the smoothed slates were the allocation
    typical: float  # the typical score, unit of smoothings
    nonzeros: NonZeros  # of the allocation, over the program's pairs
    violation: float
    rules: bytes  # a digest of the rules of slates, empty if sizes are the only rule

    @classmethod
    def of(cls, program: Program, monitor: Monitor) -> Kept | None:
        """What the monitor knows at the end of a solve; None without an allocation.

        Without a visit of the optimizer to all users, as where nothing binds, that is the allocation alone.
        """
        iterate, best = monitor.iterate, monitor.best
        if best is None:
            return None
        smoothed, gamma, recovered, typical = None, 0.0, False, 0.0
        if iterate is not None and iterate.z.size == program.row.size and monitor.typical:
            prices = program.prices(iterate.z)
            smoothed = {block.name: prices[block.rows] for block in program.blocks}
            gamma, recovered, typical = iterate.gamma, monitor.stage != "finish", monitor.typical
        return cls(smoothed, gamma, recovered, typical, best.later, best.violation, digest_of_rules(program))


@dataclass(frozen=True, eq=False)
class WarmStart:
    """What is known before a solve, by row and pair of the program that is solved."""

    prices: Floats  # (n_rows,) of the best bound
    known: npt.NDArray[np.bool_]  # (n_rows,) rows that had a price before
    smoothed: Floats | None = None  # (n_rows,) prices of the smoothed dual, at `gamma`
    gamma: float = 0.0
    recovered: bool = False  # whether the slates of that were the allocation
    typical: float = 0.0  # 0 if unknown
    allocation: tuple[Ints, Floats] | None = None  # non-zeros of one that all slates allow
    violation: float = 0.0  # what it had

    def of_rows(self, rows: Ints) -> WarmStart:
        """The same for a program of some of the rows."""
        smoothed = None if self.smoothed is None else self.smoothed[rows]
        return replace(self, prices=self.prices[rows], known=self.known[rows], smoothed=smoothed)


def digest_of_rules(program: Program) -> bytes:
    """A digest of everything that decides which slates are allowed, besides one size for all."""
    if program.rules is None:
        return b""
    digest = hashlib.blake2b(digest_size=16)
    add_to_digest(digest, program.rules)
    add_to_digest(digest, program.rules.guard)
    return digest.digest()


Places: TypeAlias = Mapping[str, tuple[Ints, Ints]]
"""By name: groups of the program, and the earlier groups with the same labels."""


def places(program: Program, labels: Mapping[str, Sequence[Any]]) -> Places:
    """Where the program has the groups of earlier constraints and functions, by their names and labels."""
    return {block.name: _same_places(labels[block.name], block) for block in program.blocks if block.name in labels}


def matched(program: Program, where: Places, numbers: Mapping[str, Floats]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(numbers by row of the program, rows that have one), from earlier numbers by name and group."""
    out, known = np.zeros(program.n_rows), np.zeros(program.n_rows, np.bool_)
    for block in program.blocks:
        if block.name in numbers and block.name in where:
            at, of = where[block.name]
            out[block.rows.start + at] = numbers[block.name][of]
            known[block.rows.start + at] = True
    return out, known


def _same_places(labels: Sequence[Any], block: RowBlock) -> tuple[Ints, Ints]:
    """(groups of the block, the groups of `labels` with the same label)."""
    before, now = list(labels), list(block.labels)
    if labels is block.labels or before == now:
        here = np.arange(len(before))
        return here, here
    codes = _numbers(before, now)
    first, second = codes[: len(before)], codes[len(before) :]
    _, of, at = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return at, of


def _numbers(before: list[Any], now: list[Any]) -> Ints:
    """A number for every label of both lists, the same for equal labels.

    Labels of several keys get theirs key by key: as tuples, hundreds of thousands of them take seconds to look up.
    """
    both = before + now
    width = len(both[0]) if both and type(both[0]) is tuple else 0
    if not width or set(map(type, both)) != {tuple} or set(map(len, both)) != {width}:
        return _of_one_key(both)
    out = _of_one_key([label[0] for label in both])
    for k in range(1, width):
        part = _of_one_key([label[k] for label in both])
        out = np.unique(out * (part.max() + 1) + part, return_inverse=True)[1]
    return out


def _of_one_key(labels: list[Any]) -> Ints:
    """A number for every label, in the order of first appearance."""
    keys = all_same(labels)
    number = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    return np.fromiter(map(number.__getitem__, keys), np.int64, len(keys))


def allocation_for(program: Program, now: Candidates, before: Candidates, kept: Kept) -> tuple[Ints, Floats] | None:
    """The allocation of an earlier solve, if it is made of slates that the program allows; None otherwise."""
    if kept.rules != digest_of_rules(program) or not same_pairs(before, now):
        return None
    positions, x = kept.nonzeros.pairs, kept.nonzeros.x
    if not positions.size or positions[-1] >= program.n_pairs:
        return None
    if program.rules is None:
        shown = np.bincount(program.users_of(positions), x, program.n_users)
        if shown.max(initial=0.0) > program.size * (1.0 + _EXCESS):
            return None
    return positions, x
