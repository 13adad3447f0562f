"""Numbers per group: one for all, one per group, or by label. Limits, targets, weights and deliveries have this form.

Numbers with labels (a mapping, a pandas Series) are matched by label, never by position: `docs/labels.md`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import permutations
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.labels import all_same, is_none, kind_of, same, shown
from oasis_alloc.common.nearest import Spelled, did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError, ProblemError

Numbers: TypeAlias = float | Floats | dict[Any, float]
"""For all groups, in the order of the groups, or by label; NaN by label means no number."""

_EXPECTED = "a number, an array with one number per group, or {label: number}"
_MOST_ORDERS = 4  # maximum number of keys for which every order is tried


class Labels(list[Any]):
    """The labels of groups, with a lookup of their positions."""

    @cached_property
    def places(self) -> dict[Hashable, int]:
        """Number of each group by the lookup key of its label."""
        return {one: g for g, one in enumerate(all_same(self))}

    @cached_property
    def spelled(self) -> Spelled:
        """Their characters, to find the label that is nearest to an unknown one."""
        return Spelled(self)

    @cached_property
    def parts(self) -> list[Labels]:
        """For labels of several keys, the labels of each key."""
        return [Labels(dict.fromkeys(label[k] for label in self)) for k in range(len(self[0]))]


def as_number(value: object) -> float | None:
    """Return a number as a float, or None for anything else: booleans, strings and so on.

    Integers, floats, `Decimal` and fractions are numbers, and so are the scalars of NumPy and pyarrow.

    >>> from decimal import Decimal
    >>> import numpy as np
    >>> as_number(np.int64(3)), as_number(Decimal("0.5")), as_number(True), as_number("3")
    (3.0, 0.5, None, None)
    """
    if isinstance(value, (bool, np.bool_, str, bytes, np.timedelta64)):
        return None
    if isinstance(value, (Real, Decimal)):
        try:
            return float(value)
        except OverflowError:
            return np.inf if value > type(value)(0) else -np.inf  # type: ignore[operator,call-arg]  # numbers
        except ValueError:  # a signaling NaN
            return np.nan
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return as_number(value[()]) if value.dtype.kind != "O" else as_number(value.item())
    if hasattr(value, "as_py"):
        return as_number(value.as_py())
    return None


def as_factor(value: object, of: object) -> float | None:
    """Return a factor of a measure, function or objective; None if it is not a number.

    Raises `ProblemError` for booleans and for numbers per group, which are limits.
    """
    if isinstance(value, (bool, np.bool_)):
        raise ProblemError(f"cannot multiply or divide {of} by {value}, a boolean; expected a number.")
    number = as_number(value)
    if number is None and not isinstance(value, str) and (hasattr(value, "__array__") or isinstance(value, list)):
        raise ProblemError(
            f"cannot multiply or divide {of} by {_kind(value)}: expected one number. Numbers per group are limits, on "
            "the other side of <=, >= or ==; numbers per pair are a column of the candidates."
        )
    return number


def limits_of(given: object, what: str) -> Numbers:
    """Return limits as `numbers_of` does; NaN is refused where it must be a mistake; None by label means no limit.

    >>> import numpy as np
    >>> import pandas as pd
    >>> limits_of(pd.Series({"a": 1.0, "b": np.nan}), "caps"), limits_of({"a": 1, "b": None}, "caps")
    ({'a': 1.0, 'b': nan}, {'a': 1, 'b': nan})
    """
    found = np.nan if is_none(given) else numbers_of(given, what, "limit")
    where = None
    if isinstance(found, dict):
        if isinstance(given, Mapping):
            where = next((f" of {label!r}" for label, number in given.items() if _is_nan(number)), None)
    elif isinstance(found, float):
        where = "" if np.isnan(found) else None
    elif np.isnan(found).any():
        where = f" at entry {int(np.argmax(np.isnan(found)))}"
    if where is None:
        return found
    raise ProblemError(
        f"{what}: the limit{where} is {'None' if given is None else 'nan'}; expected numbers that are not NaN. "
        "{label: None} leaves one group free; an infinite limit (of a floor: -inf) leaves all groups free."
    )


def numbers_of(given: object, what: str, word: str) -> Numbers:
    """Return numbers per group as far as they can be read without the groups; mutable input is copied.

    `what` begins the error message, and `word` names the numbers: a limit, a target.
    Empty entries of a mapping or Series are NaN. Raises `ProblemError`.

    >>> import numpy as np
    >>> numbers_of({"a": np.float32(2), "b": None}, "caps", "limit"), numbers_of([1, 2], "caps", "limit").tolist()
    ({'a': 2.0, 'b': nan}, [1.0, 2.0])
    """
    if (number := as_number(given)) is not None:
        return number
    by_label = labeled(given, what, word)
    if by_label is not None:
        return {label: _entry(value, f"{what}: the {word} of {label!r}") for label, value in by_label.items()}
    return _in_order(given, what, word)


def labeled(given: object, what: str, word: str) -> dict[Any, Any] | None:
    """Return numbers with labels as a dict by label; None for anything else. Raises `ProblemError` for tables.

    >>> import pandas as pd
    >>> labeled(pd.Series([2.0, 1.0], index=["b", "a"]), "caps", "limit"), labeled([1, 2], "caps", "limit")
    ({'b': 2.0, 'a': 1.0}, None)
    """
    if isinstance(given, Mapping):
        return dict(given)
    if hasattr(given, "columns"):
        raise ProblemError(
            f"{what}: the {word} is {_kind(given)}, a table; expected numbers, or numbers by label. From a pandas "
            "DataFrame, take one column, indexed by label or id: frame.set_index('label')['number']."
        )
    if hasattr(given, "coords"):
        raise ProblemError(
            f"{what}: the {word} is {_kind(given)} with coordinates; expected numbers, or numbers by label. Convert "
            "it with to_series() to a pandas Series, whose index is matched by label, or to an array in group order."
        )
    index = getattr(given, "index", None)
    if index is None or callable(index):  # lists and tuples have a method of this name
        return None
    labels, values = list(index), list(given)  # type: ignore[call-overload]  # a Series
    out = dict(zip(labels, values, strict=True))
    if len(out) < len(labels):
        twice = Counter(labels).most_common(1)[0][0]
        raise ProblemError(f"{what}: {twice!r} appears twice in the index of the Series; expected each label once.")
    return out


def spread(limit: Numbers, labels: Sequence[Any], name: str, free: float, what: str = "the limit") -> Floats:
    """Lay numbers out over the groups, (n_groups,); groups without a number get `free`."""
    if isinstance(limit, dict):
        places = labels.places if isinstance(labels, Labels) else Labels(labels).places
        out, told = np.full(len(labels), free), set()
        for label, number in limit.items():
            place = place_of(label, places, labels, name)
            if place in told:
                raise ProblemError(f"{name}: group {labels[place]!r} is named twice, the second time as {label!r}.")
            told.add(place)
            if number == number:
                out[place] = number
        return out
    if isinstance(limit, float):
        return np.full(len(labels), limit)
    if limit.shape != (len(labels),):
        raise ProblemError(
            f"{name}: {what} has {limit.size} entries; expected (n_groups,) = ({len(labels)},), one per group in "
            "sorted order of the labels (`candidates.groups(by)` lists them). Use {label: value} for some groups only."
        )
    return np.asarray(limit, dtype=np.float64).copy()


def place_of(label: object, places: Mapping[Hashable, int], labels: Sequence[Any], name: str) -> int:
    """Return the number of the group that a label names, or raise `ProblemError` with the nearest one."""
    try:
        place = places.get(same(label))
    except InputError as error:
        raise ProblemError(f"{name}: {error}") from None
    if place is None and list(labels) == [None]:
        raise ProblemError(
            f"{name}: there is no group {label!r}, as the measure has no key: expected one number for all candidates."
        )
    if place is None:
        raise ProblemError(f"{name}: there is no group {label!r}.{_nearest(label, places, labels)}")
    return place


def text_of(given: Numbers) -> str:
    """Numbers per group in the text of a constraint or function.

    >>> text_of(2.0), text_of({"a": 1.0}), text_of({k: 1.0 for k in range(9)})
    ('2', "{'a': 1.0}", '{9 labels}')
    """
    if isinstance(given, dict):
        return repr(given) if len(given) <= 3 else f"{{{len(given)} labels}}"
    return f"{given:g}" if isinstance(given, float) else f"array of {given.size}"


def _entry(value: object, what: str) -> float:
    if is_none(value):
        return float("nan")
    number = as_number(value)
    if number is None:
        raise ProblemError(f"{what} is {shown(value)}, {_kind(value)}; expected numbers.")
    return value if isinstance(value, int) and abs(value) < 2**63 else number  # whole numbers without a decimal point


def _is_nan(value: object) -> bool:
    return isinstance(value, (float, np.floating, Decimal)) and is_none(value)


def _in_order(given: object, what: str, word: str) -> Floats:
    """One number per group without labels."""
    wanted = f"the {word} is {_EXPECTED}"
    if isinstance(given, np.ma.MaskedArray) and np.ma.getmaskarray(given).any():
        k = int(np.argmax(np.ma.getmaskarray(given).reshape(-1)))
        raise ProblemError(f"{what}: entry {k} is masked; use {{label: number}} to leave groups out.")
    if isinstance(given, (str, bytes)) or not (isinstance(given, Iterable) or hasattr(given, "__array__")):
        raise ProblemError(f"{what}: got {shown(given)}, {_kind(given)}; {wanted}.")
    try:
        array: npt.NDArray[Any] = np.asarray(given)
    except (TypeError, ValueError):
        raise ProblemError(f"{what}: {_kind(given)}, which cannot be read as an array; {wanted}.") from None
    if array.ndim == 0:
        raise ProblemError(f"{what}: got {_kind(given)}; {wanted}.")
    if array.ndim != 1:
        raise ProblemError(
            f"{what}: the {word} is an array of shape {array.shape}; expected finite numbers, one per group: "
            "(n_groups,)."
        )
    plain = not isinstance(given, (list, tuple)) or bool not in set(map(type, given))
    if (array.dtype.kind in "iuf" and plain) or not array.size:
        return np.array(array, dtype=np.float64)
    values = list(given) if isinstance(given, (list, tuple)) else array.tolist()
    return np.array([_entry(value, f"{what}: entry {k}") for k, value in enumerate(values)], dtype=np.float64)


def _nearest(label: object, places: Mapping[Hashable, int], labels: Sequence[Any]) -> str:
    """The end of a message about a label that is not a group: the keys in another order, or the nearest label."""
    first = labels[0] if labels else None
    if not isinstance(label, tuple) or not isinstance(first, tuple):
        return did_you_mean(label, labels) + _other_kind(label, first)
    if len(label) != len(first):
        return f" Groups have labels of {len(first)} keys, such as {first!r}."
    if len(label) <= _MOST_ORDERS:
        for other in permutations(label):
            if same(other) in places:
                return f" Did you mean {other!r}? Labels are in the order of the keys of by=."
    parts = (labels if isinstance(labels, Labels) else Labels(labels)).parts
    for part, known in zip(label, parts, strict=True):
        if same(part) not in known.places:
            return f" No group has {part!r} there.{did_you_mean(part, known)}"
    return did_you_mean(label, labels) if len(labels) <= 1000 else " Both labels exist, but no group has both."


def _other_kind(label: object, first: object) -> str:
    kind, known = kind_of(same(label)), kind_of(same(first))
    if first is None or kind == known:
        return ""
    return f" ({label!r} is of kind {kind}, the labels of kind {known}: docs/labels.md.)"


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
