"""Users, items and the pairs between them, with the columns that a problem sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.common.types import AttributesLike, LabelsLike, Table
from oasis_alloc.data import grouping as _grouping
from oasis_alloc.data.attributes import Given, Keys, as_ids, as_keys, refuse_shared
from oasis_alloc.data.calibrated import calibrated
from oasis_alloc.data.column_map import ColumnMap
from oasis_alloc.data.grouping import Grouping
from oasis_alloc.data.keys import Key, as_vector
from oasis_alloc.data.left_out import why_left_out
from oasis_alloc.data.multi_keys import MultiKey, n_rows
from oasis_alloc.data.named import attributes_of, named, pairs_in_one_order
from oasis_alloc.data.row_groups import Dataset
from oasis_alloc.data.uncertainty import checked_uncertainty
from oasis_alloc.data.validation import as_column, as_indptr, as_items, check_duplicates, check_size
from oasis_alloc.errors import InputError


@suggesting
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Candidates(ByFields):
    """The items that each user could be shown: users, items, the pairs between them, and numbers for each pair.

    Immutable; build one with `from_arrays`, `from_frames` or `from_parquet`, which check everything. All arrays are
    read-only. Arrays of the caller that already have the right type are shared, not copied: do not change
    them afterwards.

    - `indptr`: int64 (n_users + 1,); user u owns the pairs `indptr[u]:indptr[u + 1]`.
    - `item`: (n_pairs,) item numbers, uint16 where n_items <= 65535, else uint32.
    - `columns`: name -> (n_pairs,) float32 or float64, finite.
    - `users`, `items`: name -> `Key`, their attributes, made at first use; for items also
      `MultiKey`, with several labels per item.
    - `user_ids`, `item_ids`: the caller's ids, position = number; None where the numbers are the ids.
    - `user_name`, `item_name`: names of the id columns in answers.
    - `backend`: "pandas", "polars" or "pyarrow" for candidates from frames, else None.
    - `uncertainty`: name of a column -> (n_pairs,) standard deviations of its errors, see `docs/uncertainty.md`.
    - `row`: int64 (n_pairs,), the row of the frame that each pair came from, else None.
    - `stream`: the files of candidates `from_parquet`, else None. `item` and `columns` are then handles that
      give the numbers of some pairs as arrays do, by position, slice or mask: `columns[name][positions]`.
    - `calibration`: column -> its calibration, where `calibrated` gave it one; `columns` has the calibrated values.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(np.array([0, 2, 3]), np.array([0, 1, 1]), {"r": np.array([0.9, 0.5, 0.8])})
    >>> cands.n_users, cands.n_items, cands.n_pairs
    (2, 2, 3)
    """

    n_users: int
    n_items: int
    n_pairs: int
    indptr: NDArray[np.int64]
    item: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]
    users: Keys[Key]
    items: Keys[Key | MultiKey]
    user_ids: NDArray[Any] | None = None
    item_ids: NDArray[Any] | None = None
    user_name: str = "user"
    item_name: str = "item"
    backend: str | None = None
    row: NDArray[np.int64] | None = None
    stream: Dataset | None = None
    calibration: Mapping[str, ColumnMap] = field(default_factory=dict)
    uncertainty: Mapping[str, NDArray[Any]] = field(default_factory=lambda: FrozenMapping({}))
    _native_ids: Mapping[str, Any] = field(default_factory=dict)
    _refused: Mapping[str, str] = field(default_factory=dict)
    _scores: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # columns before their calibration
    _groupings: dict[tuple[str, ...], Grouping] = field(default_factory=dict, init=False)

    @classmethod
    def from_arrays(
        cls,
        indptr: ArrayLike,
        item: ArrayLike,
        columns: Mapping[str, ArrayLike],
        *,
        users: AttributesLike | None = None,
        items: AttributesLike | None = None,
        n_items: int | None = None,
        user_ids: LabelsLike | None = None,
        item_ids: LabelsLike | None = None,
        uncertainty: Mapping[str, ArrayLike | str] | None = None,
    ) -> Candidates:
        """Build candidates from arrays in compressed sparse row (CSR) form.

        `indptr` (n_users + 1,) integers from 0 to n_pairs that never decrease; `item` (n_pairs,) integers in
        [0, n_items), no item twice for a user; `columns` name -> (n_pairs,) finite numbers. `users` and
        `items` are attributes, name -> (n_users,) or (n_items,) integers or strings, where -1, None or NaN
        means no label; a pandas Series is matched by the ids in its index. `n_items` is by default the length of the
        attributes or ids of the items, else the largest item number plus one. `user_ids`, `item_ids` are distinct
        ids for the answer.

        A key of the items may have several labels per item. It is then a list (tuple, set, array) of distinct
        labels for each item, None or empty for no label; or a boolean array (n_items, n_categories), or a SciPy
        sparse matrix of that shape, whose non-zeros are members and whose column numbers are the labels; or a
        pair (matrix, labels) with a label for every column. Columns without members are no groups.

        `uncertainty` maps columns to standard deviations of their errors, (n_pairs,) or the name of another column.

        Raises `InputError`, which says what is wrong, where, and what was expected.

        >>> Candidates.from_arrays(
        ...     indptr=[0, 2, 3],
        ...     item=[0, 1, 1],
        ...     columns={"relevance": [0.9, 0.2, 0.4]},
        ...     users={"market": ["SE", "DE"]},
        ...     items={"campaign": [-1, 7]},
        ... )
        Candidates(2 users, 2 items, 3 pairs; columns: relevance; user keys: market; item keys: campaign)
        >>> several = {"genre": [["rock", "pop"], []]}
        >>> Candidates.from_arrays([0, 1], [0], {"relevance": [0.9]}, items=several).groups("genre")
        ['pop', 'rock']
        """
        pointers = as_indptr(indptr)
        n_users = len(pointers) - 1
        of_users, of_items = attributes_of(users, "users", user_ids), attributes_of(items, "items", item_ids)
        for name in of_users:  # attributes given by hand are meant to be used, so they are checked now
            refuse_shared(name, frozenset(of_items))
        if n_items is None:
            sizes = [n_rows(values) for values in of_items.values()]
            if item_ids is not None:
                item_ids = as_vector(item_ids, "item_ids")
                sizes.append(len(item_ids))
            n_items = sizes[0] if sizes else None
        by_pair, deviations = pairs_in_one_order(item, named(columns, "columns"), uncertainty)
        numbers, count = as_items(item, n_items)
        check_size(pointers, len(numbers))
        checked = {
            name: as_column(f"columns[{name!r}]", values, len(numbers), pointers) for name, values in by_pair.items()
        }
        if not checked:
            raise InputError("columns is empty; expected one column or more, such as {'relevance': ...}.")
        check_duplicates(pointers, numbers, count)
        user_keys, item_keys = as_keys(
            {name: Given(values) for name, values in of_users.items()},
            {name: Given(values) for name, values in of_items.items()},
            n_users,
            count,
        )
        return cls(
            n_users=n_users,
            n_items=count,
            n_pairs=len(numbers),
            indptr=pointers,
            item=numbers,
            columns=FrozenMapping(checked),
            users=user_keys.all_made(),
            items=item_keys.all_made(),
            user_ids=as_ids(user_ids, n_users, "user_ids", "n_users"),
            item_ids=as_ids(item_ids, count, "item_ids", "n_items"),
            uncertainty=checked_uncertainty(deviations, checked, pointers),
        )

    @classmethod
    def from_frames(
        cls,
        pairs: Table,
        *,
        users: Table | None = None,
        items: Table | None = None,
        user: str = "user",
        item: str = "item",
        columns: Sequence[str] | None = None,
        uncertainty: Mapping[str, ArrayLike | str] | None = None,
    ) -> Candidates:
        """Build candidates from pandas, polars (also lazy) or pyarrow frames, rows in any order.

        `pairs` has one row per candidate: the ids in the columns `user` and `item`, and numbers. `columns` says
        which of its columns to take; by default all of finite numbers (also booleans and decimals) but the ids.
        `users` and `items`, where given, have one row per user or item: the id, and attributes (every other column).
        They then define which users and items exist; users without candidates stay. An attribute becomes a key when a
        problem asks for it. A column of lists in `items` (objects in pandas) is a key of several labels per item, as in
        `from_arrays`; `uncertainty` is as there, by row of the frame. Ids are of any hashable type. Users and items are
        numbered in the order of their ids where these sort, else by first appearance. `docs/labels.md` says which ids
        and labels are equal.

        Raises `InputError` for ids that are null, repeated or unknown, with the row, and for numbers that are null, NaN
        or infinite in a column that `columns` names. A bad column that no problem uses does not make a table invalid:
        the error is raised when a problem asks for the column.

        >>> import pandas as pd
        >>> Candidates.from_frames(
        ...     pd.DataFrame({"user": ["u2", "u1"], "item": ["a", "a"], "relevance": [0.5, 0.25]}),
        ...     items=pd.DataFrame({"item": ["a", "b"], "artist": ["x", "y"]}),
        ... )
        Candidates(2 users, 2 items, 2 pairs; columns: relevance; item keys: artist)
        """
        from oasis_alloc.data.frames import read

        made = read(pairs, users=users, items=items, user=user, item=item, columns=columns)
        of_rows = {"pairs": cast(Any, pairs)[user]} if hasattr(pairs, "iloc") else {}
        _, deviations = pairs_in_one_order(None, of_rows, uncertainty)
        sd = checked_uncertainty(deviations, made["columns"], made["indptr"], made["row"])
        return cls(**made, uncertainty=sd)

    @classmethod
    def from_parquet(
        cls,
        directory: str | PathLike[str],
        *,
        user: str = "user",
        item: str = "item",
        columns: Sequence[str] | None = None,
        users: AttributesLike | None = None,
        items: AttributesLike | None = None,
        memory: int | str = "2GiB",
    ) -> Candidates:
        """Candidates that stay in Parquet files and are read again in every pass: for more pairs than memory holds.

        Parameters
        ----------
        directory
            One file, or all `*.parquet` in it and its subfolders but those that begin with `.` or `_`, `part-2` before
            `part-10`; a folder `hour=9` makes a column `hour` of its files.
        user, item
            Columns with the numbers of users and items, from 0 on. Rows are sorted by user over all files.
        columns
            Columns of finite numbers; None takes all but `user` and `item`, and leaves out those that cannot be used.
        users, items
            Their attributes by number: arrays as in `from_arrays`, or a frame; row k is number k. The column
            named like `user` (`item`) has their ids, for the answer. None: numbers up to the largest that occurs.
        memory
            Maximum memory for pairs at a time, in bytes or as "2GiB": row groups read ahead, samples, and
            blocks kept from pass to pass. Arrays by user (about 60 bytes each) and the answer (30 per pair) come on
            top.

        Everything is read and checked once here; a file that changes later is an `InputError` that names it. Solves
        give the same answer as in memory. See `docs/beyond-memory.md`.

        Raises
        ------
        InputError
            Names the file, row group and row that is damaged or not as expected, or says that `memory` is too small.
        MissingDependencyError
            Where pyarrow is not installed.

        Example
        -------
        >>> import tempfile
        >>> cands = Candidates.from_arrays([0, 2, 3], [0, 1, 1], {"relevance": [0.9, 0.2, 0.4]})
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     _ = cands.to_parquet(directory)
        ...     streamed = Candidates.from_parquet(directory, items={"campaign": [-1, 7]})
        >>> streamed
        Candidates(2 users, 2 items, 3 pairs in Parquet files; columns: relevance; item keys: campaign)
        """
        from oasis_alloc.data.streamed import read

        return cls(**read(directory, user=user, item=item, columns=columns, users=users, items=items, memory=memory))

    def to_parquet(
        self,
        directory: str | PathLike[str],
        *,
        name: str = "pairs",
        rows_per_group: int = 1 << 19,
        first_user: int = 0,
        compact: bool = True,
    ) -> Path:
        """Write the pairs as one file `<directory>/<name>.parquet` that `from_parquet` streams fast; return its path.

        Users and items are written by number, in columns called like `user_name` and `item_name`; their attributes and
        ids are not written. A market beyond memory is written part by part, in files whose names ascend: `first_user`
        is added to the user numbers of this part. Row groups end with a user, and have at most `rows_per_group` rows
        unless one user has more. `compact` writes items as a dictionary: a third fewer bytes, for about one nanosecond
        of decoding per pair. This helps if the disk is slower than the passes. A file of that name is replaced at once.

        Raises `InputError` for an invalid name or number, `MissingDependencyError` without pyarrow.

        >>> import tempfile
        >>> cands = Candidates.from_arrays([0, 2], [0, 1], {"v": [1, 2]})
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     cands.to_parquet(directory, name="pairs-0001").name
        'pairs-0001.parquet'
        """
        from oasis_alloc.data.parquet import write

        if self.stream is not None:
            raise InputError("to_parquet(): these candidates are in Parquet files already; copy the files.")
        return write(self, directory, name, rows_per_group, first_user, compact)

    def grouping(self, by: str | tuple[str, ...] | None) -> Grouping:
        """Return how the key or keys `by` group the pairs; None puts all pairs in one group.

        Raises `ProblemError` for an unknown key.

        >>> import numpy as np
        >>> c = Candidates.from_arrays([0, 2], [0, 1], {"v": [1, 2]}, items={"artist": ["b", "a"]})
        >>> grouping = c.grouping("artist")
        >>> grouping.labels, grouping.of(np.array([0, 0]), grouping.item_part[c.item]).tolist()
        (['a', 'b'], [1, 0])
        """
        names = _grouping.as_by(by, self.users, self.items)
        if names not in self._groupings:
            made = _grouping.build(names, self.users, self.items, self.indptr, self.item, self.n_items)
            self._groupings.setdefault(names, made)  # two threads may build it; both keep the first
        return self._groupings[names]

    def groups(self, by: str | tuple[str, ...] | None) -> list[Any]:
        """Return the labels of the groups of `by`, in the order of their totals and prices.

        One key: its sorted labels. Several: tuples in the order of `by`, those that occur among the items (or
        users, or candidates where both sides are named), sorted. None: `[None]`.

        >>> Candidates.from_arrays([0, 1], [0], {"v": [1]}, items={"artist": ["b", "a"]}).groups("artist")
        ['a', 'b']
        """
        return list(self.grouping(by).labels)

    def no_column(self, name: object) -> str:
        """Return the end of a message about an unknown column: why the table's column was not used, or the nearest.

        >>> Candidates.from_arrays([0, 1], [0], {"relevance": [1]}).no_column("relevence")
        " Did you mean 'relevance'? Known: relevance."
        """
        if isinstance(name, str) and name in self._refused:
            return f" The table has this column, but it cannot be used: {self._refused[name]}"
        return why_left_out(name) or did_you_mean(name, self.columns)

    def calibrated(self, columns: Mapping[str, ColumnMap | None]) -> Candidates:
        """The same candidates with calibrations as part of columns: `{column: calibration}`, None for no calibration.

        Solves read calibrated values. Policies of these solves map the columns of requests, which go on to bring
        scores: those of `request_columns`. The key of a calibration by segment is one of the users, or of the items
        with one label each. Raises `InputError` for unknown columns and keys, and candidates in Parquet files.

        >>> import numpy as np, oasis_alloc as oa
        >>> half = oa.Calibration(np.array([0.0, 1.0]), np.array([[0.0, 0.5]]))
        >>> cands = Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}).calibrated({"r": half})
        >>> cands.columns["r"].tolist(), cands.request_columns["r"].tolist()
        ([0.45, 0.25], [0.9, 0.5])
        """
        return cast(Candidates, calibrated(self, columns))

    @property
    def request_columns(self) -> Mapping[str, NDArray[Any]]:
        """The columns as requests bring them to a policy: before any calibration."""
        return {**self.columns, **self._scores}

    def user_of(self, positions: ArrayLike) -> NDArray[np.int64]:
        """Return the user numbers, int64, of the pairs at `positions`.

        >>> Candidates.from_arrays([0, 2, 2, 3], [0, 1, 0], {"v": [1, 2, 3]}).user_of([1, 2]).tolist()
        [0, 2]
        """
        return np.searchsorted(self.indptr, np.asarray(positions), side="right") - 1

    def frame(self, positions: ArrayLike, values: Mapping[str, ArrayLike], backend: str | None = None) -> Any:
        """Return a frame of the pairs at `positions` (any order): their ids, and `values`, one entry each.

        It is of the same kind as the frames given; from arrays, the first of pandas, polars and pyarrow that is
        installed, else `MissingDependencyError`. `backend` asks for one of them by name.

        >>> c = Candidates.from_arrays([0, 2], [0, 1], {"v": [1, 2]}, item_ids=["a", "b"])
        >>> c.frame([1], {"x": [0.5]}, backend="pyarrow").to_pylist()
        [{'user': 0, 'item': 'b', 'x': 0.5}]
        """
        from oasis_alloc.data.frames import write

        return write(self, positions, values, backend)

    def __repr__(self) -> str:
        parts = [
            ", ".join(
                f"{count:,} {noun}{'' if count == 1 else 's'}"
                for count, noun in ((self.n_users, "user"), (self.n_items, "item"), (self.n_pairs, "pair"))
            )
            + (" in Parquet files" if self.stream is not None else ""),
            f"columns: {', '.join(name + ' (calibrated)' * (name in self.calibration) for name in self.columns)}",
        ]
        sides = (("user", self.users), ("item", self.items))
        parts += [f"{side} keys: {', '.join(keys)}" for side, keys in sides if keys]
        return f"Candidates({'; '.join(parts)})"
