"""Draws from arrays, functions and frames; what is wrong with them is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import oasis_alloc as oa
from oasis_alloc.signals.uncertainty.seen_pairs import SeenPairs

CANDS = oa.Candidates.from_arrays(
    [0, 2, 3], [0, 1, 1], {"r": [0.9, 0.5, 0.8]}, user_ids=["ann", "zoe"], item_ids=["x", "y"]
)


def table() -> pd.DataFrame:
    """Two draws of three pairs."""
    return pd.DataFrame(
        {
            "draw": ["a"] * 3 + ["b"] * 3,
            "user": ["ann", "ann", "zoe"] * 2,
            "item": ["x", "y", "y"] * 2,
            "r": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        }
    )


def visits() -> pd.DataFrame:
    return pd.DataFrame({"draw": ["a", "a", "b", "b"], "user": ["ann", "zoe"] * 2, "supply": [1.0, 2.0, 3.0, 4.0]})


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_frames_are_read_in_any_order(backend: str) -> None:
    shuffled = table().sample(frac=1.0, random_state=3).sort_values("draw", kind="stable").reset_index(drop=True)
    frames: list[Any] = [shuffled, visits().iloc[[1, 0, 3, 2]].reset_index(drop=True)]
    if backend != "pandas":
        library = pytest.importorskip(backend)
        frames = [library.from_pandas(one) if backend == "polars" else library.Table.from_pandas(one) for one in frames]
    draws = oa.Draws.from_frame(CANDS, frames[0], frames[1])
    assert draws.columns["r"].tolist() == [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    assert draws.supply is not None
    assert draws.supply.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_the_same_label_is_the_same_draw_in_both_frames() -> None:
    draws = oa.Draws.from_frame(CANDS, table(), visits().iloc[[3, 0, 2, 1]])  # here the draw "b" appears first
    assert draws.columns["r"].tolist() == [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    assert draws.supply is not None
    assert draws.supply.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_function_is_called_with_a_generator_per_draw() -> None:
    def draw(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
        return {"r": rng.random(3)}, 1.0 + rng.random(2)

    one, two = (oa.Draws.from_function(CANDS, draw, number=5, rng=4) for _ in range(2))
    assert one.number == 5
    assert (one.columns["r"] == two.columns["r"]).all()
    assert one.supply is not None
    assert one.supply.shape == (5, 2)
    assert len(np.unique(one.columns["r"])) == 15


def frame(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[], object]:
    return lambda: oa.Draws.from_frame(CANDS, change(table()))


def users(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[], object]:
    return lambda: oa.Draws.from_frame(CANDS, users=change(visits()))


def function(*drawn: Any) -> Callable[[], object]:
    left = list(drawn)
    return lambda: oa.Draws.from_function(CANDS, lambda rng: left.pop(0), number=2)


TWO = np.ones((2, 3))
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "one draw": (lambda: oa.Draws(CANDS, {"r": TWO[:1]}), "1 draw; expected 2 or more, or nothing is known"),
    "no draws": (lambda: oa.Draws(CANDS), "neither columns nor supply"),
    "column": (lambda: oa.Draws(CANDS, {"s": TWO}), "draws of 's': there is no such column"),
    "shape": (lambda: oa.Draws(CANDS, {"r": np.ones((2, 2))}), r"expected \(n_draws, n_pairs\) = \(n_draws, 3\)"),
    "nan": (lambda: oa.Draws(CANDS, {"r": [[1, 1, 1], [1, 1, np.nan]]}), r"draw 1, pair 2 \(user 1\) is nan"),
    "numbers": (lambda: oa.Draws(CANDS, supply=[[1.0, 2.0]] * 3, columns={"r": TWO}), "has 2, supply has 3"),
    "supply": (lambda: oa.Draws(CANDS, supply=[[1.0, 2.0], [0.0, 1.0]]), "draw 1, user 0 has the weight 0.0"),
    "text": (lambda: oa.Draws(CANDS, {"r": [["a"] * 3] * 2}), "expected numbers"),
    "type": (lambda: oa.Draws(3), "expected oa.Candidates, got int"),  # type: ignore[arg-type]
    "frame lacks a user": (users(lambda t: t.iloc[:3]), r"draw 1 .* lacks user 'zoe' \(1 such cases\)"),
    "frame lacks a pair": (frame(lambda t: t.drop(index=4)), "draw 1 .* lacks user 'ann', item 'y'"),
    "frame has a pair twice": (frame(lambda t: pd.concat([t, t.iloc[[0]]])), "more than one row for user 'ann'"),
    "frame of one draw": (frame(lambda t: t.iloc[:3]), "has 1 draw; expected 2 or more"),
    "unknown user": (frame(lambda t: t.replace({"user": {"zoe": "bob"}})), "row 2 is 'bob', which is not a user"),
    "no candidate": (
        frame(lambda t: t.assign(item="x")),
        "row 2 has user 'zoe' and item 'x', which are not",
    ),
    "no column": (frame(lambda t: t.drop(columns="draw")), "pairs has no column 'draw'"),
    "nothing to draw": (frame(lambda t: t.rename(columns={"r": "q"})), "none of the candidates' columns"),
    "draws of users alone": (
        lambda: oa.Draws.from_frame(CANDS, table(), visits().replace({"draw": {"b": "c"}})),
        r"users has the draw 'c', and pairs lacks it \(2 such draws\)",
    ),
    "no candidates": (
        lambda: oa.Draws.from_frame(None, table()),  # type: ignore[arg-type]
        "got None; expected oa.Candidates",
    ),
    "no frame": (lambda: oa.Draws.from_frame(CANDS, 3), "pairs is int; expected a pandas"),  # type: ignore[arg-type]
    "function of lists": (function([1.0], [1.0]), "draw 0 is list; expected"),
    "function of other columns": (function({"r": [1, 2, 3]}, {}), "draw 1 has other columns"),
    "function of a shape": (function({"r": [1, 2]}), r"expected \(n_pairs,\) = \(3,\) numbers"),
    "function once": (lambda: oa.Draws.from_function(CANDS, lambda rng: {"r": [1, 2, 3]}, 1), "2 draws or more"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(oa.InputError, match=message):
        make()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_totals_of_shown_pairs_are_those_of_all_draws(dtype: type) -> None:
    rng = np.random.default_rng(4)
    drawn = rng.normal(size=(7, 3000)).astype(dtype)
    seen = SeenPairs(drawn)
    for size in (1, 900, 1200, 0, 3000):
        pairs, weight = np.sort(rng.choice(3000, size, replace=False)), rng.random(size)
        assert np.allclose(seen.totals(pairs, weight), drawn[:, pairs].astype(np.float64) @ weight, rtol=1e-12)
    twice = np.array([5, 5, 2999])
    assert np.allclose(seen.totals(twice, np.ones(3)), drawn[:, twice].astype(np.float64).sum(axis=1), rtol=1e-12)
