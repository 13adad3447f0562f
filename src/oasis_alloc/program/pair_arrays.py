"""Builds the arrays of a program from the columns of its files, for any run of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.row_groups import Columns, Dataset, RowGroupReader, clipped

Terms = Sequence[tuple[float, str | None]]  # (coefficient, column or None for exposure)


class PairArrays(NamedTuple):
    """The pairs of a block, in the form of a program."""

    code: npt.NDArray[np.integer[Any]]
    value: npt.NDArray[np.floating[Any]]
    extra: npt.NDArray[np.floating[Any]]  # (K, n)

    @property
    def n_bytes(self) -> int:
        """Bytes of all of them."""
        return self.code.nbytes + self.value.nbytes + self.extra.nbytes

    def like(self, n: int) -> PairArrays:
        """Uninitialized arrays of the same types for n pairs."""
        code, value = np.empty(n, self.code.dtype), np.empty(n, self.value.dtype)
        return PairArrays(code, value, np.empty((self.extra.shape[0], n), self.extra.dtype))

    def first(self, n: int) -> PairArrays:
        """The first n pairs of a buffer, as contiguous arrays, which kernels require."""
        n_extra = self.extra.shape[0]
        return PairArrays(self.code[:n], self.value[:n], self.extra.reshape(-1)[: n_extra * n].reshape(n_extra, n))

    def at(self, places: npt.NDArray[Any]) -> PairArrays:
        """Some of the pairs, copied."""
        return PairArrays(self.code[places], self.value[places], np.ascontiguousarray(self.extra[:, places]))


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


@dataclass(frozen=True, eq=False)
class PairReader:
    """The columns to read from a dataset, and how to build arrays from them."""

    dataset: Dataset
    code_of: npt.NDArray[np.integer[Any]] | None  # (n_items,) class of every item; None if items are the classes
    terms: Terms  # of the value
    extra: tuple[str, ...]
    weight: Floats | None = None  # (n_users,) weight of every user (see supply_and_positions.py)
    valueless: bool = False  # no pair has a value, as in a relaxation (see variants.relaxed)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        valued = () if self.valueless else tuple(name for _, name in self.terms if name is not None)
        return tuple(dict.fromkeys((self.dataset.item, *valued, *self.extra)))

    def write(self, read: Columns, weight: Floats | None, into: PairArrays) -> None:
        """Make the arrays of the pairs whose columns were read; `weight` is by pair, if users have weights."""
        types = self.dataset.columns
        known = {name: c.astype(types[name], copy=False) for name, c in read.items() if name in types}
        item = read[self.dataset.item]
        if self.code_of is None:
            into.code[:] = item
        elif self.code_of.dtype == into.code.dtype:
            np.take(self.code_of, item, out=into.code, mode="clip")  # the scan has checked their range
        else:
            into.code[:] = self.code_of[item]
        if self.valueless:
            into.value[:] = 0.0
        else:
            value = blend(self.terms, known, item.size)
            value = value if weight is None else value * weight
            into.value[:] = value
        for k, name in enumerate(self.extra):
            into.extra[k] = known[name] if weight is None else known[name].astype(into.extra.dtype) * weight
        if weight is not None:
            into.extra[len(self.extra)] = weight

    def row_groups(self, indptr: Ints, like: PairArrays) -> Iterator[tuple[int, int, Ints, PairArrays]]:
        """(first user, one after the last, their indptr, arrays) of every row group in turn; users may be cut."""
        with self.dataset.read(self.names) as reader:
            for begin, end, columns in reader:
                first, last, local = clipped(indptr, begin, end)
                into = like.like(end - begin)
                self.write(columns, self.by_pair(first, last, local), into)
                yield first, last, local, into

    def fill(self, reader: RowGroupReader, indptr: Ints, users: tuple[int, int], into: PairArrays) -> None:
        """Read the pairs of some users, first to one after the last, into arrays of their size."""
        first, last = users
        weight = self.by_pair(first, last, indptr[first : last + 1])
        begin = int(indptr[first])
        for at, stop, columns in reader.stretches(begin, int(indptr[last])):
            here = slice(at - begin, stop - begin)
            part = PairArrays(into.code[here], into.value[here], into.extra[:, here])
            self.write(columns, None if weight is None else weight[here], part)

    def by_pair(self, first: int, last: int, indptr: Ints) -> Floats | None:
        """The weight of every pair of users first <= u < last, whose indptr is given."""
        return None if self.weight is None else np.repeat(self.weight[first:last], np.diff(indptr))

    def take(self, users: Ints, positions: Ints, like: PairArrays) -> PairArrays:
        """Single pairs, by position; `users` are theirs."""
        read, into = self.dataset.take(self.names, positions), like.like(positions.size)
        self.write(read, None if self.weight is None else self.weight[users], into)
        return into
