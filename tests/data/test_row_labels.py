"""Columns with row labels are matched by label: in what fits and estimates of signals take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import oasis_alloc as oa
from oasis_alloc.data.row_labels import in_one_order, in_one_order_by

RNG = np.random.default_rng(0)
N = 400
FRAME = pd.DataFrame(
    {
        "score": RNG.random(N), "market": RNG.choice(["SE", "DE"], N), "logged": RNG.uniform(0.2, 0.9, N),
        "target": RNG.uniform(0.2, 0.9, N),
    },
    index=[f"r{k}" for k in range(N)],
)  # fmt: skip
FRAME["id"] = FRAME.index
FRAME["outcome"] = (RNG.random(N) < FRAME["score"]).astype(float)
SHUFFLED = FRAME.sample(frac=1.0, random_state=1)


def test_the_first_says_the_order_and_arrays_have_none() -> None:
    one, other, third = in_one_order(a=FRAME["score"], b=SHUFFLED["score"], c=[1, 2])
    assert one is FRAME["score"] or one.equals(FRAME["score"])
    assert other.equals(one)
    assert third == [1, 2]
    _, by = in_one_order_by({"market": SHUFFLED["market"]}, a=FRAME["score"])
    assert by["market"].tolist() == FRAME["market"].tolist()
    assert in_one_order_by("market", a=None) == [None, "market"]


def test_rows_with_equal_labels_in_the_same_order_may_be_doubled() -> None:
    twice = pd.Series([1.0, 2.0], index=["a", "a"])
    assert in_one_order(a=twice, b=twice + 1.0)[1].tolist() == [2.0, 3.0]
    with pytest.raises(oa.InputError, match="b has other row labels"):
        in_one_order(a=twice, b=pd.Series([1.0, 2.0], index=["a", "b"]))


def calibration(first: pd.DataFrame, second: pd.DataFrame) -> Any:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    made = oa.Calibration.fit(first["score"], second["outcome"], {"market": second["market"]}, weights=second["target"])
    return made.to_dict(), made.apply(first["score"], {"market": second["market"]}).tolist()


def reliability(first: pd.DataFrame, second: pd.DataFrame) -> Any:
    found = oa.Reliability.of(first["score"], second["outcome"], weights=second["target"])
    return found.brier, found.calibration_error


def selected(first: pd.DataFrame, second: pd.DataFrame) -> Any:
    found = oa.SelectedError.from_randomized(
        first["score"], second["outcome"], second["logged"], selected=second["score"] > 0.5, clusters=second["id"]
    )
    return found.expected, found.occurred


def off_policy(first: pd.DataFrame, second: pd.DataFrame) -> Any:
    found = oa.off_policy(first["outcome"], second["logged"], second["target"], predicted=second["score"],
                          predicted_target=second["target"])  # fmt: skip
    return [one.value for one in found.estimates]


@pytest.mark.few(2)
@pytest.mark.parametrize("call", [calibration, reliability, selected, off_policy])
def test_columns_of_frames_in_another_order_give_the_same(call: Any) -> None:
    assert call(FRAME, SHUFFLED) == call(FRAME, FRAME)
    with pytest.raises(oa.InputError, match="other row labels"):
        call(FRAME, SHUFFLED.set_axis([f"s{k}" for k in range(N)], axis=0))
