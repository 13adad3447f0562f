"""Candidates in memory written as files that are cut anywhere, and the comparison of two solutions bit by bit."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import oasis_alloc as oa


def files(candidates: oa.Candidates, directory: Path, cuts: list[int], rows: int) -> Path:
    """The pairs as files that end at `cuts`, in row groups of so many rows: users are cut anywhere."""
    user = np.repeat(np.arange(candidates.n_users), np.diff(candidates.indptr)).astype(np.int32)
    whole = pa.table({"user": user, "item": candidates.item, **candidates.columns})
    ends = [0, *sorted(cuts), candidates.n_pairs]
    for k, (begin, end) in enumerate(itertools.pairwise(ends)):
        pq.write_table(whole.slice(begin, end - begin), directory / f"part-{k:04d}.parquet", row_group_size=rows)
    (directory / "_SUCCESS").touch()
    (directory / "_common.parquet").write_text("not one of them")
    return directory


def same(one: oa.Solution, other: oa.Solution) -> None:
    """Two solutions with the same bits."""
    assert one.status is other.status
    assert (one.passes, one.diminished) == (other.passes, other.diminished)
    assert np.array_equal([one.value, one.bound, one.violation], [other.value, other.bound, other.violation], True)
    assert np.array_equal(one.pairs, other.pairs)
    assert np.array_equal(one.x, other.x)
    for mine, theirs in ((one.prices, other.prices), (one.totals, other.totals)):
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    assert [str(conflict) for conflict in one.conflicts] == [str(conflict) for conflict in other.conflicts]
