"""An overlay: the prices by which a policy differs between two solves, small enough to send every few seconds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import SnapshotError
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.formula import Formula, formula_of

FORMAT, SCHEMA = "oasis_alloc.overlay", 1

Entries = tuple[tuple[int, int, float], ...]
"""(number of a term or constraint, row of its groups, price that it has instead)."""


@suggesting
@dataclass(frozen=True, eq=False)
class Overlay(ByFields):
    """Prices by key for one policy; made by `pacer.overlay()`, applied by `policy.overlaid(overlay)`.

    `docs/snapshot.md` specifies the document that `to_json` writes and `from_json` reads.

    >>> import oasis_alloc as oa
    >>> overlay = oa.Overlay("e359f93b8b2f4a64", 1764547200.0, 3, terms=((0, 2, 0.25),))
    >>> oa.Overlay.from_json(overlay.to_json()).terms
    ((0, 2, 0.25),)
    """

    policy_id: str
    created: float  # UNIX seconds
    sequence: int  # of the pacer: a higher one replaces a lower one
    terms: Entries = ()
    constraints: Entries = ()

    def __len__(self) -> int:
        return len(self.terms)

    def to_json(self) -> str:
        """The overlay as one JSON document; numbers are the shortest that read back as the same float64."""
        return json.dumps(
            {
                "format": FORMAT, "schema": SCHEMA, "policy_id": self.policy_id, "created": self.created,
                "sequence": self.sequence, "terms": [list(entry) for entry in self.terms],
                "constraints": [list(entry) for entry in self.constraints],
            },
            separators=(",", ":"), allow_nan=False,
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str | bytes) -> Overlay:
        """Read a document of `to_json`; raises `SnapshotError` for anything else."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SnapshotError(f"overlay: not a JSON document ({error}).", "not a snapshot") from None
        if not isinstance(given, Mapping) or given.get("format") != FORMAT:
            raise SnapshotError(f'overlay: "format" is not "{FORMAT}".', "not a snapshot")
        schema = as_whole(given.get("schema"))
        if schema is None or schema < 1:
            raise SnapshotError('overlay: "schema" is not a whole number >= 1.')
        if schema > SCHEMA:
            raise SnapshotError(
                f"overlay: schema {schema} is newer than {SCHEMA}; upgrade this reader.", "newer schema"
            )
        created, sequence, policy_id = (
            as_real(given.get("created")),
            as_whole(given.get("sequence")),
            given.get("policy_id"),
        )
        if created is None or not math.isfinite(created) or sequence is None or not isinstance(policy_id, str):
            raise SnapshotError(
                'overlay: expected "policy_id" (text), "created" (number) and "sequence" (whole number).'
            )
        parts = [_entries(name, given.get(name, [])) for name in ("terms", "constraints")]
        return cls(policy_id, created, sequence, *parts)


def _entries(name: str, given: object) -> Entries:
    if not isinstance(given, list):
        raise SnapshotError(f'overlay: "{name}" is not a list of [number, row, price].')
    out = []
    for k, entry in enumerate(given):
        parts = entry if isinstance(entry, list) and len(entry) == 3 else (None, None, None)
        number, row, price = as_whole(parts[0]), as_whole(parts[1]), as_real(parts[2])
        if number is None or row is None or price is None:
            raise SnapshotError(f'overlay: "{name}" has {entry!r:.60} at {k}; expected [number, row, price].')
        if not math.isfinite(price):
            raise SnapshotError(f'overlay: "{name}": price {k} is {price}; expected finite numbers.', "not finite")
        out.append((number, row, price))
    return tuple(out)


def overlay_of(
    data: PolicyData, created: float, sequence: int, terms: Sequence[Floats], constraints: Sequence[Floats]
) -> Overlay:
    """What differs between a policy and the same at other prices, (n_groups,) per term and per constraint."""
    return Overlay(
        data.policy_id, created, sequence,
        _changes([term.price for term in data.terms], terms),
        _changes([constraint.price for constraint in data.constraints], constraints),
    )  # fmt: skip


def _changes(old: Sequence[Floats], new: Sequence[Floats]) -> Entries:
    return tuple(
        (number, row, float(after[row]))
        for number, (before, after) in enumerate(zip(old, new, strict=True))
        for row in np.flatnonzero(before != after).tolist()
    )


def overlaid(data: PolicyData, overlay: Overlay) -> PolicyData:
    """A policy's data at the prices of an overlay; raises `SnapshotError` for one that is of another policy."""
    if overlay.policy_id != data.policy_id:
        raise SnapshotError(
            f"the overlay is for policy {overlay.policy_id}, and this is {data.policy_id}; expected one that a pacer "
            "of this policy made.",
            "another policy",
        )
    terms = _replaced("terms", [term.price for term in data.terms], overlay.terms)
    constraints = _replaced("constraints", [one.price for one in data.constraints], overlay.constraints)
    return at_prices(data, terms, constraints, f"{data.policy_id}+{overlay.sequence}")


def at_prices(data: PolicyData, terms: Sequence[Floats], constraints: Sequence[Floats], name: str) -> PolicyData:
    """The data with other prices; what depends on the rest alone (classes of items, checks) is shared."""
    formula = formula_of(data)
    changed = replace(
        data,
        policy_id=name,
        terms=tuple(replace(term, price=readonly(price)) for term, price in zip(data.terms, terms, strict=True)),
        constraints=tuple(
            replace(one, price=readonly(price)) for one, price in zip(data.constraints, constraints, strict=True)
        ),
    )
    known: dict[str, Any] = changed.__dict__
    other: Formula = formula.with_prices(changed)
    known["_formula"], known["_is_checked"] = other, True
    return changed


def _replaced(what: str, prices: Sequence[Floats], entries: Entries) -> list[Floats]:
    out = [price.copy() for price in prices]
    for number, row, price in entries:
        if not (0 <= number < len(out) and 0 <= row < out[number].size):
            raise SnapshotError(
                f"the overlay has a price for row {row} of {what} {number}, and the policy does not have that row.",
                "shape",
            )
        out[number][row] = price
    return out
