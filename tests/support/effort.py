"""What a test does in every run, and what only in a full one: examples of Hypothesis, combinations of a wide table."""

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import product
from typing import Any

import pytest
from hypothesis import settings

# What the profile "full" gives a test that asks for no number, and what Hypothesis gives by itself.
FULL = 100
# Below this a test says little; who asks for fewer gets all of them.
LEAST = 3
# Tests that asked for their number of examples while they ran, by the name that pytest gives the environment.
ASKED: set[str] = set()


def examples(full: int) -> int:
    """`full` examples in the profile "full"; in others, the share of it that the profile allows."""
    ASKED.add(os.environ.get("PYTEST_CURRENT_TEST", ""))
    share = full * settings().max_examples // FULL
    return min(full, max(LEAST, share))


def diagonal(*tables: Mapping[str, Any] | Iterable[str], every: int = 1) -> list[Any]:
    """Parameters of every combination of entries; those off a diagonal have the mark `full`.

    An entry is a value with a name, or a name alone. The diagonal has every entry of every table: as many
    combinations as the longest table has entries. With `every`, only the first of so many of them are in every run.
    """
    entries = [table if isinstance(table, Mapping) else {name: name for name in table} for table in tables]
    names = [list(table) for table in entries]
    longest = max(map(len, names))
    kept = {tuple(of[k % len(of)] for of in names) for k in range(0, longest, every)}
    return [
        pytest.param(
            *(table[name] for table, name in zip(entries, chosen, strict=True)),
            id="-".join(chosen),
            marks=() if chosen in kept else pytest.mark.full,
        )
        for chosen in product(*names)
    ]


def full_only(*values: Any) -> list[Any]:
    """Parameters with the mark `full`, of a test that other ones represent in every run; a tuple is several."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.full) for value in values
    ]


def leave_few(items: Iterable[pytest.Item]) -> None:
    """Give the mark `full` to what plain pytest leaves out of tests with `@pytest.mark.few(n)`.

    Their cases cost much and differ little, so `n` of them are in every run. They are spread over the table, and where
    a test has several tables, they have as many values as n cases can have.
    """
    tables: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("full"):
            tables.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in tables.values():
        (n,) = cases[0].get_closest_marker("few").args  # type: ignore[union-attr]  # they are here because they have it
        kept = few([{(name, _same(value)) for name, value in _parameters(item).items()} for item in cases], n)
        for k, item in enumerate(cases):
            if k not in kept:
                item.add_marker(pytest.mark.full)


def few(cases: Sequence[Set[Any]], n: int) -> list[int]:
    """Positions of n cases, given as sets of values: each adds as many new values as one can, the first one first."""
    # Multiples of the golden ratio, modulo 1, are spread evenly, however many there are.
    spread = sorted(range(len(cases)), key=lambda k: k * (5**0.5 - 1) / 2 % 1)
    kept: list[int] = []
    seen: set[Any] = set()
    while len(kept) < min(n, len(cases)):
        new = max((k for k in spread if k not in kept), key=lambda k: len(cases[k] - seen))
        kept.append(new)
        seen |= cases[new]
    return sorted(kept)


def _parameters(item: pytest.Item) -> dict[str, Any]:
    called = getattr(item, "callspec", None)
    return called.params if called else {}


def _same(value: Any) -> Any:
    """What is equal for equal values, in all workers alike: they compare plain ones, and others by identity."""
    return repr(value) if isinstance(value, str | int | float | tuple | None) else id(value)
