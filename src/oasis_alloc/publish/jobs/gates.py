"""Gates on the result: what has to hold before a policy is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from oasis_alloc.publish.jobs.findings import Finding, not_possible, some

_Numbers = Mapping[str, Any]


def check_result(numbers: _Numbers, limits: Mapping[str, Any]) -> list[Finding]:
    """The findings of all gates that `limits`, the table [gates], names; `numbers` are those of the solve."""
    found: list[Finding] = []
    for name, limit in limits.items():
        found += _GATES[name](numbers, limit)
    return found


def gate_of(finding: Finding) -> str:
    """The gate that a finding belongs to: its first word.

    >>> gate_of(Finding("relevance worst", True))
    'relevance'
    """
    return finding.name.partition(" ")[0]


def _gap(numbers: _Numbers, limit: float) -> Iterator[Finding]:
    yield _at_most("gap", numbers["gap"], limit)


def _violation(numbers: _Numbers, limit: float) -> Iterator[Finding]:
    yield _at_most("violation", numbers["violation"], limit)


def _churn(numbers: _Numbers, limit: float) -> Iterator[Finding]:
    yield not_possible("churn", limit) if numbers["churn"] is None else _at_most("churn", numbers["churn"], limit)


def _promised(numbers: _Numbers, limit: float) -> Iterator[Finding]:
    shares = [(one["planned"] / one["promised"], one) for one in numbers["promised"]]
    bad = sorted((pair for pair in shares if not pair[0] >= limit), key=lambda pair: pair[0])
    where = [
        f"{one['constraint']} of {one['label']!r} plans {one['planned']:,.6g} of {one['promised']:,.6g}"
        for _, one in bad
    ]
    yield Finding(
        "promised", not bad, min((share for share, _ in shares), default=None), limit, some(where, len(where))
    )


def _prices_at_bounds(numbers: _Numbers, limit: float) -> Iterator[Finding]:
    found = numbers["prices_at_bounds"]
    share = len(found["at"]) / max(found["limits"], 1)
    where = some(found["at"], len(found["at"])) if share > limit else ()
    yield Finding("prices_at_bounds", share <= limit, share, limit, where)


def _relevance(numbers: _Numbers, limits: Mapping[str, Any]) -> Iterator[Finding]:
    found = numbers["relevance"]
    for name in ("mean", "worst"):
        if name in limits:
            yield Finding(f"relevance {name}", found[name] >= limits[name], found[name], limits[name])
    if "lowest" in limits:
        limit, by = limits["lowest"], found["by"]
        bad = sorted((share, label) for label, share in by.items() if share < limit)
        where = some((f"{label} {share:.4f}" for share, label in bad), len(bad))
        yield Finding(f"relevance by {limits['by']}", not bad, min(by.values(), default=None), limit, where)


def _canary(numbers: _Numbers, limits: Mapping[str, Any]) -> Iterator[Finding]:
    found = numbers.get("canary")
    if found is None or not found["requests"]:
        yield not_possible("canary", limits.get("changed"))
        return
    failed = found["failed"] / found["requests"]
    yield Finding(
        "canary answers", not found["failed"], failed, 0.0, (found["first_error"],) if found["failed"] else ()
    )
    if "changed" in limits:
        share = found["changed"] / found["requests"]
        yield Finding("canary changed", share <= limits["changed"], share, limits["changed"])


def _at_most(name: str, value: float | None, limit: float) -> Finding:
    return Finding(name, value is not None and value <= limit, value, limit)  # None is infinity, in JSON


_GATES: dict[str, Callable[[_Numbers, Any], Iterator[Finding]]] = {
    "gap": _gap, "violation": _violation, "churn": _churn, "promised": _promised,
    "prices_at_bounds": _prices_at_bounds, "relevance": _relevance, "canary": _canary,
}  # fmt: skip
