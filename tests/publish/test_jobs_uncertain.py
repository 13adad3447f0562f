"""Jobs that solve by a measure of risk: the policy is that of `oa.solve_uncertain`, and wrong entries are named."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jobs import make_job, make_tables, problem_in_python
from servers import redis_server

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.problem_file.entries import ENTRIES, check_entries
from oasis_alloc.publish.jobs.columns import with_columns, write_columns
from oasis_alloc.publish.jobs.result_numbers import numbers_of_risk

PAGE = Path(__file__).parents[2] / "docs" / "uncertainty.md"
N_DRAWS = 6
DEVIATIONS = {"relevance": "promotion"}  # any column of numbers >= 0
CVAR = 'risk = "CVaR"\nshare = 0.4\npairs = "draws.parquet"'


def draws_tables(folder: Path, day: int = 0) -> None:
    """Draws of relevance and of supply, rows in any order."""
    rng = np.random.default_rng(day)
    pairs = pd.read_parquet(folder / "pairs.parquet")
    drawn = pd.concat([pairs[["user", "item", "relevance"]].assign(version=f"v{s}") for s in range(N_DRAWS)])
    drawn["relevance"] *= rng.lognormal(0.0, 0.4, (N_DRAWS, 24))[np.repeat(range(N_DRAWS), len(pairs)), drawn["item"]]
    drawn.sample(frac=1.0, random_state=3).to_parquet(folder / "versions.parquet")
    drawn.rename(columns={"version": "draw"}).to_parquet(folder / "draws.parquet")
    users = pd.DataFrame(
        {"draw": np.repeat([f"v{s}" for s in range(N_DRAWS)], 60), "user": np.tile(range(60), N_DRAWS)}
    )
    users["supply"] = rng.uniform(0.5, 1.5, len(users))
    users.to_parquet(folder / "draws of users.parquet")


def uncertain_job(folder: Path, table: str, change: tuple[str, str] = ("", ""), **how: str) -> Path:
    path = make_job(folder, **how)
    draws_tables(folder)
    text = path.read_text()
    if "LowerQuantile" in table:
        text = text.replace("[limits]", 'uncertainty = { relevance = "promotion" }\n\n[limits]')
    path.write_text(f"{text}\n[uncertainty]\n{table}\n".replace(*change))
    return path


def answer_in_python(folder: Path, pairs: str | None, users: bool, **how: Any) -> oa.UncertainSolution:
    quantile = isinstance(how.get("risk"), oa.LowerQuantile)
    problem = problem_in_python(folder, uncertainty=DEVIATIONS if quantile else None)
    frames: dict[str, Any] = {}
    if pairs is not None:
        frames["pairs"] = pd.read_parquet(folder / pairs)
    if users:
        frames["users"] = pd.read_parquet(folder / "draws of users.parquet")
    draw = "version" if pairs == "versions.parquet" else "draw"
    draws = oa.Draws.from_frame(problem.candidates, **frames, draw=draw) if frames else None
    return oa.solve_uncertain(problem, draws=draws, gap=1e-3, threads=1, **how)


GAP = ("gap = 1e-5", "gap = 1e-3")


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("table", "pairs", "users", "how"),
    [
        ('pairs = "versions.parquet"\ndraw = "version"', "versions.parquet", False, {}),
        (CVAR, "draws.parquet", False, {"risk": oa.CVaR(0.4)}),
        ('risk = "CVaR"\nusers = "draws of users.parquet"', None, True, {"risk": oa.CVaR()}),
        (
            'risk = "worst"\npairs = "draws.parquet"\nusers = "draws of users.parquet"\nsupply = "supply"',
            "draws.parquet", True, {"risk": "worst"},
        ),
        ('risk = "LowerQuantile"\nprobability = 0.1', None, False, {"risk": oa.LowerQuantile(0.1)}),
        (CVAR + "\nhold = { guard = 0.9 }", "draws.parquet", False, {"risk": oa.CVaR(0.4), "hold": {"guard": 0.9}}),
    ],
)  # fmt: skip
def test_the_policy_is_that_of_python(
    tmp_path: Path, table: str, pairs: str | None, users: bool, how: dict[str, Any]
) -> None:
    result = oa.run_job(uncertain_job(tmp_path, table, GAP), run="monday")
    assert result.status == "published", result.message
    answer = answer_in_python(tmp_path, pairs, users, **how)
    assert result.steps["policy"]["policy_id"] == answer.policy(valid_for=172800).policy_id
    numbers = result.steps["solve"]["numbers"]
    assert (numbers["value"], numbers["bound"], numbers["gap"]) == (answer.value, answer.bound, answer.gap)
    assert numbers["risk"] == repr(answer.risk)
    read = set(result.steps["tables"]["digests"])
    assert ("uncertainty.pairs" in read, "uncertainty.users" in read) == (pairs is not None, users)


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ('risk = "cvar"', GAP, "uncertainty: risk is 'cvar'; expected one of expected, worst, CVaR, LowerQuantile"),
        ('risk = "worst"', GAP, "uncertainty: risk='worst' needs draws"),
        ("", GAP, "uncertainty: risk='expected' needs draws"),
        ('risk = "CVaR"\nshare = 2\npairs = "draws.parquet"', GAP, "uncertainty: CVaR(2): expected a share"),
        ('share = 0.1\npairs = "draws.parquet"', GAP, "share belongs to risk = 'CVaR', and risk is 'expected'"),
        ('risk = "LowerQuantile"', ("uncertainty = {", "calibrated = {} #"), "has standard deviations"),
        ('risk = "LowerQuantile"\npairs = "draws.parquet"', GAP, "takes no draws"),
        ('draw = "version"', GAP, "draw names a column of draws; expected a table of them"),
        ('pairs = "no.parquet"', GAP, "no such file"),
        ('pairs = "draws.parquet"\ndraw = "day"', GAP, "uncertainty: pairs has no column 'day'"),
        ('pairs = "draws.parquet"', ('"relevance") + 0.4', '"promotion") + 0.4'), "uses none of ['relevance']"),
        (CVAR + "\nhold = { caps = 0.9 }", GAP, "hold['caps']"),
        (CVAR + "\nhold = { guards = 0.9 }", GAP, "no constraint is named 'guards'. Did you mean 'guard'?"),
        (CVAR + "\nhold = { guard = 95 }", GAP, "expected a share in (0.5, 1)"),
        (CVAR, ("threads = 1", 'start = "last run"'), "solve.start is an option of one ordinary solve"),
        (CVAR, ("threads = 1", 'resume = "state"'), "expected gap, time_limit, threads only"),
        (CVAR + '\n[frontier]\nvary = "caps"\npoints = [1]', GAP, "[frontier] is a sweep of ordinary solves"),
    ],
)
def test_a_check_names_what_is_wrong(tmp_path: Path, table: str, change: tuple[str, str], words: str) -> None:
    result = oa.run_job(uncertain_job(tmp_path, table, change), check=True)
    assert result.status == "bad input"
    assert words in result.message
    assert "radio.toml" in result.message or "no.parquet" in result.message


def test_a_check_of_what_is_right_solves_nothing(tmp_path: Path) -> None:
    assert oa.run_job(uncertain_job(tmp_path, CVAR), check=True).status == "checked"


def test_the_table_of_the_page_is_valid() -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    stated = tomllib.loads(block)
    check_entries(stated, "page", {"": ENTRIES[""], "uncertainty": ENTRIES["uncertainty"]})
    assert set(stated["uncertainty"]) == {"risk", "share", "pairs", "users", "hold"}


def problem_file(folder: Path) -> Path:
    text = uncertain_job(folder, CVAR, GAP).read_text()
    path = folder / "problem.toml"
    path.write_text(text[: text.index("[checks]")] + text[text.index("[uncertainty]") :])
    return path


def test_the_command_line_solves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = problem_file(tmp_path)
    assert main(["solve", str(path), "--out", str(tmp_path / "out")]) == 0
    assert "risk=CVaR(share=0.4)" in capsys.readouterr().out
    answer = answer_in_python(tmp_path, "draws.parquet", False, risk=oa.CVaR(0.4))
    written = pd.read_parquet(tmp_path / "out" / "allocation.parquet")
    assert written["x"].tolist() == answer.solution.x.tolist()
    assert "relevance@risk" in written
    assert main(["solve", str(path), "--pass-limit", "3", "--out", str(tmp_path / "out")]) == 2
    assert "solve.pass_limit is an option of one ordinary solve" in capsys.readouterr().err


def test_commands_that_would_solve_another_problem_refuse_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--problem", str(problem_file(tmp_path))]) == 2
    assert "[uncertainty] is solved by oasis-alloc solve and oasis-alloc run only" in capsys.readouterr().err


def test_gates_canary_and_redis_have_the_columns_of_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redis = pytest.importorskip("redis")
    gates = "gap = 1e-3\nviolation = 1e-6\nchurn = 0.9\n[gates.relevance]\nmean = 0.1\n[gates.canary]\nchanged = 0.95"
    path = uncertain_job(tmp_path, CVAR, GAP, gates=gates, publish='redis = "env:RADIO_REDIS"')
    monkeypatch.setenv("RADIO_REDIS", "redis://127.0.0.1:1/0")
    assert oa.run_job(path, run="monday").status == "not written"
    requests = json.loads((tmp_path / "radio-runs" / "monday" / "requests.json").read_text())
    assert all("relevance@risk" in request["columns"] for request in requests)
    with redis_server() as address, redis.Redis.from_url(address, decode_responses=True) as client:
        monkeypatch.setenv("RADIO_REDIS", address)
        lines: list[str] = []
        result = oa.run_job(path, run="monday", progress=lines.append)
        assert result.status == "published", result.message
        assert lines[2].split()[:2] == ["solve", "kept"], "it goes on after the policy, without a solve"
        live = client.get("oasis_alloc:live")
        answer = answer_in_python(tmp_path, "draws.parquet", False, risk=oa.CVaR(0.4))
        cands, policy = answer.solution.problem.candidates, answer.policy()
        mine = slice(*cands.indptr[7:9].tolist())
        columns = {name: cands.columns[name][mine] for name in policy.data.columns}
        picked = policy.select(cands.item[mine], columns)
        assert json.loads(client.get(f"oasis_alloc:{live}:7"))["slate"] == cands.item[mine][picked].tolist()
        make_tables(tmp_path, day=1)
        draws_tables(tmp_path, day=1)
        result = oa.run_job(path, run="tuesday")
    assert result.status == "published", result.message
    found = {finding["name"]: finding for finding in result.steps["gates"]["findings"]}
    assert found["canary answers"]["passed"]
    assert 0 < found["canary changed"]["value"] < 0.95
    columns_file = tmp_path / "radio-runs" / "tuesday" / "columns.npz"
    columns_file.write_bytes(columns_file.read_bytes()[:1000])
    (tmp_path / "radio-runs" / "tuesday" / "publish.json").unlink()
    summary = tmp_path / "radio-runs" / "tuesday" / "run.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"status": "running"}))
    damaged = oa.run_job(path, run="tuesday")
    assert damaged.status == "bad input"
    assert "columns.npz: the columns of the run cannot be read" in damaged.message


def test_columns_of_a_run_are_those_of_its_solve(tmp_path: Path) -> None:
    """Also one that has the name of a stated column."""
    stated = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.8], "r@risk": [7.0, 7.0]})
    draws = oa.Draws(stated, {"r": np.array([[1.2, 0.8], [0.6, 0.8]])})
    solved = oa.solve_uncertain(oa.Problem(stated, oa.total("r")), draws=draws).solution.problem.candidates
    write_columns(tmp_path / "columns.npz", stated, solved)
    again = with_columns(stated, tmp_path / "columns.npz")
    assert again.columns["r@risk"].tolist() == solved.columns["r@risk"].tolist() != [7.0, 7.0]
    assert again.columns["r"] is stated.columns["r"]


def test_a_floor_that_is_not_held_is_a_violation(tmp_path: Path) -> None:
    make_tables(tmp_path)
    draws_tables(tmp_path)
    answer = answer_in_python(tmp_path, "draws.parquet", False)
    assert "violation" not in numbers_of_risk(answer)
    assert numbers_of_risk(replace(answer, missed=2e-5))["violation"] == 2e-5
