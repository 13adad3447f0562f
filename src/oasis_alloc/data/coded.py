"""Columns stored as codes into a table of values: dictionaries of pyarrow, categoricals of pandas."""

from __future__ import annotations

from typing import Any


def decoded(values: Any) -> Any:
    """The plain values of a pyarrow dictionary; anything else as it is.

    NumPy reads the entries of such an array without its nulls: a missing value would be some other value.

    >>> import numpy as np, pyarrow as pa
    >>> np.asarray(decoded(pa.array([0.5, None, 0.5]).dictionary_encode())).tolist()
    [0.5, nan, 0.5]
    """
    kind = getattr(values, "type", None)
    if kind is None or type(values).__module__.partition(".")[0] != "pyarrow" or not hasattr(kind, "value_type"):
        return values
    import pyarrow as pa

    return values.cast(kind.value_type) if pa.types.is_dictionary(kind) else values


def holds_numbers(column: Any) -> bool:
    """True for a column of codes, of pandas or pyarrow, whose values are numbers or booleans.

    >>> import pandas as pd
    >>> holds_numbers(pd.Series(pd.Categorical([0.5, 0.25]))), holds_numbers(pd.Series(pd.Categorical(["a", "b"])))
    (True, False)
    """
    categories = getattr(getattr(column, "dtype", None), "categories", None)  # of pandas
    if categories is not None and hasattr(categories, "to_numpy"):
        found = categories.to_numpy()
        return found.dtype.kind in "biuf" or (found.dtype.kind == "O" and not isinstance(next(iter(found), ""), str))
    kind = getattr(column, "type", None) or getattr(getattr(column, "dtype", None), "pyarrow_dtype", None)
    if kind is None or not hasattr(kind, "value_type"):
        return False
    import pyarrow as pa

    inner, types = kind.value_type, pa.types
    return bool(
        types.is_dictionary(kind)
        and (types.is_integer(inner) or types.is_floating(inner) or types.is_decimal(inner) or types.is_boolean(inner))
    )
