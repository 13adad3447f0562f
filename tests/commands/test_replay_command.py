"""`oasis-alloc replay`: from files to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from tests.support.paced import USERS, candidates, problem

STATEMENT = """
policy = "policy.oasis"
seeds = 2
hindsight = false

[requests]
pairs = "pairs.parquet"
table = "requests.parquet"
items = "items.parquet"
user = "request"

[plan]
by = "campaign"
table = "plan.csv"
end = 1000.0

[contenders."policy alone"]
policy = true

[contenders.paced]
controller = "adaptive"

[scenarios.peaks]
arrivals = "two peaks"
silent = [[0.1, 0.2]]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cands = candidates()
    oa.solve(problem(cands), gap=1e-3).policy().save(tmp_path / "policy.oasis")
    sizes = np.diff(cands.indptr)
    pairs = {"request": np.repeat(np.arange(USERS), sizes), "item": cands.item.astype(np.int64), **cands.columns}
    pd.DataFrame(pairs).to_parquet(tmp_path / "pairs.parquet", index=False)
    market = cands.users["market"].labels[cands.users["market"].codes]
    times = (np.arange(USERS) + 0.5) * 1000.0 / USERS
    pd.DataFrame({"request": np.arange(USERS), "time": times, "market": market}).to_parquet(
        tmp_path / "requests.parquet", index=False
    )
    campaign = [f"c{k % 6}" if k % 6 < 4 else None for k in range(60)]
    items = pd.DataFrame({"item": np.arange(60), "campaign": campaign, "licensor": np.arange(60) // 6 % 3})
    items.to_parquet(tmp_path / "items.parquet", index=False)
    (tmp_path / "plan.csv").write_text("campaign,cap,floor\nc0,60,50\nc1,60,\nc2,,20\n")
    (tmp_path / "replay.toml").write_text(STATEMENT)
    return tmp_path


def test_a_replay_from_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(folder / "replay.toml")]) == 0
    assert "policy alone" in capsys.readouterr().out
    metrics = pd.read_csv(folder / "replay" / "metrics.csv")
    assert len(metrics) == 4
    assert metrics[metrics.contender == "paced"]["above hard caps"].max() == 0.0
    goals = pd.read_csv(folder / "replay" / "goals.csv")
    assert set(goals["goal"]) == {"'c0'", "'c1'", "'c2'"}
    assert (folder / "replay" / "replay.html").exists()
    assert main(["replay", str(folder / "replay.toml")]) == 0, "what is done is not done again"


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("seeds = 2", "seds = 2", "no entry 'seds'. Did you mean 'seeds'"),
        ('by = "campaign"', 'by = "campain"', "no column 'campain'"),
        ('user = "request"', 'user = "who"', "who"),
        ("arrivals", "arival", "no entry 'arival' in [scenarios.peaks]"),
        ('"two peaks"', '"three peaks"', "two peaks"),
        ('controller = "adaptive"', 'controller = "best"', "expected one of adaptive"),
        ("silent = [[0.1, 0.2]]", "silent = 0.1", "0 <= from < to <= 1"),
        ("[plan]", "[plans]", "no entry 'plans'"),
        ('"policy.oasis"', '"nothing.oasis"', "nothing.oasis"),
        ("policy = true", "policy = ", "not TOML"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, text: str) -> None:
    statement = folder / "replay.toml"
    statement.write_text(STATEMENT.replace(old, new, 1))
    assert main(["replay", str(statement)]) == 2
    assert text in capsys.readouterr().err
