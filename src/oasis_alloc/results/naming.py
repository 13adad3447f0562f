"""Names next to labels: what a person calls a campaign that the data know as an id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.labels import same, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import ProblemError

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem

Names = Mapping[str, Mapping[Any, str]]  # {key: {label as it is looked up: name}}


def checked_names(problem: Problem, names: object) -> dict[str, dict[Any, str]]:
    """Names by key and label, as `Solution.with_names` takes them; raises `ProblemError` for anything else."""
    candidates = problem.candidates
    known = [*candidates.items, *candidates.users]
    if not isinstance(names, Mapping):
        raise ProblemError(f"with_names({shown(names)}): expected {{key: {{label: name}}}}.")
    out: dict[str, dict[Any, str]] = {}
    for key, by_label in names.items():
        if key not in known:
            raise ProblemError(f"with_names: neither items nor users have a key {key!r}.{did_you_mean(key, known)}")
        if not isinstance(by_label, Mapping):
            raise ProblemError(f"with_names: the names of {key!r} are {shown(by_label)}; expected {{label: name}}.")
        out[key] = {same(label): str(name) for label, name in by_label.items()}
    return out


def keys_by_name(problem: Problem) -> dict[str, tuple[str, ...]]:
    """The keys that each constraint or function has its groups by."""
    return {name: function.measure.by for name, function in zip(problem.names, problem.functions, strict=True)}


def named(by: tuple[str, ...], label: Any, names: Names) -> str:
    """A label as Python writes it, with the name that it has.

    >>> named(("campaign",), "c-1", {"campaign": {"c-1": "Spring"}}), named(("campaign",), 7, {})
    ("'c-1' Spring", '7')
    >>> named(("market", "campaign"), ("US", "c-1"), {"campaign": {"c-1": "Spring"}})
    "('US', 'c-1') Spring"
    """
    words = " ".join(name for _, name in _parts(by, label, names) if name)
    return f"{label!r} {words}" if words else repr(label)


def plain_label(by: tuple[str, ...], label: Any, names: Names) -> str:
    """The same without quotes and brackets, for an axis or a column of a frame; nothing for the group of everything.

    >>> plain_label(("market", "campaign"), ("US", "c-1"), {"campaign": {"c-1": "Spring"}}), plain_label((), None, {})
    ('US, c-1 Spring', '')
    """
    if label is None and not by:
        return ""
    return ", ".join(f"{part} {name}" if name else str(part) for part, name in _parts(by, label, names))


def _parts(by: tuple[str, ...], label: Any, names: Names) -> list[tuple[Any, str]]:
    """(part of the label, its name or nothing) for every key."""
    keys = by if isinstance(label, tuple) and len(by) == len(label) > 1 else by[:1] or ("",)
    parts = label if len(keys) > 1 else (label,)
    if not names:
        return [(part, "") for part in parts]
    return [(part, names.get(key, {}).get(same(part), "")) for key, part in zip(keys, parts, strict=True)]
