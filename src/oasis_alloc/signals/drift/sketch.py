"""Sketches: counts in fixed bins of what requests bring, small enough to keep, to add up, and to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import ColumnsLike, Floats, Ints
from oasis_alloc.data.validation import by_name
from oasis_alloc.errors import InputError
from oasis_alloc.serving.schema import shown

_FORMAT = "oasis_alloc.sketch"
_MAX_BINS = 1000
_SAMPLE = 1 << 20  # values from which edges are made: more would not move them


@suggesting
@dataclass(frozen=True, eq=False, repr=False)
class Sketch(ByFields):
    """Counts of values in fixed bins, by name: of columns, priced scores, prices. Made by `of`, filled by `add`.

    - `edges`: name -> (n_bins - 1,) ascending inner edges; a value v is in bin k if edges[k - 1] <= v < edges[k].
    - `counts`: name -> (n_bins + 1,) numbers of values in each bin, and last of missing ones: NaN and infinity.

    Sketches of different processes add up where their edges are equal: `merge`.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> sketch = oa.Sketch.of({"relevance": np.arange(100.0)}, bins=4)
    >>> sketch.edges["relevance"].tolist(), sketch.counts["relevance"].tolist()
    ([24.75, 49.5, 74.25], [25, 25, 25, 25, 0])
    """

    edges: Mapping[str, Floats]
    counts: Mapping[str, Ints]

    @classmethod
    def of(cls, columns: ColumnsLike, bins: int = 20) -> Sketch:
        """A sketch of these values, in bins of about equal counts: the data that a policy is built from.

        Parameters
        ----------
        columns
            `{name: (n,) numbers}`, such as `candidates.request_columns`; NaN and infinity count as missing.
        bins
            Maximum number of bins, 2 to 1,000. Equal values share a bin.

        Raises `InputError` for anything else, and for a column without a finite number.
        """
        most = as_whole(bins)
        if most is None or not 2 <= most <= _MAX_BINS:
            raise InputError(f"bins={shown(bins)}: expected a whole number from 2 to {_MAX_BINS:,}.")
        named = _named(columns)
        edges = {}
        for name, values in named.items():
            finite = values[np.isfinite(values)]
            if not finite.size:
                raise InputError(f"columns[{name!r}]: none of {values.size:,} rows is a finite number.")
            edges[name] = _edges(finite[:: max(1, finite.size // _SAMPLE)], most)
        made = cls(edges, {name: np.zeros(inner.size + 2, np.int64) for name, inner in edges.items()})
        made.add(named)
        return made

    def empty(self) -> Sketch:
        """A sketch with the same bins and no counts."""
        return Sketch(dict(self.edges), {name: np.zeros_like(count) for name, count in self.counts.items()})

    def add(self, columns: ColumnsLike) -> None:
        """Count the values of all names that are there; other names are ignored. For one thread at a time."""
        for name, values in _named(columns).items():
            if name in self.edges:
                self.counts[name][:] += _counted(self.edges[name], values)

    def merge(self, other: Sketch) -> Sketch:
        """The sum of two sketches; `InputError` where their bins differ.

        >>> one = Sketch.of({"r": [1.0, 2.0, 3.0]}, bins=2)
        >>> one.merge(one).counts["r"].tolist()
        [2, 4, 0]
        """
        same = self.edges.keys() == other.edges.keys() and all(
            np.array_equal(self.edges[name], other.edges[name]) for name in self.edges
        )
        if not same:
            raise InputError("merge(): the sketches have different bins; expected two that began as the same empty().")
        return Sketch(dict(self.edges), {name: self.counts[name] + other.counts[name] for name in self.counts})

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON; `from_dict` reads them."""
        parts = {
            name: {"edges": self.edges[name].tolist(), "counts": self.counts[name].tolist()} for name in self.edges
        }
        return {"format": _FORMAT, "schema": 1, "columns": parts}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Sketch:
        """The sketch of `to_dict`; `InputError` for anything else.

        >>> Sketch.from_dict(Sketch.of({"r": [1.0, 2.0]}, bins=2).to_dict()).counts["r"].tolist()
        [1, 1, 0]
        """
        wrong = "from_dict: expected what Sketch.to_dict returns"
        if not isinstance(document, Mapping) or document.get("format") != _FORMAT or document.get("schema") != 1:
            raise InputError(f"{wrong}, with the format {_FORMAT!r}.")
        try:
            parts = dict(document["columns"])
            edges = {str(name): np.array(part["edges"], np.float64) for name, part in parts.items()}
            counts = {str(name): np.array(part["counts"], np.int64) for name, part in parts.items()}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{wrong} ({type(error).__name__}: {error}).") from None
        for name, inner in edges.items():
            fits = inner.ndim == 1 and counts[name].shape == (inner.size + 2,) and bool((counts[name] >= 0).all())
            if not fits or not np.isfinite(inner).all() or (np.diff(inner) <= 0).any():
                raise InputError(f"{wrong}: {name!r} has edges that do not ascend, or counts that do not fit them.")
        return cls(edges, counts)

    def __repr__(self) -> str:
        parts = (f"{name}: {int(count.sum()):,} in {count.size - 1} bins" for name, count in self.counts.items())
        return f"Sketch({', '.join(parts)})"


def _named(columns: ColumnsLike) -> dict[str, Floats]:
    named = by_name(columns)
    if named is None:
        raise InputError(f"columns is {type(columns).__name__}; expected {{name: (n,) numbers}}.")
    out: dict[str, Floats] = {}
    for name, values in named.items():
        try:
            out[name] = np.asarray(values, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"columns[{name!r}] holds something that is not a number ({error}).") from None
        if out[name].ndim != 1:
            raise InputError(f"columns[{name!r}] has shape {out[name].shape}; expected (n,) numbers.")
    return out


def _edges(sample: Floats, bins: int) -> Floats:
    """Ascending inner edges of bins of about equal counts; a value that fills a bin does not share it with larger ones.

    Without the second part, a column that is 0 for 97 % of the rows would have a single bin, and no drift.
    """
    inner, times = np.unique(np.quantile(sample, np.linspace(0.0, 1.0, bins + 1)[1:-1]), return_counts=True)
    values = np.unique(sample)
    if values.size == 1:
        return np.append(values, np.maximum(np.nextafter(values, np.inf), values + 1e-9 * np.abs(values)))
    filling = inner[(times > 1) | (inner <= values[0])]
    filling = filling[filling < values[-1]]
    larger = values[np.searchsorted(values, filling, side="right")]
    apart = np.searchsorted(inner, larger, side="right") > np.searchsorted(inner, filling, side="right")
    made = np.union1d(inner, larger[~apart])
    return np.asarray(made[made > values[0]])


def _counted(edges: Floats, values: Floats) -> npt.NDArray[np.int64]:
    """(n_bins + 1,) numbers of values in each bin, and of missing ones."""
    place = np.searchsorted(edges, values, side="right")
    place[~np.isfinite(values)] = edges.size + 1
    return np.bincount(place, minlength=edges.size + 2)
