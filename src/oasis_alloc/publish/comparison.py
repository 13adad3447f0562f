"""Two policies compared: prices by constraint and label, weights, rules, items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.text_tables import cut, number

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy
    from oasis_alloc.serving.data import PolicyData, SlateRule

FORMAT, SCHEMA = "oasis_alloc.policy_difference", 1
_WIDTH = 60  # columns of a name
Row = dict[str, Any]


def differences(before: Policy, after: Policy) -> dict[str, Any]:
    """What differs between two policies, as texts and numbers for JSON; equal parts are left out.

    `prices` are sorted by the size of their change, the largest first. A constraint or label that only one of the two
    has is null in the other.
    """
    one, other = before.data, after.data
    ids = [set(range(data.n_items)) if data.items is None else set(data.items) for data in (one, other)]
    document = {
        "format": FORMAT,
        "schema": SCHEMA,
        "before": _about(one),
        "after": _about(other),
        "weights": _changed(_weights(one), _weights(other), "column"),
        "prices": sorted(_prices(one, other), key=_size, reverse=True),
        "slate": _changed(_rules(one.slate), _rules(other.slate), "rule"),
        "items": {"added": len(ids[1] - ids[0]), "removed": len(ids[0] - ids[1])},
        "same": one.policy_id == other.policy_id,
    }
    return dict(jsonable(document))


def as_text(document: Mapping[str, Any], limit: int) -> str:
    """The differences for a terminal, with at most `limit` prices."""
    before, after = document["before"], document["after"]
    if document["same"]:
        return f"policy {before['policy_id']} on both sides: the same prices, weights and rules"
    lines = [f"policy {before['policy_id']} and {after['policy_id']}"]
    lines += [
        f"  {name:11s} {before[name]} and {after[name]}"
        for name in ("status", "gap", "violation", "valid_until")
        if before[name] != after[name]
    ]
    items = document["items"]
    if items["added"] or items["removed"]:
        lines.append(f"  items       {items['added']:,} added, {items['removed']:,} removed")
    for row in document["slate"]:
        lines.append(f"  {row['rule']:11s} {_shown(row['before'])} and {_shown(row['after'])}")
    for row in document["weights"]:
        lines.append(f"  weight of {row['column'] or '1'}: {_shown(row['before'])} and {_shown(row['after'])}")
    prices = document["prices"]
    if prices:
        lines.append(f"  {len(prices):,} prices differ" + (f", the largest {limit:,}:" if len(prices) > limit else ":"))
    for row in prices[:limit]:
        where = row["constraint"] if row["label"] is None else f"{row['constraint']}, {row['label']}"
        lines.append(f"    {cut(where, _WIDTH)}: {_shown(row['before'])} and {_shown(row['after'])}")
    return "\n".join(lines)


def _about(data: PolicyData) -> Row:
    certificate = data.certificate
    return {
        "policy_id": data.policy_id, "created": data.created, "valid_until": data.valid_until,
        "status": certificate.status, "value": certificate.value, "gap": certificate.gap,
        "violation": certificate.violation,
    }  # fmt: skip


def _weights(data: PolicyData) -> dict[Any, float]:
    out: dict[Any, float] = {}
    for column, weight in data.weights:
        out[column] = out.get(column, 0.0) + weight
    return out


def _rules(rule: SlateRule) -> dict[str, Any]:
    """The rules by name; numbers by user as a digest of their distribution."""
    out: dict[str, Any] = {"size": rule.size, "at_least": rule.at_least}
    out |= {f"at_most {key}": most for key, most in rule.at_most.items()}
    out |= {f"diminishing {key}": [*step.steps.tolist(), step.slope] for key, step in rule.diminishing.items()}
    if rule.keep is not None:
        out[f"keep {rule.keep[0]}"] = rule.keep[1]
    if rule.slot_weights is not None:
        out["slot_weights"] = rule.slot_weights.tolist()
    for name, sizes in (("size by user", rule.size_by_user), ("at_least by user", rule.at_least_by_user)):
        if sizes is not None:
            values, counts = np.unique(sizes, return_counts=True)
            out[name] = dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))
    return out


def _changed(before: Mapping[Any, Any], after: Mapping[Any, Any], what: str) -> list[Row]:
    return [
        {what: name, "before": before.get(name), "after": after.get(name)}
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _prices(before: PolicyData, after: PolicyData) -> Iterator[Row]:
    one, other = _by_name(before), _by_name(after)
    for name in dict.fromkeys([*one, *other]):
        for row in _changed(one.get(name, {}), other.get(name, {}), "label"):
            yield {"constraint": name, **row}


def _by_name(data: PolicyData) -> dict[str, dict[Any, float]]:
    return {
        constraint.name: {
            data.label(constraint.keys, codes): price
            for codes, price in zip(constraint.groups, constraint.price.tolist(), strict=True)
        }
        for constraint in data.constraints
    }


def _size(row: Row) -> float:
    return abs(float(row["after"] or 0.0) - float(row["before"] or 0.0))


def _shown(value: Any) -> str:
    return number(value, 4) if isinstance(value, float) else "none" if value is None else str(value)
