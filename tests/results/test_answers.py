"""An id column may have any name, those of the answers' own columns too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pytest
from effort import diagonal

import oasis_alloc as oa
from oasis_alloc.__main__ import main

NAMES = ["x", "x_", "propensity", "place", "place_propensity", "boost", "score", "rank", "user", "item", "r", "index"]


def solved(user: str, item: str, backend: str, **slate: Any) -> oa.Solution:
    pairs: Any = pd.DataFrame({user: [7, 7, 8, 8], item: [1, 2, 1, 2], "relevance": [0.9, 0.5, 0.8, 0.1]})
    if backend != "pandas":
        pairs = getattr(nw.from_native(pairs), f"to_{'arrow' if backend == 'pyarrow' else backend}")()
    c = oa.Candidates.from_frames(pairs, user=user, item=item)
    return oa.solve(oa.Problem(c, oa.total("relevance"), slate=oa.Slate(1, **slate)))


def read(frame: Any) -> dict[str, list[Any]]:
    opened: Any = nw.from_native(frame, eager_only=True)
    return {name: opened[name].to_list() for name in opened.columns}


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("side", "name", "backend"), diagonal(["user", "item"], NAMES, ["pandas", "polars", "pyarrow"])
)
def test_ids_of_any_name_are_in_all_answers(side: str, name: str, backend: str, tmp_path: Path) -> None:
    user, item = (name, "other") if side == "user" else ("other", name)
    solution = solved(user, item, backend)
    x, propensity = ("x_" if name == "x" else "x"), ("propensity_" if name == "propensity" else "propensity")
    shown = read(solution.to_frame())
    assert shown == {user: [7, 8], item: [1, 1], x: pytest.approx([1.0, 1.0])}
    assert read(solution.round().to_frame()) == {user: [7, 8], item: [1, 1], propensity: pytest.approx([1.0, 1.0])}
    assert list(read(solved(user, item, backend, slot_weights=[0.5]).round().to_frame())) == [
        user, item, *(f"{n}_" if n == name else n for n in ("place", "propensity", "place_propensity"))
    ]  # fmt: skip
    solution.policy().to_parquet(solution.problem.candidates, tmp_path / "out.parquet")
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert list(out.columns) == [user, item, *(f"{n}_" if n == name else n for n in ("boost", "score", "rank"))]
    assert out[user].tolist() == [7, 7, 8, 8]
    assert out[item].tolist() == [1, 2, 1, 2]


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("name", ["x", "x_", "relevance_"])
def test_the_command_line_overwrites_neither_ids_nor_columns(tmp_path: Path, kind: str, name: str) -> None:
    pd.DataFrame({name: [7, 8], "item": [1, 1], "relevance": [0.9, 0.8]}).to_csv(tmp_path / "pairs.csv", index=False)
    (tmp_path / "problem.toml").write_text(
        f"maximize = 'total(\"relevance\")'\n[candidates]\npairs = 'pairs.csv'\nuser = '{name}'\n"
    )
    assert main(["solve", str(tmp_path / "problem.toml"), "--out", str(tmp_path), "--format", kind]) == 0
    shown = (pd.read_csv if kind == "csv" else pd.read_parquet)(tmp_path / f"allocation.{kind}")
    assert list(shown.columns) == [name, "item", "x_" if name == "x" else "x", "relevance"]
    assert shown[name].tolist() == [7, 8]


def test_a_column_called_x_is_kept_next_to_the_probability(tmp_path: Path) -> None:
    pairs = pd.DataFrame({"user": [7, 8], "item": [1, 1], "x": [0.9, 0.8], "x_": [3.0, 4.0]})
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    (tmp_path / "problem.toml").write_text("maximize = 'total(\"x\")'\n[candidates]\npairs = 'pairs.csv'\n")
    assert main(["solve", str(tmp_path / "problem.toml"), "--out", str(tmp_path), "--format", "csv"]) == 0
    shown = pd.read_csv(tmp_path / "allocation.csv")
    assert list(shown.columns) == ["user", "item", "x__", "x", "x_"]
    assert np.allclose(shown["x__"], 1.0)
    assert shown["x"].tolist() == [0.9, 0.8]
