"""What a test does in every run, and what only in a full one: examples of Hypothesis, combinations of a wide table."""

import os
from collections.abc import Iterable, Mapping
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
