"""Candidates from pandas, polars and pyarrow frames, and answers as the same kind of frame."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_alloc.common.arrays import objects, readonly
from oasis_alloc.common.labels import all_same
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.data.attributes import Given, as_keys
from oasis_alloc.data.coded import holds_numbers
from oasis_alloc.data.doubled import told_apart
from oasis_alloc.data.keys import Factor, factorize, first_rows, refuse_infinite
from oasis_alloc.data.left_out import is_left_out, why_left_out
from oasis_alloc.data.validation import as_column, item_dtype
from oasis_alloc.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

    from oasis_alloc.data.pairs import PairSource

Backend = Literal["pandas", "polars", "pyarrow"]
BACKENDS: tuple[Backend, ...] = ("pandas", "polars", "pyarrow")
_PLAIN = {str, bytes, int, date, datetime, time, timedelta, Decimal}  # types that have their own column type
_NAMED = 5  # maximum number of ids in an error message


@dataclass(frozen=True, eq=False)
class Side:
    """The users, or the items: their ids in order of number, and the number of each row of `pairs`."""

    ids: NDArray[Any]
    native: nw.Series[Any]  # the ids again, in the caller's own type
    codes: NDArray[np.int64]
    attributes: dict[str, Given]


def read(
    pairs: object, *, users: object, items: object, user: str, item: str, columns: Sequence[str] | None
) -> dict[str, Any]:
    """Read and check frames; return the fields of `Candidates`. See `Candidates.from_frames`."""
    frame = _open(pairs, "pairs")
    for argument, name in (("user", user), ("item", item)):
        if not isinstance(name, str):
            raise InputError(f"{argument} is {name!r}; expected the name of a column of pairs, a string.")
        _check_name(frame, pairs, "pairs", name, argument)
    if user == item:
        raise InputError(f"user and item both name the column {user!r}; expected two columns.")
    of_users = _side(frame, users, user, "users")
    of_items = _side(frame, items, item, "items")
    n_pairs, n_users, n_items = len(frame), len(of_users.ids), len(of_items.ids)
    if not n_users:
        raise InputError("there are no users: the frame has no rows; expected one user or more.")
    if n_items >= 2**32:
        raise InputError(f"there are {n_items:,} items; expected fewer than 2**32.")

    numbers, refused = _columns(frame, user, item, columns)
    order = _order(of_users.codes, of_items.codes, n_items)
    _check_duplicates(of_users, of_items, order)
    indptr = np.zeros(n_users + 1, dtype=np.int64)
    np.cumsum(np.bincount(of_users.codes, minlength=n_users), out=indptr[1:])
    sorted_already = bool((order[1:] > order[:-1]).all())
    taken = {name: values if sorted_already else readonly(values[order]) for name, values in numbers.items()}
    user_keys, item_keys = as_keys(of_users.attributes, of_items.attributes, n_users, n_items)
    return {
        "n_users": n_users,
        "n_items": n_items,
        "n_pairs": n_pairs,
        "indptr": readonly(indptr),
        "item": readonly(of_items.codes[order].astype(item_dtype(n_items))),
        "columns": FrozenMapping(taken),
        "users": user_keys,
        "items": item_keys,
        "user_ids": readonly(of_users.ids),
        "item_ids": readonly(of_items.ids),
        "user_name": user,
        "item_name": item,
        "backend": frame.implementation.value if frame.implementation.value in BACKENDS else None,
        "row": readonly(order),
        "_refused": FrozenMapping(refused),
        "_native_ids": {"user": of_users.native, "item": of_items.native},
    }


def columns_of(native: object, what: str, ids: str) -> tuple[dict[str, Given], int]:
    """(the columns of a frame that can be used, that of the ids among them, its length); they are read at first use."""
    frame = _open(native, what)
    names = [name for name in frame.columns if name == ids or not is_left_out(name)]
    return {name: Given(frame.get_column(name).to_native(), None, True) for name in names}, len(frame)


def values_of(native: Any) -> NDArray[Any]:
    """A column as a NumPy array, or as Python objects if NumPy would lose information."""
    import narwhals.stable.v2 as nw

    return _values(nw.from_native(native, series_only=True))


def _named(frame: nw.DataFrame[Any]) -> list[str]:
    """Columns that can be used: those whose names are strings, and that are not the index of another table."""
    return [name for name in frame.columns if not is_left_out(name)]


def write(candidates: PairSource, positions: ArrayLike, values: Mapping[str, ArrayLike], backend: str | None) -> Any:
    """Return a native frame of ids and values of the pairs at `positions`. See `Candidates.frame`."""
    import narwhals.stable.v2 as nw

    where = np.asarray(positions)
    if where.size == 0:
        where = where.astype(np.int64)
    if where.ndim != 1 or where.dtype.kind not in "iu":
        raise InputError(f"positions has shape {where.shape}, dtype {where.dtype}; expected a list of integers.")
    if where.size and (where.min() < 0 or where.max() >= candidates.n_pairs):
        raise InputError(
            f"positions reach from {where.min()} to {where.max()}; "
            f"expected 0 to n_pairs - 1 ({candidates.n_pairs - 1})."
        )
    kind = _backend(backend or candidates.backend)
    numbers = {"user": candidates.user_of(where), "item": candidates.item[where].astype(np.int64)}
    series: dict[str, Any] = {}
    for side, name, ids in (
        ("user", candidates.user_name, candidates.user_ids),
        ("item", candidates.item_name, candidates.item_ids),
    ):
        native = candidates._native_ids.get(side)
        if native is not None and native.implementation.value == kind:
            series[name] = native[numbers[side]]
        else:
            series[name] = _id_series(name, numbers[side] if ids is None else ids[numbers[side]], kind)
    for name, column in values.items():
        array = np.asarray(column)
        if array.shape != where.shape:
            raise InputError(f"{name!r} has shape {array.shape}; expected {where.shape} (positions).")
        if name in series:
            raise InputError(f"{name!r} is also the name of a column of ids; expected another name.")
        series[name] = nw.new_series(name, array, backend=kind)
    # Not nw.from_dict: it turns polars' Object columns (tuples, UUIDs) into the bytes of their addresses.
    first, *rest = (nw.maybe_reset_index(one) for one in series.values())
    return first.to_frame().with_columns(*rest).to_native()


def table(columns: Mapping[str, NDArray[Any]], backend: str | None) -> Any:
    """Return a native frame of columns of one length, numbers or texts."""
    import narwhals.stable.v2 as nw

    plain = {name: column if column.dtype.kind in "fiu" else column.tolist() for name, column in columns.items()}
    return nw.from_dict(plain, backend=_backend(backend)).to_native()


def _id_series(name: str, ids: NDArray[Any], kind: Backend) -> nw.Series[Any]:
    import narwhals.stable.v2 as nw

    if ids.dtype.kind not in "OUTS":
        return nw.new_series(name, ids, backend=kind)
    values = ids.tolist()
    if kind == "polars" and values:
        types = {type(value) for value in values}
        if len(types) > 1 or not types <= _PLAIN:  # tuples, UUIDs, mixtures
            return nw.new_series(name, values, nw.Object(), backend=kind)
    try:
        return nw.new_series(name, values, backend=kind)
    except (TypeError, ValueError) as error:  # pyarrow's errors are subclasses of these
        raise InputError(
            f"{kind} cannot hold the ids of {name!r}, such as {values[0]!r}; ask for another backend."
        ) from error


def _open(native: object, what: str) -> nw.DataFrame[Any]:
    import narwhals.stable.v2 as nw

    try:
        frame: Any = nw.from_native(_without_views(told_apart(native)))
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
    except TypeError as error:
        raise InputError(f"{what} is {type(native).__name__}; expected a pandas, polars or pyarrow frame.") from error
    return nw.maybe_reset_index(frame)


def _without_views(native: object) -> Any:
    """A pyarrow table of plain columns: pyarrow has few functions for views of strings and for run-end encoding."""
    if type(native).__module__.partition(".")[0] != "pyarrow" or not hasattr(native, "schema"):
        return native
    import pyarrow as pa
    import pyarrow.compute as pc

    table: Any = pa.Table.from_batches([native]) if isinstance(native, pa.RecordBatch) else native
    for k, field in enumerate(table.schema):
        if pa.types.is_run_end_encoded(field.type):
            table = table.set_column(k, field.name, pc.run_end_decode(table.column(k)))
    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    fields = [field.with_type(plain.get(field.type, field.type)) for field in table.schema]
    return table if fields == list(table.schema) else table.cast(pa.schema(fields))


def _check_name(frame: nw.DataFrame[Any], native: object, what: str, name: str, argument: str) -> None:
    if name not in frame.columns:
        if name in list(getattr(getattr(native, "index", None), "names", None) or ()):  # of pandas
            raise InputError(f"{what} has {name!r} as its index ({argument}); expected a column: {what}.reset_index().")
        raise InputError(f"{what} has no column {name!r} ({argument}).{did_you_mean(name, frame.columns)}")


def _columns(
    frame: nw.DataFrame[Any], user: str, item: str, columns: Sequence[str] | None
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """(columns of numbers, what is wrong with others): a column that is not named never makes the table invalid."""
    if columns is not None:
        names = _asked_for(frame, user, item, columns)
        return {name: as_column(f"column {name!r}", _numbers(frame, name), len(frame)) for name in names}, {}
    taken: dict[str, NDArray[Any]] = {}
    refused: dict[str, str] = {}
    bad: InputError | None = None
    schema = frame.schema
    for name in _named(frame):
        if name in (user, item):
            continue
        is_coded = holds_numbers(frame.get_column(name).to_native())
        if not is_coded and not _may_be_numbers(schema[name]):
            refused[name] = f"column {name!r} holds {schema[name]}; expected numbers."
            continue
        try:
            taken[name] = as_column(f"column {name!r}", _numbers(frame, name), len(frame))
        except InputError as error:
            refused[name] = str(error)
            if is_coded or schema[name].is_numeric():
                bad = bad or error
    if not taken and bad is not None:
        raise bad
    if not taken:
        found = f" For example, {next(iter(refused.values()))}" if refused else ""
        raise InputError(f"pairs has no numeric column besides the ids; expected one or more.{found}")
    return taken, refused


def _may_be_numbers(dtype: nw.dtypes.DType) -> bool:
    """True for numbers and booleans, and for objects, whose values are checked later."""
    import narwhals.stable.v2 as nw

    return dtype.is_numeric() or dtype in (nw.Boolean, nw.Object, nw.Unknown)


def _asked_for(frame: nw.DataFrame[Any], user: str, item: str, columns: Sequence[str]) -> list[str]:
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names:
        raise InputError("columns is empty; expected one name or more, or None for every numeric column.")
    for name in names:
        if not isinstance(name, str) or not name:
            raise InputError(f"columns has {name!r}; expected names of columns.{why_left_out(name)}")
        _check_name(frame, None, "pairs", name, "columns")
        if name in (user, item):
            raise InputError(f"columns names {name!r}, which holds ids; expected columns of numbers.")
    if len(set(names)) < len(names):
        raise InputError(f"columns names one column twice: {', '.join(names)}.")
    return names


def _numbers(frame: nw.DataFrame[Any], name: str) -> NDArray[Any]:
    series = frame.get_column(name)
    nulls = series.is_null()
    if nulls.any():
        row = int(np.argmax(nulls.to_numpy()))
        raise InputError(f"column {name!r}: row {row:,} is null or nan; expected finite numbers.")
    if not _is_wide(series):
        array = series.to_numpy()
        if array.dtype.kind in "biuf":
            return array
    return objects(series.to_list())


def _is_wide(series: nw.Series[Any]) -> bool:
    """True for integers of 128 bits, which NumPy does not have."""
    return "128" in str(series.dtype)


def _side(pairs: nw.DataFrame[Any], frame: object, name: str, what: str) -> Side:
    """Number the users or items: those of their own frame if there is one, else those in the pairs."""
    found = _ids(pairs, name, "pairs")
    if frame is None:
        return Side(found.values, pairs.get_column(name)[found.rows], found.codes, {})
    opened = _open(frame, what)
    _check_name(opened, frame, what, name, what.removesuffix("s"))
    defined = _ids(opened, name, what)
    if len(defined.values) < len(opened):
        again = np.flatnonzero(np.bincount(defined.codes) > 1)
        raise InputError(
            f"{what}: column {name!r} has ids more than once: {_listed(defined.values[again])}; expected one row per "
            "id."
        )
    number = {one: k for k, one in enumerate(all_same(defined.values))}
    renumber = np.fromiter((number.get(one, -1) for one in all_same(found.values)), np.int64, len(found.values))
    if (renumber < 0).any():
        unknown = np.flatnonzero(renumber < 0)
        first = unknown[np.argmin(found.rows[unknown])]
        kinds = f"{opened[name].dtype} there, {pairs[name].dtype} in pairs"
        raise InputError(
            f"pairs: column {name!r}, row {int(found.rows[first]):,}: the id {_shown(found.values[first])} is missing "
            f"from {what}; expected ids of {what} ({kinds}). Ids that are missing: {_listed(found.values[unknown])}."
        )
    attributes = {
        column: Given(opened.get_column(column).to_native(), defined.rows, True)
        for column in _named(opened)
        if column != name
    }
    return Side(defined.values, opened.get_column(name)[defined.rows], renumber[found.codes], attributes)


def _ids(frame: nw.DataFrame[Any], name: str, what: str) -> Factor:
    where = f"{what}: column {name!r}"
    series = frame.get_column(name)
    nulls = series.is_null().to_numpy()
    if not nulls.any():
        factor = _string_ids(series, where) if _is_string(series) else factorize(_values(series), where)
        nulls = factor.codes < 0  # NaN, which is not null in polars and pyarrow
        if not nulls.any():
            refuse_infinite(factor, where, lambda row: f"row {row:,} is")
            return factor
    raise InputError(f"{where}: row {int(np.argmax(nulls)):,} is null or nan; expected an id.")


def _is_string(series: nw.Series[Any]) -> bool:
    import narwhals.stable.v2 as nw

    return series.dtype == nw.String and len(series) > 0


def _string_ids(series: nw.Series[Any], where: str) -> Factor:
    """Factorize strings with the frame's own hash tables, several times faster than Python objects."""
    import narwhals.stable.v2 as nw

    distinct = series.unique().to_list()
    found = series.replace_strict(distinct, list(range(len(distinct))), return_dtype=nw.Int64).to_numpy()
    factor = factorize(objects(distinct), where)
    codes = factor.codes[found]
    return Factor(factor.values, codes, first_rows(codes, len(distinct)), factor.ordered)


