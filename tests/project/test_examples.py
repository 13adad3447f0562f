"""The examples run on their real data, and what they claim holds."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import data_sets
import numpy as np
import pytest
from effort import full_only

import oasis_alloc as oa

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"{name}_example"] = module  # its dataclasses look for their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lastfm() -> Iterator[ModuleType]:
    """The example as a module."""
    try:
        yield load("lastfm")
    finally:
        del sys.modules["lastfm_example"]


def test_problem_to_slates_tells_the_whole_way(capsys: pytest.CaptureFixture[str]) -> None:
    module = load("problem_to_slates")
    said = capsys.readouterr().out
    assert module.solution.status is oa.Status.SOLVED
    assert module.drawn.totals["campaign floors"].sum() == pytest.approx(
        module.solution.totals["campaign floors"].sum(), abs=12
    )
    assert "shown at 1" in said
    assert "fresh" in said


@pytest.mark.full
def test_lastfm(
    lastfm: ModuleType, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (data_dir / "lastfm-2k" / "plays.parquet").is_file():
        pytest.skip(f"no lastfm-2k in {data_dir}; set OASIS_ALLOC_DATA to the directory that has it")
    pytest.importorskip("pyarrow", reason="the example reads Parquet files with pyarrow")
    outcomes, run = [], lastfm.run

    def kept(folder: Path) -> Any:
        outcomes.append(run(folder))
        return outcomes[0]

    monkeypatch.setattr(lastfm, "run", kept)
    assert lastfm.main([str(data_dir / "lastfm-2k")]) == 0
    out = capsys.readouterr().out
    after, cands = outcomes[0].after, outcomes[0].problem.candidates
    assert after.status is oa.Status.SOLVED
    assert after.gap <= 1e-4
    x, relevance = after.allocation, cands.columns["relevance"]

    # everything again from the allocation, without the library's own sums
    user = np.repeat(np.arange(cands.n_users), np.diff(cands.indptr))
    assert np.bincount(user, weights=x).max() <= lastfm.SLOTS + 1e-6
    most = sum(np.sort(part)[-lastfm.SLOTS :].sum() for part in np.split(relevance, cands.indptr[1:-1]))
    assert outcomes[0].before.value == pytest.approx(most, rel=1e-9)
    assert x @ relevance >= lastfm.GUARD * most * (1 - 1e-6)
    exposure = np.bincount(cands.item, weights=x, minlength=cands.n_items)
    assert outcomes[0].opted_in.size == lastfm.OPTED_IN
    assert exposure[outcomes[0].opted_in].min() >= lastfm.PROMISE - 1e-4
    assert exposure.max() <= lastfm.CAP + 1e-4
    # it was worth solving: without promotion, promises and caps are broken
    organic = np.bincount(cands.item, weights=outcomes[0].before.allocation, minlength=cands.n_items)
    assert organic[outcomes[0].opted_in].min() < lastfm.PROMISE
    assert organic.max() > lastfm.CAP

    reference = outcomes[0].reference
    assert reference.value <= after.bound + 1e-6 * abs(after.bound)
    assert after.value <= reference.bound + 1e-6 * abs(after.bound)
    assert reference.value == pytest.approx(after.value, rel=2e-4)

    def told(row: str) -> list[float]:
        line = next(line for line in out.splitlines() if line.strip().startswith(row))
        return [float(word.replace(",", "")) for word in re.findall(r"[\d,]+\.\d+|\d[\d,]*", line.replace(row, "", 1))]

    assert told("relevance  ")[:2] == pytest.approx([most, x @ relevance], abs=0.06)
    assert told("exposure of the most shown artist")[1] <= lastfm.CAP + 0.1
    model, popular = told("truncated SVD"), told("most popular")
    assert all(ours > 1.5 * theirs for ours, theirs in zip(model, popular, strict=True))
    assert str(after) in out
    assert max(len(line) for line in str(after).splitlines()) <= 100


@pytest.mark.full
def test_calibrated_films_come_nearer_to_what_they_promise(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (data_dir / "movielens-small" / "events.parquet").is_file():
        pytest.skip(f"no movielens-small in {data_dir}; set OASIS_ALLOC_DATA to the directory that has it")
    pytest.importorskip("pyarrow", reason="the example reads Parquet files with pyarrow")
    pytest.importorskip("sklearn", reason="the extra `signals`")
    found = load("calibrated_films").run(data_dir / "movielens-small")
    raw, calibrated, corrected = (promised / occurred - 1 for promised, occurred in found.values())
    assert raw > 0.1
    assert 0 < corrected < calibrated < 0.7 * raw
    assert "should occur (95 % interval, from sample splitting)" in capsys.readouterr().out


def test_examples_find_data_next_to_the_repository_or_where_they_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The path given, else the variable, else ../shared/data: one rule for all examples, and for tests."""
    near, told, given = (tmp_path / name for name in ("shared/data/set", "told/set", "given"))
    for folder in (near, told, given):
        folder.mkdir(parents=True)
        (folder / "events.parquet").touch()
    monkeypatch.setattr(data_sets, "__file__", str(tmp_path / "repository" / "examples" / "data_sets.py"))
    monkeypatch.delenv("OASIS_ALLOC_DATA", raising=False)
    assert data_sets.folder_of("set", "events") == near
    monkeypatch.setenv("OASIS_ALLOC_DATA", str(told.parent))
    assert data_sets.folder_of("set", "events") == told
    assert data_sets.folder_of("set", "events", given) == given
    assert capsys.readouterr().err == ""
    assert data_sets.folder_of("set", "visits", given) is None
    assert re.search(r"no visits\.parquet in \S*given; .* set tables, or set OASIS_ALLOC_DATA", capsys.readouterr().err)


