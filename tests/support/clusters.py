"""Pairs as partitions, problems over them, and the comparison of solutions, for tests of engines on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import oasis_alloc as oa
from oasis_alloc.engines.ray import cluster
from oasis_alloc.engines.ray.cluster import Cluster
from oasis_alloc.engines.ray.worker import Worker

RAY = [  # marks of tests on a real cluster
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'"),
    # of Ray itself: its sockets and processes are closed after Python looks
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

N_USERS, N_ITEMS, DEGREE = 1_000, 60, 15


def pairs_frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(N_USERS), DEGREE)
    item = np.concatenate([rng.choice(N_ITEMS, DEGREE, replace=False) for _ in range(N_USERS)])
    frame = pd.DataFrame(
        {
            "user": user,
            "item": item,
            "relevance": rng.random(user.size, np.float32),
            "promotion": rng.random(user.size, np.float32),
            "market": np.array(["DE", "SE", "US"])[user % 3],
        }
    )
    return frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)


class _Candidates:
    """The candidates in memory, made at the first call."""

    items = pd.DataFrame(
        {"item": np.arange(N_ITEMS), "campaign": np.arange(N_ITEMS) // 6, "artist": np.arange(N_ITEMS) % 12}
    )

    def __call__(self) -> oa.Candidates:
        frame = pairs_frame()
        users = frame[["user", "market"]].drop_duplicates()
        return oa.Candidates.from_frames(frame.drop(columns="market"), users=users, items=self.items)


candidates_of = _Candidates()


def files_of(folder: Path) -> oa.Partitions:
    """The same pairs in four partitions."""
    pairs_frame().to_parquet(folder / "pairs.parquet")
    return oa.partition(folder / "pairs.parquet", folder / "out", user_keys=["market"], rows_per_partition=4_000)


def _limits(candidates: oa.Candidates) -> oa.Problem:
    campaigns = oa.exposure(by="campaign")
    limits = [
        (campaigns <= 210.0).named("caps"),
        (oa.exposure(by=("market", "campaign")) >= 50.0).named("floors"),
        oa.total("promotion") >= 900.0,
        oa.exposure(by="artist") <= 0.1 * oa.exposure(),
    ]
    return oa.Problem(candidates, oa.total("relevance") + 0.3 * oa.total("promotion"), limits, oa.Slate(2))


def _curved(candidates: oa.Candidates) -> oa.Problem:
    gain = oa.total("relevance") + 5.0 * oa.log(oa.exposure(by="artist"), offset=1.0)
    return oa.Problem(candidates, gain, [(oa.exposure(by="campaign") <= 210.0).named("caps")], oa.Slate(2))


def _rules(candidates: oa.Candidates) -> oa.Problem:
    slate = oa.Slate(4, at_most={"artist": 1}, diminishing={"campaign": 0.1})
    limits = [(oa.exposure(by="campaign") <= 420.0).named("caps"), oa.total("promotion") >= 1_900.0]
    return oa.Problem(candidates, oa.total("relevance"), limits, slate)


def _supply(candidates: oa.Candidates) -> oa.Problem:
    weight = np.linspace(0.5, 2.0, N_USERS)
    limits = [(oa.exposure(by="campaign") <= 270.0).named("caps")]
    return oa.Problem(candidates, oa.total("relevance"), limits, oa.Slate(2), supply=weight)


def _conflict(candidates: oa.Candidates) -> oa.Problem:
    limits = [(oa.exposure(by="campaign") >= {0: 700.0, 1: 800.0}).named("floors"), oa.exposure() <= 1_200.0]
    return oa.Problem(candidates, oa.total("relevance"), limits, oa.Slate(2))


def _kept(candidates: oa.Candidates) -> oa.Problem:
    slate = oa.Slate(4, at_most={"campaign": 1}, at_least=2, keep={"relevance": 0.8})
    limits = [(oa.exposure(by="campaign") <= 420.0).named("caps"), oa.total("promotion") >= 1_900.0]
    return oa.Problem(candidates, oa.total("relevance") + 0.4 * oa.total("promotion"), limits, slate)


def _slots(candidates: oa.Candidates) -> oa.Problem:
    slate = oa.Slate(3, slot_weights=[1.0, 0.7, 0.7], keep={"relevance": 0.5})
    limits = [(oa.exposure(by="campaign") <= 330.0).named("caps")]
    return oa.Problem(candidates, oa.total("promotion"), limits, slate, supply=np.linspace(0.5, 2.0, N_USERS))


def _steady(candidates: oa.Candidates) -> oa.Problem:
    """Close to what was shown to some other users."""
    few = pairs_frame()
    few = few[few["user"] % 3 > 0]
    before = oa.Candidates.from_frames(few.drop(columns="market"), items=_Candidates.items)
    shown = oa.solve(oa.Problem(before, oa.total("promotion"), slate=oa.Slate(2)))
    limits = [(oa.exposure(by="campaign") <= 210.0).named("caps")]
    gain = oa.total("relevance") + oa.stay_close(shown, weight=0.2)
    return oa.Problem(candidates, gain, limits, oa.Slate(2, slot_weights=[1.0, 0.8]))


def fine(candidates: oa.Candidates) -> oa.Problem:
    """With a key that is too fine for a table, if a test says that no table is small enough."""
    limits = [(oa.exposure(by="campaign") <= 210.0).named("caps"), oa.exposure(by=("market", "artist")) <= 45.0]
    return oa.Problem(candidates, oa.total("relevance"), limits, oa.Slate(2, keep={"promotion": 0.3}))


problems: dict[str, Callable[[oa.Candidates], oa.Problem]] = {
    "limits": _limits, "curved": _curved, "rules": _rules, "supply": _supply, "conflict": _conflict,
    "kept share": _kept, "slots": _slots, "steady": _steady,
}  # fmt: skip


def same(one: oa.Solution, other: oa.Solution, bits: bool = True) -> None:
    """Two solutions are the same: to the last bit, or to 1e-9."""
    assert one.status is other.status
    assert [str(conflict) for conflict in one.conflicts] == [str(conflict) for conflict in other.conflicts]
    numbers = [[s.value, s.bound, *np.concatenate([*s.prices.values(), *s.totals.values()])] for s in (one, other)]
    if not bits:
        scale = np.maximum(1.0, np.abs(numbers[1]))
        assert np.nanmax(np.abs(np.subtract(*numbers)) / scale) <= 1e-9
        return
    assert np.array_equal(*numbers, equal_nan=True)
    assert one.passes == other.passes
    assert np.array_equal(one.pairs, other.pairs)
    assert np.array_equal(one.x, other.x)


def clusters_of(kind: type[Worker], monkeypatch: pytest.MonkeyPatch) -> list[Cluster]:
    """The clusters that start from now on, of actors of a class that a module of tests has."""
    import_module("ray").cloudpickle.register_pickle_by_value(sys.modules[kind.__module__])
    monkeypatch.setattr(cluster, "Worker", kind)
    return clusters_that_start(monkeypatch)


def clusters_that_start(monkeypatch: pytest.MonkeyPatch) -> list[Cluster]:
    """A list that has the clusters of solves from now on, as they start."""
    out: list[Cluster] = []
    made = Cluster.__init__

    def remember(self: Cluster, *settings: Any) -> None:
        made(self, *settings)
        out.append(self)

    monkeypatch.setattr(Cluster, "__init__", remember)
    return out
