"""The library and the host in Java find the same labels equal: the table of test_jvm_host.py, in Python."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from test_jvm_host import EQUAL, LABELS, of_every_kind

import oasis_alloc as oa

GIVEN: dict[str, Any] = {
    "Integer 1": 1, "Long 1": np.int64(1), "Short 1": np.int16(1), "Byte 1": np.int8(1),
    "AtomicInteger 1": 1, "BigInteger 1": 1, "StringBuilder 1": "1", "Character 1": "1", "enum": "ONE",
    "Double 1.0": 1.0, "BigDecimal 1.00": Decimal("1.00"),
    "true": True, "false": np.False_, "0": 0, "-0.0": -0.0, "text 1": "1", "text 1.0": "1.0", "0.1": 0.1,
    "BigDecimal 0.1": Decimal("0.1"), "float 0.1": np.float32(0.1), "2^53 + 1": 2**53 + 1,
    "double 2^53 + 1": float(2**53 + 1), "2^64 - 1": np.uint64(2**64 - 1), "-1": -1, "NaN": float("nan"),
    "infinity": float("inf"), "1e999999999": Decimal("1e999999999"), "null": None, "date": date(2026, 1, 2),
    "midnight": datetime(2026, 1, 2), "instant": datetime(2026, 1, 2, 10, 30, 0, 500_000, tzinfo=UTC),
}  # fmt: skip


@pytest.mark.parametrize("label", EQUAL)
def test_labels_are_equal_by_type_as_in_java(label: str) -> None:
    policy = oa.Policy(of_every_kind())
    for kind, of in LABELS.items():
        equal = EQUAL[label].get(kind)
        expected = 0.0 if equal is None else 1.0 + of.index(equal)
        score = policy.score([-1], {"r": [0.0]}, user={kind: GIVEN[label]})
        assert 0.0 - float(score[0]) == expected, kind


def test_ids_of_several_kinds_are_served_though_python_finds_some_equal() -> None:
    ids = [1, True, "1", 2.5, (1, "a"), (True, "a")]
    cands = oa.Candidates.from_arrays([0, 6], range(6), {"r": np.arange(6) / 10}, item_ids=ids)
    policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
    assert policy.encode(ids).tolist() == [0, 1, 2, 3, 4, 5]
    assert policy.encode([np.True_]).tolist() == [1]
    assert policy.encode([1.0]).tolist() == [0]
