"""One logged decision: its members, as an object, as JSON, and as a row of Arrow."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.errors import InputError, require
from oasis_alloc.publish.decisions.members import check_members

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy
    from oasis_alloc.serving.explain.explanation import Explanation

FORMAT, SCHEMA = "oasis_alloc.decisions", 1
_TWO_64 = float(2**64)


@suggesting
@dataclass(frozen=True, eq=False, kw_only=True)
class Decision(ByFields):
    """One logged decision; `docs/decision-logs.md` has the members as columns of Parquet and as JSON.

    Attributes
    ----------
    request, time, rate
        The id of the request, UNIX seconds, and the share of requests that were logged.
    policy_id, mode
        The policy that decided, with its overlay (`<id>+<sequence>`) or decay (`<id>~0.875`); the mode of the store.
    user, labels
        A hash of the user's id or None, and `{key: label}` of the user.
    items, columns
        The candidates' ids, and `{name: numbers}` of the request.
    scores
        Priced scores; None where they were not logged: the policy gives them again.
    organic
        The name of the column by which the host ranks; `organic_scores` has its numbers.
    slate, propensities
        Positions in `items`, best first, and the probability of each to be shown, or None.
    k, pinned, excluded
        The number of slots or None, pinned positions in order, and `{position: reason}` of what was excluded.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> one = oa.Decision(request="r1", time=0.0, policy_id="p", items=["a", "b"], columns={"r": [0.9, 0.5]}, slate=[0])
    >>> one.shown, one.to_dict()["slate"]
    (['a'], [0])
    """

    request: str
    time: float
    policy_id: str
    items: Sequence[Any]
    columns: Mapping[str, Sequence[float]]
    slate: Sequence[int]
    mode: str = "fresh"
    user: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    scores: Sequence[float] | None = None
    organic: str | None = None
    propensities: Sequence[float] | None = None
    k: int | None = None
    pinned: Sequence[int] = ()
    excluded: Mapping[int, str] = field(default_factory=dict)
    rate: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", FrozenMapping(dict(self.labels)))
        object.__setattr__(self, "columns", FrozenMapping(dict(self.columns)))
        object.__setattr__(self, "excluded", FrozenMapping(dict(self.excluded)))

    @property
    def shown(self) -> list[Any]:
        """The ids of the slate, best first."""
        return [self.items[place] for place in self.slate]

    @property
    def organic_scores(self) -> Sequence[float] | None:
        """The host's own scores, None if the request does not have them."""
        return None if self.organic is None else self.columns.get(self.organic)

    def to_dict(self) -> dict[str, Any]:
        """The members in the form of JSON, as in a line of a `.jsonl` file."""
        out = dict(jsonable({one.name: getattr(self, one.name) for one in fields(self)}))
        out["excluded"] = [[int(place), str(reason)] for place, reason in self.excluded.items()]
        return out

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Decision:
        """The decision of a line of JSON; unknown members are left out. InputError if it is not a decision."""
        known = {one.name for one in fields(cls)}
        try:
            given = {name: value for name, value in found.items() if name in known}
            given["excluded"] = {int(place): str(reason) for place, reason in given.get("excluded") or ()}
            check_members(given, given["excluded"])
            return cls(**{name: value for name, value in given.items() if value is not None or name in _NULLABLE})
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"this is not a logged decision: {error}") from error

    def explain(self, policy: Policy) -> Explanation:
        """Why this was shown: `Policy.explain` of the policy that decided, with what it was given.

        Raises `InputError` if the policy has another id. `Decisions.policy_of` finds it in a directory.
        """
        if policy.policy_id != self.policy_id:
            raise InputError(f"the decision was made by policy {self.policy_id!r}; this is {policy.policy_id!r}.")
        if policy.data.items is None and any(isinstance(item, str) for item in self.items):
            raise InputError(f"request {self.request!r}: its ids are texts, and the items of the policy are numbers.")
        items = policy.encode(self.items) if policy.data.items is not None else np.asarray(self.items, np.int64)
        return policy.explain(
            items,
            dict(self.columns),
            user=dict(self.labels) or None,
            k=self.k,
            pinned=list(self.pinned) or None,
            exclude=sorted(self.excluded) or None,
        )


_NULLABLE = ("user", "scores", "organic", "propensities", "k")


