"""Parts of a statement (measures, functions, slates) as JSON and arrays, and back: no pickle, and no code in files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.errors import InputError
from oasis_alloc.statement.delivered import Delivered
from oasis_alloc.statement.functions.base import Function
from oasis_alloc.statement.measures import Measure, MeasureTerm
from oasis_alloc.statement.objective import Objective
from oasis_alloc.statement.slate import Slate
from oasis_alloc.statement.stay_close import StayClose

Tensors = dict[str, npt.NDArray[Any]]
LabelOf = Callable[[tuple[str, ...], Any], Any]
"""Returns the label to write for a label of the groups by these keys."""


@dataclasses.dataclass(eq=False)
class Writer:
    """Turns parts into JSON; arrays are stored in `tensors`, and labels are converted by `label_of`."""

    label_of: LabelOf
    earlier: Callable[[StayClose], npt.NDArray[np.float64]]  # (n_pairs,) probabilities of the earlier plan
    tensors: Tensors = dataclasses.field(default_factory=dict)

    def write(self, part: Any, by: tuple[str, ...] | None = None) -> Any:
        """JSON of a part; `by` are the keys whose labels are the keys of mappings in it."""
        if isinstance(part, StayClose):
            y = self.earlier(part)
            shown = np.flatnonzero(y)
            return {"is": "StayClose", "weight": part.weight, "at": self._put(shown), "y": self._put(y[shown])}
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            if type(part) is not _classes().get(type(part).__name__):
                raise InputError(f"{part} is a {type(part).__name__}, which is not a statement of this package.")
            if isinstance(part, Function):
                by = part.measure.by
            elif isinstance(part, Delivered):
                by = part.by
            fields = {f.name: self.write(getattr(part, f.name), by) for f in dataclasses.fields(part) if f.init}
            return {"is": type(part).__name__, "fields": fields}
        if isinstance(part, np.ndarray):
            return {"is": "array", "name": self._put(part)}
        if isinstance(part, Mapping):
            name_of: Callable[[Any], Any] = (lambda key: key) if by is None else (lambda key: self.label_of(by, key))
            return {"is": "mapping", "of": [[self.write(name_of(k)), self.write(v, by)] for k, v in part.items()]}
        if isinstance(part, (tuple, list)):
            return {"is": "tuple", "of": [self.write(each, by) for each in part]}
        return _scalar(part)

    def _put(self, array: npt.NDArray[Any]) -> str:
        if array.dtype.kind not in "fiub":
            raise InputError(f"an array of {array.dtype} is in the statement; expected numbers.")
        name = f"statement-{len(self.tensors)}"
        self.tensors[name] = array
        return name


def read(written: Any, tensors: Mapping[str, npt.NDArray[Any]], steady: Callable[..., StayClose]) -> Any:
    """The part that `Writer.write` turned into JSON; `steady(weight, positions, y)` makes a `StayClose`."""
    if not isinstance(written, dict):
        return written
    kind = written["is"]
    if kind == "array":
        return tensors[written["name"]]
    if kind == "number":
        return float(written["of"])
    if kind == "date":
        return date.fromisoformat(written["of"])
    if kind == "datetime":
        return datetime.fromisoformat(written["of"])
    if kind == "mapping":
        return {read(k, tensors, steady): read(v, tensors, steady) for k, v in written["of"]}
    if kind == "tuple":
        return tuple(read(each, tensors, steady) for each in written["of"])
    if kind == "StayClose":
        return steady(float(written["weight"]), tensors[written["at"]], tensors[written["y"]])
    fields = {name: read(value, tensors, steady) for name, value in written["fields"].items()}
    return _classes()[kind](**fields)


def _scalar(value: Any) -> Any:
    """JSON of a number, a text or a date; it comes back as the same Python type."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return {"is": "number", "of": repr(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (bool, int, float, str)):  # also subclasses of other libraries
        kind = next(base for base in (bool, int, float, str) if isinstance(value, base))
        return kind(value)
    if isinstance(value, datetime):
        return {"is": "datetime", "of": value.isoformat()}
    if isinstance(value, date):
        return {"is": "date", "of": value.isoformat()}
    raise InputError(
        f"{value!r} is a {type(value).__name__}, which files cannot have; expected a text, number, boolean or date. "
        "write_reproduction(anonymize=True) writes numbers instead of labels."
    )


def _classes() -> dict[str, type]:
    """The classes that a file may name: only this package's own statements."""
    found: dict[str, type] = {kind.__name__: kind for kind in (Measure, MeasureTerm, Delivered, Objective, Slate)}
    waiting = Function.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("oasis_alloc.statement.functions.") and not kind.__abstractmethods__:
            found[kind.__name__] = kind
    return found
