"""Columns and attributes by name, from mappings and tables; and tables of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import AttributesLike
from oasis_alloc.data.left_out import is_left_out
from oasis_alloc.data.multi_keys import Attribute, as_attribute
from oasis_alloc.data.row_labels import in_one_order, in_order_of_ids
from oasis_alloc.data.validation import by_name
from oasis_alloc.errors import InputError, require


def attributes_of(values: AttributesLike | None, side: str, ids: object = None) -> dict[str, Attribute]:
    """The attributes of the users or items, each checked; a Series by id is put into the order of the ids.

    The rows of a table are in that order already, whatever its index is.
    """
    given = named({} if values is None else values, side)
    if isinstance(given, Mapping) and given is values:
        ids_name = "user_ids" if side == "users" else "item_ids"
        given = {name: in_order_of_ids(f"{side}[{name!r}]", one, ids, ids_name) for name, one in given.items()}
    return {name: as_attribute(name, array, side) for name, array in given.items()}


def pairs_in_one_order(item: object, columns: Mapping[str, Any], uncertainty: object) -> tuple[dict[str, Any], object]:
    """(columns, standard deviations) in the order of the first of all numbers by pair that has row labels.

    `uncertainty` may also name columns, or be something that is refused later.
    """
    deviations = {} if uncertainty is None else by_name(uncertainty)
    if deviations is None:
        return dict(columns), uncertainty
    of = {"item": item} | {f"columns[{name!r}]": one for name, one in columns.items()}
    of |= {f"uncertainty[{name!r}]": one for name, one in deviations.items()}
    found = in_one_order(**of)[1:]
    return dict(zip(columns, found, strict=False)), dict(zip(deviations, found[len(columns) :], strict=True))


def named(values: object, what: str) -> Mapping[str, Any]:
    """The entries of a mapping or table by name; `InputError` for anything else."""
    found = by_name(values)
    if found is None:
        raise InputError(f"{what} is {type(values).__name__}; expected a mapping of names to arrays.")
    if not isinstance(values, Mapping):  # a table, which may have other columns
        return {name: column for name, column in found.items() if not is_left_out(name)}
    for name in found:
        if not isinstance(name, str) or not name:
            raise InputError(f"{what} has the name {name!r}; expected a string that is not empty.")
    return found


def frame_of(columns: Mapping[str, Sequence[Any]], backend: str) -> Any:
    """A frame of plain lists, made by the library that `backend` names; `InputError` for any other name."""
    if backend == "pyarrow":
        return require("pyarrow", "parquet").table(columns)
    if backend not in ("pandas", "polars"):
        raise InputError(f"backend={shown(backend)}: expected 'pandas', 'polars' or 'pyarrow'.")
    return require(backend, "test").DataFrame(columns)
