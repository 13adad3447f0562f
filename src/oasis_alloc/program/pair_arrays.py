"""Builds the arrays of a program from the columns of its files, for any run of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.csr import blocks
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.row_groups import Columns, Dataset, RowGroupReader
from oasis_alloc.program.copies import Copies
from oasis_alloc.program.fine_cells import FineCells
from oasis_alloc.program.slate_rules import user_units

_BLOCK = 1 << 18  # pairs that are read at a time

Terms = Sequence[tuple[float, str | None]]  # (coefficient, column or None for exposure)


class PairArrays(NamedTuple):
    """The pairs of a block, in the form of a program."""

    code: npt.NDArray[np.integer[Any]]
    value: npt.NDArray[np.floating[Any]]
    extra: npt.NDArray[np.floating[Any]]  # (K, n)
    guard: npt.NDArray[np.floating[Any]]  # (1, n) the column of `keep` in each user's unit, (0, n) without it

    @property
    def n_bytes(self) -> int:
        """Bytes of all of them."""
        return sum(array.nbytes for array in self)

    def like(self, n: int) -> PairArrays:
        """Uninitialized arrays of the same types for n pairs."""
        code, value = np.empty(n, self.code.dtype), np.empty(n, self.value.dtype)
        extra = np.empty((self.extra.shape[0], n), self.extra.dtype)
        return PairArrays(code, value, extra, np.empty((self.guard.shape[0], n)))

    def first(self, n: int) -> PairArrays:
        """The first n pairs of a buffer, as contiguous arrays, which kernels require."""
        n_extra = self.extra.shape[0]
        extra = self.extra.reshape(-1)[: n_extra * n].reshape(n_extra, n)
        return PairArrays(self.code[:n], self.value[:n], extra, self.guard[:, :n])

    def at(self, places: npt.NDArray[Any]) -> PairArrays:
        """Some of the pairs, copied."""
        extra, guard = (np.ascontiguousarray(array[:, places]) for array in (self.extra, self.guard))
        return PairArrays(self.code[places], self.value[places], extra, guard)

    def put(self, places: npt.NDArray[Any] | slice, pairs: PairArrays) -> None:
        """Write other pairs to some places."""
        self.code[places], self.value[places] = pairs.code, pairs.value
        self.extra[:, places], self.guard[:, places] = pairs.extra, pairs.guard

    @classmethod
    def joined(cls, parts: Sequence[PairArrays]) -> PairArrays:
        """Several runs of pairs, one after the other."""
        return cls(*(np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True)))


def blend(terms: Terms, columns: Mapping[str, npt.NDArray[Any]], n: int) -> npt.NDArray[np.floating[Any]]:
    """sum_k w_k c_k in float64, in the order of the terms; a single column of weight 1 is not copied."""
    if is_column(terms):
        return columns[str(terms[0][1])]
    out = np.zeros(n)
    with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond float64 are refused by presolve.py
        for coefficient, column in terms:
            if column is None:
                out += coefficient
            else:
                out += coefficient * columns[column].astype(np.float64)
    return out


def is_column(terms: Terms) -> bool:
    """True if a blend equals a single column."""
    return len(terms) == 1 and terms[0][0] == 1.0 and terms[0][1] is not None


class OfUsers(NamedTuple):
    """What pairs have of their users, or None where it does not matter."""

    weight: Floats | None
    segment: npt.NDArray[np.uint32] | None

    def repeated(self, count: Ints) -> OfUsers:
        """By pair, from numbers by user and their numbers of pairs."""
        weight, segment = self
        return OfUsers(
            None if weight is None else np.repeat(weight, count), None if segment is None else np.repeat(segment, count)
        )

    def at(self, places: slice) -> OfUsers:
        """Of some pairs."""
        weight, segment = self
        return OfUsers(None if weight is None else weight[places], None if segment is None else segment[places])


class Additions(NamedTuple):
    """Additions to the values of some pairs: slots of an earlier solution that are to stay."""

    positions: Ints  # pairs of the files, ascending
    amount: Floats

    def add(self, values: npt.NDArray[np.floating[Any]], pairs: range | Ints) -> None:
        """Add to the values of `pairs`: consecutive ones, or any."""
        if isinstance(pairs, range):
            some = slice(*np.searchsorted(self.positions, [pairs.start, pairs.stop]).tolist())
            values[self.positions[some] - pairs.start] += self.amount[some]
        elif self.positions.size:
            at = np.minimum(np.searchsorted(self.positions, pairs), self.positions.size - 1)
            has = self.positions[at] == pairs
            values[has] += self.amount[at[has]]


@dataclass(frozen=True, eq=False)
class PairReader:
    """The columns to read from a dataset, and how to build arrays from them."""

    dataset: Dataset
    code_of: npt.NDArray[np.integer[Any]] | None  # (n_items,) class of every item; None if items are the classes
    terms: Terms  # of the value
    extra: tuple[str, ...]
    weight: Floats | None = None  # (n_users,) weight of every user (see supply_and_positions.py)
    valueless: bool = False  # no pair has a value, as in a relaxation (see variants.relaxed)
    guard: str | None = None  # the column of `keep`
    unit: Floats | None = None  # (n_users,) the users' units of it; None where only whole users are read
    additions: tuple[Additions, ...] = ()  # to values
    cells: FineCells | None = None  # if a pair's code is its cell, which depends on the user, too
    copies: Copies | None = None  # where the program has every user of the files several times

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        valued = () if self.valueless else tuple(name for _, name in self.terms if name is not None)
        kept = () if self.guard is None else (self.guard,)
        return tuple(dict.fromkeys((self.dataset.item, *valued, *self.extra, *kept)))

    def write(self, read: Columns, pairs: range | Ints, of: OfUsers, into: PairArrays) -> None:
        """Make the arrays of the `pairs` whose columns were read, `of` users.

        The column of `keep` is not yet in the users' units.
        """
        types = self.dataset.columns
        known = {name: c.astype(types[name], copy=False) for name, c in read.items() if name in types}
        item, weight = read[self.dataset.item], of.weight
        if self.cells is not None:
            assert of.segment is not None  # `_of_users` says so
            self.cells.find(of.segment, item if self.code_of is None else self.code_of[item], into.code)
        elif self.code_of is None:
            into.code[:] = item
        elif self.code_of.dtype == into.code.dtype:
            np.take(self.code_of, item, out=into.code, mode="clip")  # the scan has checked their range
        else:
            into.code[:] = self.code_of[item]
        if self.valueless:
            into.value[:] = 0.0
        else:
            value = blend(self.terms, known, item.size)
            if self.additions:
                value = value.astype(np.float64)
                for some in self.additions:
                    some.add(value, pairs)
            value = value if weight is None else value * weight
            into.value[:] = value
        for k, name in enumerate(self.extra):
            into.extra[k] = known[name] if weight is None else known[name].astype(into.extra.dtype) * weight
        if weight is not None:
            into.extra[len(self.extra)] = weight
        if self.guard is not None:
            into.guard[0] = known[self.guard]

    def blocks(self, indptr: Ints, like: PairArrays) -> Iterator[tuple[int, int, Ints, PairArrays]]:
        """(first user, one after the last, indptr, arrays) of the pairs of some users in turn, within the memory.

        The arrays are those of `like`, and are written again for the next block. The indptr is by the program's user
        numbers; only those of the block are written.
        """
        budget, group = self.dataset.budget, self.dataset.largest(self.names)
        most = (budget.limit // 2 - group) // max(1, like.like(1).n_bytes)
        edges = user_edges(indptr, max(1, min(_BLOCK, most)))
        longest = int(np.diff(indptr[edges]).max(initial=0))
        buffer, local = like.like(longest), np.empty(indptr.size, np.int64)
        with self.dataset.read(self.names) as reader:
            budget.take(reader, buffer.n_bytes)
            for first, last in pairwise(edges.tolist()):
                local[first : last + 1] = indptr[first : last + 1] - indptr[first]
                arrays = buffer.first(int(local[last]))
                self.fill(reader, indptr, (first, last), arrays)
                yield first, last, local, arrays

    def fill(self, reader: RowGroupReader, indptr: Ints, users: tuple[int, int], into: PairArrays) -> None:
        """Read the pairs of some users, first to one after the last, into arrays of their size."""
        first, last = users
        own = indptr[first : last + 1]
        of = self._of_users(np.arange(first, last)).repeated(np.diff(own))
        begin = int(own[0])
        if self.copies is not None:
            start, end, places = self.copies.between(first, last)
            read = reader.between(start, end)
            self.write({name: column[places] for name, column in read.items()}, start + places, of, into)
        else:
            for at, stop, columns in reader.stretches(begin, int(own[-1])):
                here = slice(at - begin, stop - begin)
                part = PairArrays(into.code[here], into.value[here], into.extra[:, here], into.guard[:, here])
                self.write(columns, range(at, stop), of.at(here), part)
        if self.guard is not None:
            unit = user_units(into.guard[0], own - begin) if self.unit is None else self.unit[first:last]
            into.guard[0] /= np.repeat(unit, np.diff(own))

    def _of_users(self, users: Ints) -> OfUsers:
        segment = None
        if self.cells is not None:
            segment = self.cells.segment[users if self.copies is None else users // self.copies.times]
        return OfUsers(None if self.weight is None else self.weight[users], segment)

    def take(self, users: Ints, positions: Ints, like: PairArrays) -> PairArrays:
        """Single pairs, by position; `users` are theirs."""
        at = positions if self.copies is None else self.copies.pairs(users, positions)
        read, into = self.dataset.take(self.names, at), like.like(positions.size)
        self.write(read, at, self._of_users(users), into)
        if self.guard is not None:
            assert self.unit is not None  # known wherever pairs are read in this process
            into.guard[0] /= self.unit[users]
        return into


def user_edges(indptr: Ints, pairs: int) -> Ints:
    """User numbers that split the users into blocks of at most so many pairs, or of one user."""
    return np.array([0, *(last for _, last in blocks(indptr, 0, indptr.size - 1, pairs))])
