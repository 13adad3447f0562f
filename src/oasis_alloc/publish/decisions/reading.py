"""Logged decisions, read from Parquet and JSON files, and joined with what came of them."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.labels import shown
from oasis_alloc.common.remote_path import Place, as_place, copied_from, files_in, text_at
from oasis_alloc.errors import InputError, require
from oasis_alloc.publish.decisions.schema import FORMAT, SCHEMA, Decision, as_table, decisions_of

if TYPE_CHECKING:
    from oasis_alloc.common.types import Table
    from oasis_alloc.policy import Policy
    from oasis_alloc.publish.directory import PolicyDirectory
    from oasis_alloc.serving.overlay import Overlay


class Decisions:
    """Logged decisions, in the order of their times; made by `read_decisions`.

    `table` has them as an Arrow table. `len`, iteration and numbers in brackets give them as `Decision`.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     decisions = oa.read_decisions(folder)
    >>> len(decisions), decisions.shown("pyarrow").num_rows
    (0, 0)
    """

    def __init__(self, table: Table) -> None:
        self.table: Any = table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Decision]:
        for start in range(0, len(self), 1_000):
            yield from decisions_of(self.table.slice(start, 1_000))

    def __getitem__(self, number: int) -> Decision:
        place = range(len(self))[number]
        (found,) = decisions_of(self.table.slice(place, 1))
        return found

    def __repr__(self) -> str:
        return f"Decisions({len(self):,})"

    def request(self, request: str) -> Decision:
        """The decision of a request, the last one if there are several; InputError if there is no such request."""
        pc = require("pyarrow.compute", "parquet")
        places = np.flatnonzero(pc.equal(self.table["request"], request).to_numpy(zero_copy_only=False))
        if not places.size:
            raise InputError(f"there is no logged decision of request {shown(request)}.")
        return self[int(places[-1])]

    def shown(self, backend: str = "pandas", outcomes: Table | None = None) -> Any:
        """One row per item that was shown: request, time, policy, item, place, score, propensity, and its outcome.

        Parameters
        ----------
        backend
            "pandas", "polars" or "pyarrow".
        outcomes
            A frame with the columns `request` and `item`, at most one row for both, and others, such as `streams`. They
            are added to the rows; an item without an outcome has nulls.

        Raises
        ------
        InputError
            For outcomes without these columns, with two rows for an item of a request, or with columns that are there
            already.
        """
        pa = require("pyarrow", "parquet")
        rows: dict[str, list[Any]] = {name: [] for name in _SHOWN}
        for decision in self:
            for place, position in enumerate(decision.slate):
                rows["request"].append(decision.request)
                rows["time"].append(decision.time)
                rows["user"].append(decision.user)
                rows["policy_id"].append(decision.policy_id)
                rows["mode"].append(decision.mode)
                rows["item"].append(decision.items[position])
                rows["place"].append(place)
                rows["score"].append(None if decision.scores is None else decision.scores[position])
                organic = decision.organic_scores
                rows["organic"].append(None if organic is None else organic[position])
                rows["propensity"].append(None if decision.propensities is None else decision.propensities[place])
                rows["rate"].append(decision.rate)
        if outcomes is not None:
            rows |= _joined(rows, outcomes)
        table = pa.table(rows)
        if backend == "pyarrow":
            return table
        if backend == "polars":
            return require("polars", "parquet").from_arrow(table)
        if backend != "pandas":
            raise InputError(f"backend={shown(backend)}: expected 'pandas', 'polars' or 'pyarrow'.")
        return table.to_pandas()

    def policy_of(self, decision: Decision, policies: PolicyDirectory, overlay: Overlay | None = None) -> Policy:
        """The policy that decided, from a directory of published policies, at the prices of then.

        An overlay is not in a directory; give the one whose sequence the id names. Prices that decayed with age are
        those of the factor in the id, which has three digits. Raises `InputError` if the directory no longer has the
        policy, and for an overlay that is missing.
        """
        rest, _, level = decision.policy_id.partition("~")
        base, plus, sequence = rest.partition("+")
        versions, there = policies.history(), policies.available()
        found = [version for version in versions if version.policy_id == base and version.digest in there]
        if not found:
            raise InputError(f"{policies!r} has no policy {base!r}; of old versions, the policies have been removed.")
        policy = policies.load(found[-1].version)
        if plus:
            if overlay is None or str(overlay.sequence) != sequence:
                raise InputError(f"the policy had the overlay {sequence}; give the overlay with this sequence.")
            policy = policy.overlaid(overlay)
        if not level:
            return policy
        return policy.organic_only() if level == "organic" else policy.decayed(float(level))


_SHOWN = (
    "request", "time", "user", "policy_id", "mode", "item", "place", "score", "organic", "propensity", "rate",
)  # fmt: skip


@suggesting
def read_decisions(
    folder: str | os.PathLike[str], *, since: float | None = None, until: float | None = None
) -> Decisions:
    """Read the decisions that a service has logged.

    Parameters
    ----------
    folder
        A folder of `DecisionLog`, with `.parquet` files, or with `.jsonl` files of hosts in other languages.
    since, until
        UNIX seconds: decisions from `since` to before `until`; None for no limit.

    Returns
    -------
    Decisions
        In the order of their times.

    Raises
    ------
    InputError
        If the folder does not exist, or a file is damaged or is not a log of decisions.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oa.read_decisions(folder)
    Decisions(0)
    """
    pa, pc = require("pyarrow", "parquet"), require("pyarrow.compute", "parquet")
    if not isinstance(folder, (str, os.PathLike)) or not as_place(folder).is_dir():
        raise InputError(f"read_decisions({shown(folder)}): there is no such folder.")
    limits = []
    for name, given, otherwise in (("since", since, -math.inf), ("until", until, math.inf)):
        number = otherwise if given is None else as_real(given)
        if number is None or number != number:
            raise InputError(f"read_decisions({name}={shown(given)}): expected UNIX seconds, or None.")
        limits.append(number)
    tables = [
        as_table([]),
        *(_read(path) for path in files_in(as_place(folder)) if path.name[0] not in "._"),
    ]
    table = pa.concat_tables(tables)
    at = table["time"]
    table = table.filter(pc.and_(pc.greater_equal(at, limits[0]), pc.less(at, limits[1])))
    return Decisions(table.take(pc.sort_indices(table["time"])).combine_chunks())


def _read(path: Place) -> Any:
    if path.name.endswith(".jsonl"):
        return as_table([_row(path, number, line) for number, line in enumerate(_lines(path), 1) if line.strip()])
    if not path.name.endswith(".parquet"):
        return as_table([])
    parquet = require("pyarrow.parquet", "parquet")
    try:
        with copied_from(path) as local:
            table = parquet.read_table(local)
        about = table.schema.metadata or {}
        if about.get(b"format") != FORMAT.encode():
            raise InputError(f"{path} is not a log of decisions.")
        if int(about[b"schema"]) > SCHEMA:
            raise InputError(
                f"{path} has schema {int(about[b'schema'])}, newer than {SCHEMA}; update oasis_alloc here."
            )
        return table.cast(as_table([]).schema)
    except InputError:
        raise
    except Exception as error:  # Arrow has errors of its own for damaged files
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from error


def _lines(path: Place) -> list[str]:
    try:
        return text_at(path).split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from error


def _row(path: Place, number: int, line: str) -> Mapping[str, Any]:
    try:
        decision = Decision.from_dict(json.loads(line))
        return {name: getattr(decision, name) for name in Decision.__dataclass_fields__}
    except (ValueError, RecursionError) as error:  # InputError is a ValueError
        raise InputError(f"{path}, line {number:,}: {error}") from error


def _joined(rows: Mapping[str, list[Any]], outcomes: Any) -> dict[str, list[Any]]:
    """The further columns of outcomes, by row."""
    import narwhals.stable.v2 as nw

    frame = nw.from_native(outcomes, eager_only=True)
    for name in ("request", "item"):
        if name not in frame.columns:
            raise InputError(f"outcomes: there is no column {name!r}; expected request, item, and others.")
    others = [name for name in frame.columns if name not in ("request", "item")]
    for name in others:
        if name in rows:
            raise InputError(f"outcomes: the column {name!r} is one of the decisions; rename it.")
    place: dict[Any, int] = {}
    for row, key in enumerate(zip(frame["request"].to_list(), frame["item"].to_list(), strict=True)):
        if key in place:
            raise InputError(f"outcomes: rows {place[key]:,} and {row:,} are of the same item of request {key[0]!r}.")
        place[key] = row
    logged = list(zip(rows["request"], rows["item"], strict=True))
    if len(set(logged)) < len(logged):
        (request, item), _ = Counter(logged).most_common(1)[0]
        raise InputError(
            f"the log has the item {shown(item)} of request {shown(request)} twice: outcomes would count twice. Remove "
            "copies of files, or give each request an id of its own."
        )
    wanted = [place.get(key) for key in logged]
    out = {}
    for name in others:
        values = frame[name].to_list()
        out[name] = [None if row is None else values[row] for row in wanted]
    return out
