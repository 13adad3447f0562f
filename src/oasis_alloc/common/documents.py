"""Values in the form of JSON: texts, numbers, lists, objects and null."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar

import numpy as np

from oasis_alloc.common.labels import plain, storable
from oasis_alloc.errors import InputError

_PLAIN = frozenset({str, int, bool})


def jsonable(value: Any) -> Any:
    """A value in the form of JSON; numbers that JSON cannot represent (NaN, infinity) are None.

    >>> jsonable((1, float("inf"), np.float64(0.5), ("rock", date(2026, 1, 2)), None))
    [1, None, 0.5, ['rock', '2026-01-02'], None]
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return [jsonable(one) for one in value.tolist()]
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(one) for one in value]
    value = plain(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def label_as_json(label: Any) -> Any:
    """A label or an id as JSON in the form in which policies know it again: a text, a number, a boolean or None.

    Dates, times and UUIDs are their texts of docs/labels.md. Values that cannot be labels are as `jsonable` has them.

    >>> import datetime as dt
    >>> [label_as_json(one) for one in ("SE", np.float32(0.5), dt.datetime(2026, 1, 2), True, float("nan"))]
    ['SE', 0.5, '2026-01-02', True, None]
    """
    if type(label) in _PLAIN:
        return label
    try:
        return jsonable(storable([label])[0])
    except InputError:
        return jsonable(label)


def distinct_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads(object_pairs_hook=...)`: an object, or `ValueError` if it has two members of one name."""
    out = dict(members)
    if len(out) < len(members):
        raise ValueError("a name appears twice")
    return out


def from_json(text: str | bytes) -> Any:
    """What a JSON text says; ValueError for other texts, also for those that are nested too deeply to be read.

    >>> from_json('{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


class Document:
    """A result that states itself for JSON: `format`, `schema`, and then its attributes by name.

    `docs/json.md` lists the members of every format. Derived classes name theirs, and may replace `_members`.

    >>> @dataclasses.dataclass
    ... class Point(Document, form="point"):
    ...     x: float
    >>> Point(float("nan")).to_dict()
    {'format': 'oasis_alloc.point', 'schema': 1, 'x': None}
    """

    __slots__ = ()
    _form: ClassVar[str] = ""
    _schema: ClassVar[int] = 1

    def __init_subclass__(cls, form: str = "", schema: int = 1) -> None:
        super().__init_subclass__()
        if form:
            cls._form, cls._schema = f"oasis_alloc.{form}", schema

    def _members(self) -> Mapping[str, Any]:
        """What the document has, by name."""
        return dict(jsonable(self))

    def to_dict(self) -> dict[str, Any]:
        """All attributes as plain texts, numbers and lists for JSON, with `format` and `schema`: `docs/json.md`."""
        return {"format": self._form, "schema": self._schema, **self._members()}