def test_lastfm_says_how_to_get_at_the_data(
    lastfm: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OASIS_ALLOC_DATA", str(tmp_path))
    assert lastfm.main([]) == 2
    assert str(tmp_path / "lastfm-2k") in capsys.readouterr().err


def test_gini(lastfm: ModuleType) -> None:
    assert lastfm.gini(np.full(5, 3.0)) == pytest.approx(0.0)
    assert lastfm.gini(np.array([0.0, 0.0, 0.0, 1.0])) == pytest.approx(0.75)
    amounts = np.array([4.0, 1.0, 7.0])
    pairs = np.abs(amounts[:, None] - amounts).sum() / (2 * amounts.size**2 * amounts.mean())
    assert lastfm.gini(amounts) == pytest.approx(pairs)


def test_the_model_ranks_what_like_minded_users_hear(lastfm: ModuleType) -> None:
    """Two circles of users who hear the same artists; each user misses one, which the model puts first."""
    import scipy.sparse as sp

    heard = np.kron(np.eye(2), np.ones((6, 5))) * 3.0
    missed = [(u, 5 * (u // 6) + u % 5) for u in range(12)]
    for u, a in missed:
        heard[u, a] = 0.0
    relevance = lastfm.fit(sp.csr_array(heard), factors=2)
    assert relevance.min() >= 0
    assert relevance.max() <= 1
    assert (relevance[heard > 0] == 0).all()
    assert [int(row.argmax()) for row in relevance] == [a for _, a in missed]


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that examples import from beside them, as when they are run; forgotten again afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in ("lastfm", "ranking"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def ranking(beside: None) -> ModuleType:
    import importlib

    return importlib.import_module("ranking")


@pytest.fixture
def small_artists(beside: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "small_artists_example", None)  # so that it is taken out again
    return load("small_artists")


def tables(data_dir: Path, data_set: str, table: str) -> Path:
    pytest.importorskip("pyarrow", reason="the example reads Parquet files with pyarrow")
    if not (data_dir / data_set / f"{table}.parquet").is_file():
        pytest.skip(f"no {data_set} in {data_dir}; set OASIS_ALLOC_DATA to the directory that has it")
    return data_dir / data_set


def keeps_slates(x: Any, slots: int = 10) -> None:
    assert x.min() >= -1e-9
    assert x.max() <= 1 + 1e-9
    assert np.allclose(x.sum(axis=1), slots, atol=1e-6)


@pytest.mark.full
def test_small_artists(small_artists: ModuleType, data_dir: Path, tmp_path: Path) -> None:
    example = small_artists
    folder = tables(data_dir, "lastfm-2k", "plays")
    market, rows, judged = example.run(folder, n_users=150, weights=(0.1, 0.4, 1.0), shares=(0.15, 0.3))
    assert market.candidates.n_users == 150
    assert (np.diff(market.relevance, axis=1) <= 0).all()
    for row in rows:
        keeps_slates(row.x)
        assert row.gap is None or row.gap <= example.GAP
    assert np.array_equal(rows[0].x.sum(axis=0), np.repeat([150.0, 0.0], [10, market.relevance.shape[1] - 10]))

    def of(method: str, name: str) -> Any:
        found = [line[name] for row, line in zip(rows, judged, strict=True) if row.method == method]
        assert found
        return np.array(found)

    log, floor = "log of exposure, weight", "floor, share"
    # of a sweep: what is weighted more is had more, for more relevance
    assert (np.diff(of(log, "relevance")) < 0).all()
    exposure = [
        np.bincount(market.artist.ravel(), row.x.ravel(), market.n_artists) for row in rows if row.method == log
    ]
    assert (np.diff([np.log1p(e).sum() for e in exposure]) > 0).all()
    assert np.allclose(of(floor, "small"), [0.15, 0.3], atol=1e-4)
    # a floor gives most relevance of all slates with that share: the plain rules, between their points, have less
    kept = np.interp(of("greedy, boost", "small"), [0.0, *of(floor, "small")], [1.0, *of(floor, "relevance")])
    within = (of("greedy, boost", "small") > 0.15) & (of("greedy, boost", "small") < 0.3)
    assert within.any()
    assert (of("greedy, boost", "relevance")[within] < kept[within] + 1e-9).all()
    assert of(log, "artists")[0] > of("top 10", "artists")[0]
    assert of(log, "Gini")[-1] < of("greedy, boost", "Gini").min()
    example.draw(rows, judged, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_small_artists_says_how_to_get_at_the_data(
    small_artists: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OASIS_ALLOC_DATA", str(tmp_path))
    assert small_artists.main([]) == 2
    assert str(tmp_path / "lastfm-2k") in capsys.readouterr().err


def test_proportional_exposure_is_cut_at_one(small_artists: ModuleType) -> None:
    relevance = np.array([[8.0, *np.linspace(1.0, 0.1, 19)], np.ones(20)])
    market = type("Market", (), {"relevance": relevance})
    x = small_artists.proportional(market, 1.0)
    keeps_slates(x)
    free = x[0] < 1
    assert np.ptp(x[0, free] / relevance[0, free]) < 1e-9
    assert (x[0, ~free] == 1).all()
    assert np.allclose(x[1], 0.5)


def test_ndcg_of_whole_slates_and_of_mixtures(ranking: ModuleType) -> None:
    liked = np.array([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    n_liked = np.array([2, 1, 0])  # nothing was held out of the third user
    x = ranking.whole(np.array([[1, 3], [0, 3], [0, 1]]), 4)
    ideal = 1 + 1 / np.log2(3)
    assert ranking.ndcg(x, liked, n_liked, 2) == pytest.approx((1 / ideal + 1 / np.log2(3)) / 2)
    assert ranking.hit_rate(x, liked, n_liked) == pytest.approx(2 / 3)
    mixed = np.array([[0.5, 0.5, 1.0, 0.0]])
    expected = (0.5 / np.log2(2.5) + 1 / np.log2(3)) / ideal
    assert ranking.ndcg(mixed, liked[:1], n_liked[:1], 2) == pytest.approx(expected)


@pytest.fixture
def calibrated_genres(beside: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "calibrated_genres_example", None)
    return load("calibrated_genres")


@pytest.mark.full
def test_calibrated_genres(calibrated_genres: ModuleType, data_dir: Path, tmp_path: Path) -> None:
    example = calibrated_genres
    folder = tables(data_dir, "movielens-small", "events")
    market, rows, judged = example.run(folder, n_users=25, weights=(0.05, 0.2))
    assert market.candidates.n_users == 25
    assert np.allclose(market.watched.sum(axis=1), 1)
    for row in rows:
        keeps_slates(row.x)
        whole = row.method == "best slates, lambda"  # below the bound of mixtures of slates
        assert row.gap is None or row.gap <= (0.2 if whole else example.GAP)
    top = (rows[0].x * market.relevance).sum(axis=1)
    assert np.allclose(top, market.relevance[:, :10].sum(axis=1))

    def of(method: str, name: str) -> Any:
        found = [line[name] for row, line in zip(rows, judged, strict=True) if row.method == method]
        assert found
        return np.array(found)

    assert (np.diff(of("Steck, lambda", "KL, users")) < 0).all()
    by_user, kept = "KL by user, weight", "KL by user, 95% kept, weight"
    for method, name in (("KL of all users, weight", "KL, market"), (by_user, "KL, users")):
        assert of(method, name)[1] < of(method, name)[0] < of("top 10", name)[0]
        assert (np.diff(of(method, "relevance")) < 0).all()
    # one aim at a time: who is calibrated as all users together are need not be so alone
    assert of(by_user, "KL, users")[1] < 0.8 * of("KL of all users, weight", "KL, users")[1]
    # of every user's relevance so much is kept, and the other programs would not keep it
    assert of(kept, "worst user").min() >= example.KEPT - 1e-6
    assert of(by_user, "worst user").min() < example.KEPT
    most = rows[-1]
    assert most.method == "at most 4 of a genre"
    assert (np.einsum("un,ung->ug", most.x, market.parts > 0) <= example.MOST + 1e-6).all()
    assert (np.diff(of("diminishing, step", "diversity")) > 0).all()
    example.draw(rows, judged, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.full
def test_best_slates_are_no_worse_than_those_of_steck(calibrated_genres: ModuleType, data_dir: Path) -> None:
    example = calibrated_genres
    market = example.market_of(tables(data_dir, "movielens-small", "events"), 60)
    better = 0
    for weight in (0.3, 0.7):
        ours = example.best_slates(market, weight)
        theirs = example.Row("Steck, lambda", weight, example.calibrated(market, weight), 0.0)
        found, greedy = (example.aim(market, row, weight) for row in (ours, theirs))
        assert (found >= greedy - 1e-6).all()  # genres never watched have a target of 1e-9
        better += int((found > greedy + 1e-6).sum())
    assert better > 10


def test_calibrated_genres_says_how_to_get_at_the_data(
    calibrated_genres: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert calibrated_genres.main([str(tmp_path)]) == 2
    assert f"no events.parquet in {tmp_path}" in capsys.readouterr().err


def test_divergence_is_that_of_scipy(calibrated_genres: ModuleType) -> None:
    from scipy.stats import entropy

    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6), size=(2, 5))
    p[:, 0], q[:, 1] = 0.0, 0.0
    p /= p.sum(axis=1, keepdims=True)
    a = calibrated_genres.SMOOTHING
    smooth = (1 - a) * q + a * p
    expected = entropy(p, smooth, axis=1) - np.log(smooth.sum(axis=1))  # scipy's shares sum to 1
    assert np.allclose(calibrated_genres.divergence(p, q), expected)


def test_greedy_calibration_takes_the_best_next_film(calibrated_genres: ModuleType) -> None:
    """Against a plain loop over films, with all terms written out."""
    rng = np.random.default_rng(1)
    parts = rng.dirichlet(np.full(4, 0.5), size=(3, calibrated_genres.CANDIDATES))
    relevance = np.sort(rng.random((3, calibrated_genres.CANDIDATES)), axis=1)[:, ::-1]
    watched = rng.dirichlet(np.ones(4), size=3)
    market = type("Market", (), {"relevance": relevance, "parts": parts, "watched": watched})
    x = calibrated_genres.calibrated(market, 0.7)
    for u in range(3):
        slate: list[int] = []
        for _ in range(10):

            def worth(i: int, u: int = u, slate: list[int] = slate) -> float:
                q = 0.99 * parts[u, [*slate, i]].mean(axis=0) + 0.01 * watched[u]
                return 0.3 * relevance[u, [*slate, i]].sum() - 0.7 * float((watched[u] * np.log(watched[u] / q)).sum())

            slate.append(max((i for i in range(relevance.shape[1]) if i not in slate), key=worth))
        assert sorted(slate) == np.flatnonzero(x[u]).tolist()


def test_drawn_slates_are_whole_and_have_the_chances(ranking: ModuleType) -> None:
    x = np.array([[0.25, 0.75, 1.0, 0.5, 0.5], [1.0, 1.0, 1.0, 0.0, 0.0]])
    rng = np.random.default_rng(3)
    slates = np.array([ranking.drawn(x, rng) for _ in range(2000)])
    assert set(np.unique(slates)) == {0.0, 1.0}
    assert (slates.sum(axis=2) == 3).all()
    assert np.allclose(slates.mean(axis=0), x, atol=0.05)  # 4.5 standard deviations


def played(name: str) -> Any:
    """What the example's `main` returns."""
    try:
        return load(name).main()
    finally:
        del sys.modules[f"{name}_example"]


def check_played(done: oa.Replay, against: Iterable[str]) -> None:
    """No pacer goes above a cap, as the policy alone does, and the default is next to the best of some contenders."""
    over, share = done.mean("above hard caps"), done.mean("share of hindsight")
    assert over["scenario", "policy alone"] > 0.0
    assert all(over["scenario", name] == 0.0 for name in done.contenders if name != "policy alone")
    assert share["scenario", "adaptive"] > 0.99 * max(share["scenario", name] for name in against)
    assert share["scenario", "adaptive"] > 0.98


@pytest.mark.full
@pytest.mark.parametrize("sync", [3600.0, *full_only(300.0)])
def test_a_week_is_paced(
    sync: float, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the example's synchronizations every five minutes, and in every run with one per hour."""
    tables(data_dir, "obd-men", "events")
    scenario = oa.Scenario
    monkeypatch.setattr(oa, "Scenario", lambda **named: scenario(**named | {"sync": sync}))
    done = played("paced_week")
    assert "No pacer crosses a cap" in " ".join(capsys.readouterr().out.split())
    check_played(done, done.contenders)


@pytest.mark.parametrize("name", ["paced_week", "paced_films"])
def test_paced_examples_say_how_to_get_at_the_data(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OASIS_ALLOC_DATA", str(tmp_path))
    assert played(name) == 2
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.full
def test_films_are_paced_through_bursts(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables(data_dir, "movielens-small", "events")
    done = played("paced_films")
    assert "No pacer crosses one" in " ".join(capsys.readouterr().out.split())
    check_played(done, [name for name in done.contenders if name != "policy alone"])
    assert min(done.values("within 5 %", "scenario", "adaptive")) == 1.0
