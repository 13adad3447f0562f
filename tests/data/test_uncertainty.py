"""Standard deviations of columns: read by name or as arrays; anything else is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import oasis_alloc as oa


def arrays(uncertainty: object) -> oa.Candidates:
    columns = {"r": [0.9, 0.5, 0.8], "sd": [0.1, 0.2, 0.0]}
    return oa.Candidates.from_arrays([0, 2, 3], [0, 1, 0], columns, uncertainty=uncertainty)  # type: ignore[arg-type]


def test_arrays_and_names_of_columns_are_taken() -> None:
    for given in ({"r": [0.1, 0.2, 0.0]}, {"r": "sd"}, {"r": np.array([0.1, 0.2, 0.0])}):
        cands = arrays(given)
        assert cands.uncertainty["r"].tolist() == [0.1, 0.2, 0.0]
        assert not cands.uncertainty["r"].flags.writeable
    assert dict(arrays(None).uncertainty) == {}


def test_rows_of_a_frame_are_sorted_as_its_pairs_are() -> None:
    frame = pd.DataFrame({"user": ["b", "a", "a"], "item": [2, 2, 1], "r": [0.5, 0.25, 1.0], "sd": [0.3, 0.2, 0.1]})
    for given in ({"r": "sd"}, {"r": frame["sd"]}, {"r": [0.3, 0.2, 0.1]}):
        cands = oa.Candidates.from_frames(frame, uncertainty=given)
        assert cands.columns["r"].tolist() == [1.0, 0.25, 0.5]
        assert cands.uncertainty["r"].tolist() == [0.1, 0.2, 0.3]


WRONG = {
    "negative": ({"r": [0.1, -0.2, 0.0]}, r"pair 1 \(user 0\) is -0.2 .* expected standard deviations >= 0"),
    "nan": ({"r": [0.1, 0.2, np.nan]}, r"pair 2 \(user 1\) is nan"),
    "infinite": ({"r": [np.inf, 0.2, 0.1]}, r"pair 0 \(user 0\) is inf"),
    "length": ({"r": [0.1]}, r"has 1 entries; expected 3 \(n_pairs"),
    "column": ({"s": [0.1, 0.2, 0.0]}, r"uncertainty\['s'\]: there is no such column"),
    "name": ({"r": "deviation"}, "no column 'deviation' of standard deviations"),
    "strings": ({"r": ["a", "b", "c"]}, "expected numbers"),
    "type": (0.1, "uncertainty is float; expected"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_standard_deviation_is_refused(name: str) -> None:
    given, message = WRONG[name]
    with pytest.raises(oa.InputError, match=message):
        arrays(given)
