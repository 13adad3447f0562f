"""Members of a decision that was read from JSON: other programs write such logs, and one wrong line should be named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError

_LATEST = 253_402_300_799.0  # UNIX seconds of the end of the year 9999
_INT64 = 1 << 63


def check_members(given: Mapping[str, Any], excluded: Mapping[int, str]) -> None:
    """Raise `InputError` for the first member of a wrong type, length or range; missing members are not looked at.

    >>> check_members({"request": "r", "items": ["a"], "slate": [0]}, {})
    >>> check_members({"items": ["a"], "slate": [1]}, {})
    Traceback (most recent call last):
        ...
    oasis_alloc.errors.InputError: slate is [1]; expected distinct positions from 0 to 0.
    """
    for name, (is_good, expected) in _SINGLE.items():
        value = given.get(name)
        if name in given and value is not None and not is_good(value):
            raise InputError(f"{name} is {shown(value)}; expected {expected}.")
    items = given.get("items")
    if items is None:
        return
    n = len(items)
    for name in ("slate", "pinned"):
        _check_places(name, given.get(name), n)
    _check_places("excluded", list(excluded), n)
    lists = {f"columns[{name!r}]": (values, n) for name, values in (given.get("columns") or {}).items()}
    lists["scores"] = given.get("scores"), n
    if given.get("slate") is not None:
        lists["propensities"] = given.get("propensities"), len(given["slate"])
    for name, (values, length) in lists.items():
        if values is not None and not (_is_numbers(values) and len(values) == length):
            raise InputError(f"{name} is {shown(values)}; expected {length} numbers.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return type(value) is int and -_INT64 <= value < _INT64


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and (all(map(_is_text, value)) or all(map(_is_whole, value)))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(one is None or as_real(one) is not None for one in value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_time(value: Any) -> bool:
    real = as_real(value)
    return real is not None and math.isfinite(real) and abs(real) <= _LATEST


def _is_rate(value: Any) -> bool:
    real = as_real(value)
    return real is not None and 0.0 < real <= 1.0


def _is_slots(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


_SINGLE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "request": (_is_text, "a text"), "policy_id": (_is_text, "a text"), "mode": (_is_text, "a text"),
    "user": (_is_text, "a text, the hash of an id, or null"), "organic": (_is_text, "the name of a column, or null"),
    "time": (_is_time, "UNIX seconds"), "rate": (_is_rate, "a share above 0 and at most 1"),
    "k": (_is_slots, "a number of slots, or null"), "labels": (_is_mapping, "labels by key"),
    "columns": (_is_mapping, "numbers by name"),
    "items": (_is_ids, "a list of texts, or of whole numbers of 64 bits"),
}  # fmt: skip


def _check_places(name: str, value: Any, n: int) -> None:
    if value is None:
        return
    is_good = isinstance(value, list) and all(type(one) is int and 0 <= one < n for one in value)
    if not is_good or len(set(value)) < len(value):
        raise InputError(f"{name} is {shown(value)}; expected distinct positions from 0 to {n - 1}.")
