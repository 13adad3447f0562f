"""Suggestions for unknown names that are long."""

from __future__ import annotations

import random
import time

import pytest

from oasis_alloc.common.nearest import _BLOCK, Spelled, nearest
from oasis_alloc.data.by_group import Labels

LONG_NAMES = {
    "end": ["x" * 120 + f"{k:06d}" for k in range(1_000)],
    "beginning": [f"{k:06d}" + "y" * 120 for k in range(1_000)],
    "middle": [
        f"https://cdn.example.com/artists/{k:06d}/2026/europe/campaigns/with/a/common/tail/of/letters"
        for k in range(1_000)
    ],
}


@pytest.mark.parametrize("place", LONG_NAMES)
@pytest.mark.parametrize("labels", [list, Labels])
def test_the_right_one_of_many_long_labels_is_suggested_wherever_they_differ(place: str, labels: type) -> None:
    names = LONG_NAMES[place]
    for typo in (names[777][:20] + "Z" + names[777][20:], names[777][:9] + "Q" + names[777][10:], names[777].upper()):
        assert nearest(typo, labels(names)) == [names[777]]
        assert nearest(typo, names[700:800]) == [names[777]]  # few names
    assert nearest("a thing of another kind " * 9, labels(names)) == []


def test_a_label_of_any_length_is_compared_in_little_time() -> None:
    names = [f"{k}" + "ab" * 100_000 for k in range(300)]
    start = time.process_time()
    assert nearest("7" + "ba" * 100_000, names) != []
    assert nearest("z" * 10**6, names) == []
    assert time.process_time() - start < 20.0  # 0.2 s; hours if all letters of all names were compared


@pytest.mark.parametrize("length", [12, 126])
@pytest.mark.parametrize("ending", ["", "\n", "\nö", "ö"])
def test_two_typing_errors_are_found_wherever_names_are_in_a_block(length: int, ending: str) -> None:
    n, draw = 2 * _BLOCK + 7, random.Random(0)
    names = ["".join(draw.choices("abcdefgh", k=12)).ljust(length, "x") + ending * (k % 5 == 0) for k in range(n)]
    spelled = Spelled(names)
    for k in (0, 5, _BLOCK - 1, _BLOCK, 2 * _BLOCK - 1, n - 1):
        typo = "".join((names[k][:4], "-", names[k][5:8], "*", names[k][8:]))
        assert names[k] in [names[at] for at in spelled.alike(typo)]