def is_sampled(request: str, rate: float) -> bool:
    """Whether a request is logged at a rate: the same in every process and language.

    The first 8 bytes of the SHA-256 of the id, as an unsigned big-endian integer, divided by 2^64, are below the rate.

    >>> is_sampled("r1", 1.0), is_sampled("r1", 0.0)
    (True, False)
    """
    return rate >= 1.0 or int.from_bytes(hashlib.sha256(request.encode()).digest()[:8], "big") / _TWO_64 < rate


def hashed(user: object, secret: bytes) -> str:
    """A user's id as 32 hexadecimal digits of its HMAC-SHA256."""
    return hmac.new(secret, str(user).encode(), "sha256").hexdigest()[:32]


def arrow_schema() -> Any:
    """The columns of a Parquet file."""
    pa = require("pyarrow", "parquet")
    numbers, places = pa.list_(pa.float64()), pa.list_(pa.int32())
    return pa.schema(
        [
            ("request", pa.string()), ("time", pa.float64()), ("policy_id", pa.string()), ("mode", pa.string()),
            ("user", pa.string()), ("labels", pa.string()), ("items", pa.list_(pa.int64())),
            ("ids", pa.list_(pa.string())), ("columns", pa.map_(pa.string(), numbers)), ("scores", numbers),
            ("organic", pa.string()), ("slate", places), ("propensities", numbers), ("k", pa.int32()),
            ("pinned", places), ("excluded", places), ("reasons", pa.list_(pa.string())), ("rate", pa.float64()),
        ],
        metadata={"format": FORMAT, "schema": str(SCHEMA)},
    )  # fmt: skip


def as_table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Decisions as an Arrow table; members are those of `Decision`, arrays or lists."""
    pa = require("pyarrow", "parquet")
    schema = arrow_schema()
    of_text = [len(row["items"]) > 0 and isinstance(row["items"][0], str) for row in rows]
    numbers = [None if text else row["items"] for row, text in zip(rows, of_text, strict=True)]
    texts = [list(row["items"]) if text else None for row, text in zip(rows, of_text, strict=True)]
    labels = [json.dumps(jsonable(row["labels"])) if row["labels"] else None for row in rows]
    columns: dict[str, Any] = {
        "items": _lists(pa, numbers, pa.int64()),
        "ids": pa.array(texts, pa.list_(pa.string())),
        "columns": _maps(pa, [row["columns"] for row in rows]),
        "labels": pa.array(labels, pa.string()),
        "excluded": _lists(pa, [list(row["excluded"]) for row in rows], pa.int32()),
        "reasons": pa.array([list(row["excluded"].values()) for row in rows], pa.list_(pa.string())),
    }
    for name in ("scores", "propensities"):
        columns[name] = _lists(pa, [row[name] for row in rows], pa.float64())
    for name in ("slate", "pinned"):
        columns[name] = _lists(pa, [row[name] for row in rows], pa.int32())
    for part in schema:
        if part.name not in columns:
            columns[part.name] = pa.array([row[part.name] for row in rows], part.type)
    return pa.table({part.name: columns[part.name] for part in schema}, schema=schema)


def decisions_of(table: Any) -> Iterable[Decision]:
    """The decisions of a table."""
    for row in table.to_pylist():
        ids = row.pop("ids")
        places, reasons = row.pop("excluded") or [], row.pop("reasons") or []
        row["items"] = row["items"] if ids is None else ids
        row["columns"] = dict(row["columns"])
        row["labels"] = json.loads(row["labels"]) if row["labels"] else {}
        row["pinned"] = row["pinned"] or ()
        yield Decision(**row, excluded=dict(zip(places, reasons, strict=True)))


def _lists(pa: Any, rows: Sequence[Any], kind: Any) -> Any:
    """Lists of numbers, None for null, from one array of all of them; the usual cases without a loop in Python."""
    if all(row is None for row in rows):
        return pa.nulls(len(rows), pa.list_(kind))
    lengths = np.fromiter((0 if row is None else len(row) for row in rows), np.int64, len(rows))
    ends = np.concatenate([[0], np.cumsum(lengths)])
    some = [row for row in rows if row is not None and len(row)]
    dtype = kind.to_pandas_dtype()
    values = np.concatenate(some).astype(dtype, copy=False) if some else np.empty(0, dtype)
    has_nulls = any(row is None for row in rows)
    mask = np.array([row is None for row in rows] + [False]) if has_nulls else None
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32(), mask=mask), pa.array(values, kind))


def _maps(pa: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    ends = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    names = pa.array([name for row in rows for name in row], pa.string())
    values = _lists(pa, [values for row in rows for values in row.values()], pa.float64())
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), names, values)
