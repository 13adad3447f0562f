"""Sketches: counts in fixed bins and by label of what requests bring, small enough to keep, to add up, and to send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import as_listed
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import ColumnsLike, Floats, Ints, LabelsLike
from oasis_alloc.data.validation import by_name
from oasis_alloc.errors import InputError
from oasis_alloc.serving.schema import shown
from oasis_alloc.signals.drift.label_counts import LabelCounts

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.policy import Policy

SCORES = "(priced score)"  # what a store counts besides columns, where the reference has it
BOOSTS = "(boost)"
_FORMAT = "oasis_alloc.sketch"
_MAX_BINS = 1000
_SAMPLE = 1 << 20  # values from which edges are made: more would not move them


@suggesting
@dataclass(frozen=True, eq=False, repr=False)
class Sketch(ByFields):
    """Counts of values in fixed bins, by name, and of labels by key; made by `of` or `of_candidates`, filled by `add`.

    - `edges`: name -> (n_bins - 1,) ascending inner edges; a value v is in bin k if edges[k - 1] <= v < edges[k].
    - `counts`: name -> (n_bins + 1,) numbers of values in each bin, and last of missing ones: NaN and infinity.
    - `labels`: key of users -> its `labels`, and `counts` (n_labels + 2,) of each, of unseen labels, and of no label.

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
    labels: Mapping[str, LabelCounts] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: ColumnsLike, bins: int = 20, *, labels: Mapping[str, LabelsLike] | None = None) -> Sketch:
        """A sketch of these values, in bins of about equal counts: the data that a policy is built from.

        Parameters
        ----------
        columns
            `{name: (n,) numbers}`, such as `candidates.request_columns`; NaN and infinity count as missing.
        bins
            Maximum number of bins, 2 to 1,000. Equal values share a bin.
        labels
            `{key: labels}` of the users of requests, one label per request or per user; -1 and None are no label.

        Raises
        ------
        InputError
            For anything else, for a column without a finite number, a key with more than 10,000 labels, and a name that
            columns and labels have.

        Example
        -------
        >>> sketch = Sketch.of({"r": [1.0, 2.0]}, bins=2, labels={"market": ["SE", "DE", None]})
        >>> sketch.labels["market"].counts.tolist()
        [1, 1, 0, 1]
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
        counted = {key: LabelCounts.of(key, given) for key, given in _keyed(labels, named).items()}
        made = cls(edges, {name: np.zeros(inner.size + 2, np.int64) for name, inner in edges.items()}, counted)
        made.add(named)
        return made

    @classmethod
    def of_candidates(
        cls, candidates: Candidates, policy: Policy | None = None, *, bins: int = 20, keys: Iterable[str] | None = None
    ) -> Sketch:
        """The reference of a policy that was built from these candidates: their columns, users, scores and prices.

        Parameters
        ----------
        candidates
            In memory. Columns are those that requests bring; of many pairs, a million are looked at.
        policy
            Then "(priced score)" and "(boost)", which is what prices add to the organic column, are sketched as well.
        bins
            As in `of`.
        keys
            Keys of the users whose labels are counted, once per user with candidates; None for all with up to 10,000
            labels.

        Raises
        ------
        InputError
            For candidates in files, unknown keys, and candidates that the policy cannot score.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays(
        ...     [0, 2, 3], [0, 1, 0], {"r": [3.0, 2.0, 1.0]}, users={"market": ["SE", "DE"]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"))).policy()
        >>> oa.Sketch.of_candidates(cands, policy, bins=2)
        Sketch(r: 3 in 2 bins, (priced score): 3 in 2 bins, (boost): 3 in 3 bins, market: 2 with 2 labels)
        """
        from oasis_alloc.signals.drift.reference import columns_and_labels

        columns, labels = columns_and_labels(candidates, policy, keys)
        return cls.of(columns, bins, labels=labels)

    def empty(self) -> Sketch:
        """A sketch with the same bins and no counts."""
        return Sketch(
            dict(self.edges),
            {name: np.zeros_like(count) for name, count in self.counts.items()},
            {key: one.empty() for key, one in self.labels.items()},
        )

    def add(self, columns: ColumnsLike, labels: Mapping[str, LabelsLike] | None = None) -> None:
        """Count all names and keys that are there; others are ignored. For one thread at a time.

        `labels` has one label per request, as in `of`.
        """
        for name, values in _named(columns).items():
            if name in self.edges:
                self.counts[name][:] += _counted(self.edges[name], values)
        for key, given in (labels or {}).items():
            if key in self.labels:
                self.labels[key].add(as_listed(given))

    def merge(self, other: Sketch) -> Sketch:
        """The sum of two sketches; `InputError` where their bins or labels differ.

        >>> one = Sketch.of({"r": [1.0, 2.0, 3.0]}, bins=2)
        >>> one.merge(one).counts["r"].tolist()
        [2, 4, 0]
        """
        same = self.edges.keys() == other.edges.keys() and all(
            np.array_equal(self.edges[name], other.edges[name]) for name in self.edges
        )
        same = same and self.labels.keys() == other.labels.keys()
        if not same or not all(one.is_like(other.labels[key]) for key, one in self.labels.items()):
            raise InputError("merge(): the sketches have different bins; expected two that began as the same empty().")
        return Sketch(
            dict(self.edges),
            {name: self.counts[name] + other.counts[name] for name in self.counts},
            {key: one.merged(other.labels[key]) for key, one in self.labels.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON; `from_dict` reads them."""
        parts = {
            name: {"edges": self.edges[name].tolist(), "counts": self.counts[name].tolist()} for name in self.edges
        }
        labels = {key: one.to_dict() for key, one in self.labels.items()}
        return {"format": _FORMAT, "schema": 1, "columns": parts, "labels": labels}

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
            keys = dict(document.get("labels", {}))
            labels = {str(key): LabelCounts.from_dict(str(key), part) for key, part in keys.items()}
        except InputError as error:
            raise InputError(f"{wrong}: {error}") from None
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{wrong} ({type(error).__name__}: {error}).") from None
        for name, inner in edges.items():
            fits = inner.ndim == 1 and counts[name].shape == (inner.size + 2,) and bool((counts[name] >= 0).all())
            if not fits or not np.isfinite(inner).all() or (np.diff(inner) <= 0).any():
                raise InputError(f"{wrong}: {name!r} has edges that do not ascend, or counts that do not fit them.")
        return cls(edges, counts, labels)

    def __repr__(self) -> str:
        parts = [f"{name}: {int(count.sum()):,} in {count.size - 1} bins" for name, count in self.counts.items()]
        parts += [f"{key}: {int(of.counts.sum()):,} with {len(of.labels):,} labels" for key, of in self.labels.items()]
        return f"Sketch({', '.join(parts)})"


def boosts_of(scores: Floats, organic: npt.ArrayLike) -> Floats:
    """What prices add to the organic column, to the digits of float32.

    The further digits are those of the subtraction: equal prices would not be in one bin.
    """
    return (scores - np.asarray(organic, np.float64)).astype(np.float32).astype(np.float64)


def _keyed(labels: object, named: Mapping[str, object]) -> Mapping[str, Any]:
    if labels is not None and not isinstance(labels, Mapping):
        raise InputError(f"labels={shown(labels)}: expected {{key: (n,) labels}}.")
    for key in labels or {}:
        if key in named:
            raise InputError(f"labels: {key!r} is the name of a column too; expected other names for one of them.")
    return labels or {}


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