def _values(series: nw.Series[Any]) -> NDArray[Any]:
    """Return ids or attributes as NumPy arrays, or as Python objects if NumPy would lose information."""
    dtype = series.dtype
    if dtype.is_integer() and not _is_wide(series) and not series.is_null().any():
        array = series.to_numpy()
        if array.dtype.kind in "iu":
            return array
    elif dtype.is_float():
        return series.to_numpy()
    return objects(series.to_list())


def _order(users: NDArray[np.int64], items: NDArray[np.int64], n_items: int) -> NDArray[np.int64]:
    """Return the rows sorted by user, then item."""
    place = users * n_items + items  # 2**63 is more users times items than fit into a memory
    if (place[1:] >= place[:-1]).all():
        return np.arange(len(place), dtype=np.int64)
    return np.argsort(place, kind="stable")


def _check_duplicates(users: Side, items: Side, order: NDArray[np.int64]) -> None:
    user, item = users.codes[order], items.codes[order]
    same = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
    if same.any():
        k = int(np.argmax(same))
        raise InputError(
            f"user {_shown(users.ids[user[k]])} has item {_shown(items.ids[item[k]])} twice, "
            f"at rows {int(order[k]):,} and {int(order[k + 1]):,}; expected each item once per user."
        )


def _shown(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _listed(values: NDArray[Any]) -> str:
    more = f", ... ({len(values):,} in all)" if len(values) > _NAMED else ""
    return ", ".join(_shown(value) for value in values[:_NAMED]) + more


def _backend(name: str | None) -> Backend:
    if name is not None and name not in BACKENDS:
        raise InputError(f"there is no backend {name!r}.{did_you_mean(name, BACKENDS)}")
    wanted = [other for other in BACKENDS if name in (None, other)]
    for other in wanted:
        if importlib.util.find_spec(other):
            return other
    raise MissingDependencyError(
        f"a frame needs {' or '.join(wanted)}, which is not installed; run: pip install {wanted[-1]}"
    )
