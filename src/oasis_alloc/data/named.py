"""Columns and attributes by name, from mappings and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oasis_alloc.common.types import AttributesLike
from oasis_alloc.data.left_out import is_left_out
from oasis_alloc.data.multi_keys import Attribute, as_attribute
from oasis_alloc.data.validation import by_name
from oasis_alloc.errors import InputError


def attributes_of(values: AttributesLike | None, side: str) -> dict[str, Attribute]:
    """The attributes of the users or items, each checked."""
    given = named({} if values is None else values, side)
    return {name: as_attribute(name, array, side) for name, array in given.items()}


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
