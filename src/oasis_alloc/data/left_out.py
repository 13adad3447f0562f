"""Columns that are left out of tables because of their names: pandas writes its index under such a name."""

from __future__ import annotations

import re

_INDEX = re.compile(r"__index_level_\d+__")


def is_left_out(name: object) -> bool:
    """True for a column without a name, and for the index of pandas in Parquet; a caller who names it gets it.

    >>> [is_left_out(name) for name in ("", "__index_level_0__", "index", 7)]
    [True, True, False, True]
    """
    return not isinstance(name, str) or not name or _INDEX.fullmatch(name) is not None


def why_left_out(name: object) -> str:
    """The end of a message about an unknown column or key, or "" for other names.

    >>> why_left_out("campaign"), why_left_out("")
    ('', ' A column without a name is left out of a table: pandas writes its index so. Give the column a name.')
    """
    if not isinstance(name, str) or not is_left_out(name):
        return ""
    what, new = (f"A column named {name!r}", "another") if name else ("A column without a name", "a")
    return f" {what} is left out of a table: pandas writes its index so. Give the column {new} name."
