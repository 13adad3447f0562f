"""A problem as one file: the solve that it gives again is the same one, and nothing that names anybody is in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from effort import diagonal

import oasis_alloc as oa
from oasis_alloc.__main__ import main

SONGS = ["song-x", "song-y", None, "song-z"]
DAYS = [date(2026, 11, 1), date(2026, 11, 2)]


def candidates(users: int = 40, items: int = 12) -> oa.Candidates:
    rng = np.random.default_rng(3)
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * items,
        np.tile(np.arange(items), users),
        {
            "relevance": rng.random(users * items),
            "cost": rng.random(users * items).astype(np.float32),
            "idle": np.ones(users * items),
        },
        users={"market": [("SE", "DE", None)[u % 3] for u in range(users)], "day": [DAYS[u % 2] for u in range(users)]},
        items={
            "song": [SONGS[i % 4] for i in range(items)],
            "genre": [["rock", "pop"] if i % 3 else ["folk"] for i in range(items)],
            "unused": [f"secret-{i}" for i in range(items)],
        },
        user_ids=[f"person-{u}" for u in range(users)],
    )  # fmt: skip


def plain(c: oa.Candidates) -> dict[str, Any]:
    return {
        "maximize": oa.total("relevance"),
        "subject_to": [
            oa.total("cost") <= {None: 200.0},
            (oa.exposure(by="song") <= {"song-x": 5.0, "song-z": 3.0}).named("caps"),
            oa.exposure(by=("market", "song")) >= {("SE", "song-y"): 2.0},
            oa.total("cost", by="day") <= {DAYS[1]: 8.0},
            oa.exposure(by="genre") <= [30.0, np.inf, 25.0],
            oa.exposure(by="song") - 0.5 * oa.exposure() <= 0,
            oa.soft(oa.exposure(by="market") >= {"SE": 40.0}, penalty=0.3),
        ],
        "slate": oa.Slate(2),
    }


def functions(c: oa.Candidates) -> dict[str, Any]:
    by = oa.exposure(by="song")
    return {
        "maximize": oa.total("relevance") + 2.0 * oa.log(by, offset=0.5) + oa.entropy(oa.exposure(by="genre"))
        + oa.alpha_fair(oa.exposure(by="market"), alpha=2.0)
        - 0.1 * oa.square_deviation(by, {"song-x": 4.0, "song-y": 2.0, "song-z": 1.0})
        - 3.0 * oa.kl(by, {"song-x": 1.0, "song-y": 2.0, "song-z": 1.0}),
    }  # fmt: skip


def rankings(c: oa.Candidates) -> dict[str, Any]:
    by = oa.exposure(by="song")
    return {
        "maximize": oa.total("relevance") + oa.worst_off(by, {"song-x": 1.0, "song-y": 2.0, "song-z": 1.0})
        + 0.1 * oa.gini_welfare(oa.exposure(by="genre")) + 0.2 * oa.reach(by, times=3),
        "subject_to": [by.delivered_so_far({"song-x": 2.0}) <= 9.0],
    }  # fmt: skip


def rules(c: oa.Candidates) -> dict[str, Any]:
    sizes = 1 + np.arange(c.n_users) % 3
    return {
        "maximize": oa.total("relevance"),
        "subject_to": [oa.exposure(by="song") <= 20.0],
        "slate": oa.Slate(sizes, at_most={"song": 1}, diminishing={"genre": [0.0, 0.1]}, keep={"cost": 0.3}),
        "supply": 1.0 + 0.5 * (np.arange(c.n_users) % 2),
    }


def steady(c: oa.Candidates) -> dict[str, Any]:
    before = oa.solve(oa.Problem(c, **plain(c)))
    return {"maximize": oa.total("cost") + oa.stay_close(before, weight=0.2)}


def conflict(c: oa.Candidates) -> dict[str, Any]:
    return {
        "maximize": oa.total("relevance"),
        "subject_to": [(oa.exposure(by="song") >= {"song-x": 1e4}).named("too much")],
    }


STATED: list[Callable[[oa.Candidates], dict[str, Any]]] = [plain, functions, rankings, rules, steady, conflict]


def assert_same(ours: oa.Solution, theirs: oa.Solution) -> None:
    assert ours.status is theirs.status
    assert np.array_equal([ours.value, ours.bound, ours.gap], [theirs.value, theirs.bound, theirs.gap], equal_nan=True)
    assert np.array_equal(ours.x, theirs.x)
    assert np.array_equal(ours.pairs, theirs.pairs)
    for one, other in zip(ours.prices.values(), theirs.prices.values(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("stated", "anonymize"), diagonal({of.__name__: of for of in STATED}, {"True": True, "False": False})
)
def test_the_solve_is_the_same_to_the_last_bit(
    stated: Callable[[oa.Candidates], dict[str, Any]], anonymize: bool, tmp_path: Path
) -> None:
    c = candidates()
    problem = oa.Problem(c, **stated(c))
    oa.write_reproduction(problem, tmp_path / "file", settings={"gap": 1e-3}, anonymize=anonymize)
    again = oa.read_reproduction(tmp_path / "file")
    assert_same(oa.solve(problem, gap=1e-3), again.solve())
    if not anonymize:
        assert again.problem.names == problem.names
        assert [again.problem.labels(n) for n in again.problem.names] == [problem.labels(n) for n in problem.names]
    assert again.versions["oasis_alloc"]


def test_labels_and_ids_are_not_in_the_file(tmp_path: Path) -> None:
    c = candidates()
    oa.write_reproduction(oa.Problem(c, **plain(c)), tmp_path / "file")
    raw = (tmp_path / "file").read_bytes()
    for text in (b"song-x", b"SE", b"person-", b"secret", b"2026-11", b"rock"):
        assert text not in raw
    oa.write_reproduction(oa.Problem(c, **plain(c)), tmp_path / "file", anonymize=False)
    raw = (tmp_path / "file").read_bytes()
    assert b"song-x" in raw
    assert b"secret" not in raw
    assert b"person-" not in raw


def test_settings_by_label_come_back(tmp_path: Path) -> None:
    c = candidates()
    problem = oa.Problem(c, **conflict(c))
    settings = {"relax_weights": {"too much": {"song-x": 2.0}}, "on_conflict": "relax", "start": oa.solve(problem)}
    oa.write_reproduction(problem, tmp_path / "file", settings=settings)
    again = oa.read_reproduction(tmp_path / "file")
    assert again.settings == {"relax_weights": {"too much": {0: 2.0}}, "on_conflict": "relax", "start": {}}
    assert_same(oa.solve(problem, **settings), again.solve())
    assert again.solve(on_conflict="infeasible").status is oa.Status.INFEASIBLE


def test_candidates_in_parquet_files_come_back_in_memory(tmp_path: Path) -> None:
    c = candidates()
    c.to_parquet(tmp_path / "pairs")
    streamed = oa.Candidates.from_parquet(tmp_path / "pairs", items={"song": [SONGS[i % 4] for i in range(12)]})
    problem = oa.Problem(streamed, oa.total("relevance"), [oa.exposure(by="song") <= {"song-x": 5.0}])
    oa.write_reproduction(problem, tmp_path / "file")
    assert_same(oa.solve(problem), oa.read_reproduction(tmp_path / "file").solve())


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    c = candidates()
    problem, path = oa.Problem(c, **plain(c)), tmp_path / "file"
    with pytest.raises(oa.ProblemError, match=r"does not store 'progress'.*Known: solver"):
        oa.write_reproduction(problem, path, settings={"progress": print})
    with pytest.raises(oa.ProblemError, match=r"nothing is named 'cap'. Did you mean 'caps'"):
        oa.write_reproduction(problem, path, settings={"start": {"cap": 1.0}})
    with pytest.raises(oa.ProblemError, match=r"takes an oa\.Problem, got str"):
        oa.write_reproduction("problem", path)  # type: ignore[arg-type]
    with pytest.raises(oa.InputError, match="no-such cannot be read"):
        oa.read_reproduction(tmp_path / "no-such")
    path.write_bytes(b"{}")
    with pytest.raises(oa.InputError, match="file cannot be read as a reproduction"):
        oa.read_reproduction(path)
    oa.write_reproduction(problem, path)
    whole = path.read_bytes()
    for at in (20, 200, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(oa.InputError, match="file"):
            oa.read_reproduction(path)


def test_doctor_writes_a_problem_from_its_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"user": [1, 1], "item": ["a", "b"], "relevance": [0.9, 0.5]}).to_csv("pairs.csv", index=False)
    Path("problem.toml").write_text(
        "maximize = 'total(\"relevance\")'\nsubject_to = ['exposure() <= 0.5']\n"
        "[candidates]\npairs = 'pairs.csv'\n[solve]\ngap = 1e-5\n"
    )
    assert main(["doctor", "--problem", "problem.toml"]) == 0
    assert "problem.reproduction" in capsys.readouterr().out
    again = oa.read_reproduction("problem.reproduction")
    assert again.settings == {"gap": 1e-5}
    assert again.solve().value == pytest.approx(0.45)
    assert main(["doctor", "--problem", "problem.toml", "--out", "other", "--keep-labels"]) == 0
    assert oa.read_reproduction("other").settings == {"gap": 1e-5}
    assert main(["doctor", "--problem", "problem.toml", "--out", str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["doctor", "--problem", "no-such.toml"]) == 2
