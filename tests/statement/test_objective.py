"""How functions and objectives are written and added up, and that what they are given is copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.statement.functions.base import Function

E = oa.exposure(by="key")


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        (oa.log(E), 'log(exposure(by="key"), offset=1)'),
        (5 * oa.log(E, 0.1), '5 * log(exposure(by="key"), offset=0.1)'),
        (2 * (oa.log(E) / 4), '0.5 * log(exposure(by="key"), offset=1)'),
        (np.float64(2.0) * oa.log(E), '2 * log(exposure(by="key"), offset=1)'),
        (np.float32(2.0) * oa.log(E) * np.int64(2), '4 * log(exposure(by="key"), offset=1)'),
        (-oa.square_deviation(E, 3), '-square_deviation(exposure(by="key"), 3)'),
        (-0.1 * oa.square_deviation(E, {"a": 1.0}), "-0.1 * square_deviation(exposure(by=\"key\"), {'a': 1.0})"),
        (-oa.square_deviation(E, dict.fromkeys("abcd", 1)), '-square_deviation(exposure(by="key"), {4 labels})'),
        (-oa.square_deviation(E, [1, 2]), '-square_deviation(exposure(by="key"), array of 2)'),
        (oa.alpha_fair(E, 2), 'alpha_fair(exposure(by="key"), alpha=2, offset=0)'),
        (oa.entropy(E), 'entropy(exposure(by="key"))'),
        (2 * oa.entropy(E, 50), '2 * entropy(exposure(by="key"), total=50)'),
        (-oa.kl(E, [1, 2]), '-kl(exposure(by="key"), array of 2)'),
        (-3 * oa.kl(E, 1, total=9), '-3 * kl(exposure(by="key"), 1, total=9)'),
        (-oa.kl(E, dict.fromkeys("abcd", 1)), '-kl(exposure(by="key"), {4 labels})'),
        (0.5 * oa.reach(E), '0.5 * reach(exposure(by="key"), times=1)'),
        (oa.worst_off(E), 'worst_off(exposure(by="key"))'),
        (2 * oa.worst_off(E, 3), '2 * worst_off(exposure(by="key"), 3)'),
        (oa.worst_off(E, {"a": 1.0}), "worst_off(exposure(by=\"key\"), {'a': 1.0})"),
        (oa.gini_welfare(E), 'gini_welfare(exposure(by="key"))'),
        (9 * oa.gini_welfare(E, [2, 1]), '9 * gini_welfare(exposure(by="key"), array of 2)'),
    ],
)
def test_texts(stated: Function, text: str) -> None:
    assert str(stated) == text


R = oa.total("r")
LOG, SQUARE = oa.log(E), oa.square_deviation(E, 3)
BEFORE = oa.solve(oa.Problem(oa.Candidates.from_arrays([0, 1], [0], {"r": [1.0]}), oa.total("r")))
STAY = oa.stay_close(BEFORE, 0.25)


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (R + LOG, f'total("r") + {LOG}'),
        (LOG + R, f'total("r") + {LOG}'),
        (R - 0.1 * SQUARE, f'total("r") - 0.1 * {SQUARE}'),
        (LOG - SQUARE, f"{LOG} - {SQUARE}"),
        (-SQUARE + LOG, f"-{SQUARE} + {LOG}"),
        (2 * (R + LOG), f'2 * total("r") + 2 * {LOG}'),
        ((R + LOG) / 2, f'0.5 * total("r") + 0.5 * {LOG}'),
        (R - (SQUARE - LOG), f'total("r") - {SQUARE} + {LOG}'),
        ((R + LOG) - (SQUARE - R), f'2 * total("r") + {LOG} - {SQUARE}'),
        (LOG - (SQUARE - R), f'total("r") + {LOG} - {SQUARE}'),
        (sum([LOG, R, oa.exposure()]), f'total("r") + exposure() + {LOG}'),
        (np.float64(2) * (R + LOG), f'2 * total("r") + 2 * {LOG}'),
        (R + STAY, f'total("r") + {STAY}'),
        (STAY + R + LOG, f'total("r") + {LOG} + {STAY}'),
        (LOG + STAY - SQUARE, f"{LOG} - {SQUARE} + {STAY}"),
        (STAY - SQUARE, f"-{SQUARE} + {STAY}"),
        (2 * (R + STAY), '2 * total("r") + stay_close(previous, weight=0.5)'),
        (sum([STAY / 0.5, R]), 'total("r") + stay_close(previous, weight=0.5)'),
        (R + 3 * STAY + STAY, f'total("r") + stay_close(previous, weight=0.75) + {STAY}'),
    ],
)
def test_objectives_add_up(objective: Any, text: str) -> None:
    assert str(objective) == text


def test_targets_are_copied() -> None:
    targets = np.array([1.0, 2.0])
    stated = -oa.square_deviation(E, targets)
    targets[:] = 99.0
    assert stated.bind(["a", "b"]).value(np.array([1.0, 2.0])) == 0.0
    mapping = {"a": 1.0, "b": 2.0}
    stated = -oa.square_deviation(E, mapping)
    mapping["a"] = 99.0
    assert stated.bind(["a", "b"]).value(np.array([1.0, 2.0])) == 0.0
