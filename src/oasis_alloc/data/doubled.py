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
    return [f"{name} (column {k + 1})" if name in again else name for k, name in enumerate(names)]


def told_apart(native: Any) -> Any:
    """Return a pandas or pyarrow table whose columns have `distinct` names; anything else unchanged.

    Several columns without a name are left out, because nobody can ask for one of them.
    """
    library = type(native).__module__.partition(".")[0]
    if library == "pandas" and hasattr(native, "set_axis") and hasattr(native, "columns"):
        if native.columns.is_unique:
            return native
        named = _named(list(native.columns))
        return native.iloc[:, named].set_axis(distinct([native.columns[k] for k in named]), axis=1)
    if library == "pyarrow" and hasattr(native, "rename_columns"):
        names = native.column_names
        if len(set(names)) == len(names):
            return native
        named = _named(names)
        return native.select(named).rename_columns(distinct([names[k] for k in named]))
    return native


def _named(names: Sequence[Hashable]) -> list[int]:
    """Positions of the columns, without those that have no name if there are several."""
    several = names.count("") > 1
    return [k for k, name in enumerate(names) if not (several and name == "")]
