"""Columns with the same name in one table: allowed as long as the name is not used."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any


def distinct(names: Sequence[Hashable]) -> list[Hashable]:
    """Return distinct names of columns: repeated names get the number of the column, from 1.

    >>> distinct(["item", "plays", "plays"])
    ['item', 'plays (column 2)', 'plays (column 3)']
    """
    seen: set[Hashable] = set()
    again = {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
    return [f"{name} (column {k + 1})" if name in again and name != "" else name for k, name in enumerate(names)]


def told_apart(native: Any) -> Any:
    """Return a pandas or pyarrow table whose columns have `distinct` names; anything else unchanged."""
    library = type(native).__module__.partition(".")[0]
    if library == "pandas" and hasattr(native, "set_axis") and hasattr(native, "columns"):
        return native if native.columns.is_unique else native.set_axis(distinct(list(native.columns)), axis=1)
    if library == "pyarrow" and hasattr(native, "rename_columns"):
        names = native.column_names
        return native if len(set(names)) == len(names) else native.rename_columns(distinct(names))
    return native
