"""Jobs over calibrated columns: the policy is that of Python, and a new calibration is a new input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jobs import in_python, make_job

import oasis_alloc as oa


def calibrated_job(folder: Path) -> Path:
    path = make_job(folder, gates="[gates.canary]\nchanged = 1.0\n")
    named = 'items = "items.parquet"\ncalibrated = { relevance = "relevance.json" }\n'
    path.write_text(path.read_text().replace('items = "items.parquet"\n', named))
    return path


def calibration(folder: Path, top: float) -> oa.Calibration:
    """A map per market, in the file of the job."""
    values = np.array([[0.0, 0.2, top], [0.1, 0.2, 0.9 * top], [0.0, 0.1, 0.8 * top]])
    made = oa.Calibration(
        np.array([0.0, 0.5, 1.0]), values, "market", ("DE", "SE"), values, values, np.ones(3), np.ones(3, np.int64)
    )
    (folder / "relevance.json").write_text(json.dumps(made.to_dict()))
    return made


def test_the_policy_is_that_of_python_and_a_new_file_is_a_new_input(tmp_path: Path) -> None:
    path = calibrated_job(tmp_path)
    ids = []
    for run, top in (("monday", 0.6), ("tuesday", 0.5)):
        made = calibration(tmp_path, top)
        result = oa.run_job(path, run=run)
        assert result.status == "published", result.message
        policy = oa.Policy.load(result.folder / "policy")
        assert policy.policy_id == in_python(tmp_path, calibrated={"relevance": made}).policy_id
        assert set(policy.schema.user_keys) >= {"market"}
        assert "calibrated.relevance" in result.steps["tables"]["digests"]
        ids.append(policy.policy_id)
    assert ids[0] != ids[1]
    requests = json.loads((tmp_path / "radio-runs" / "monday" / "requests.json").read_text())
    pairs = pd.read_parquet(tmp_path / "pairs.parquet")
    mine = requests[0]["columns"]["relevance"]
    assert sorted(mine) == sorted(pairs["relevance"][: len(mine)].tolist()), "scores as requests bring them"
    calibration(tmp_path, 0.6)
    again = oa.run_job(path, run="tuesday")
    assert again.version is not None
    assert again.version.version == 3, "another calibration, so another policy"
    assert oa.run_job(path, run="tuesday").version == again.version


def test_a_calibration_that_is_missing_ends_the_run_in_words(tmp_path: Path) -> None:
    result = oa.run_job(calibrated_job(tmp_path), run="monday")
    assert result.status == "bad input"
    assert "candidates.calibrated.relevance" in result.message
    assert not (tmp_path / "policies").exists()


@pytest.mark.parametrize("command", ["solve", "check"])
def test_the_command_line_takes_it(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from oasis_alloc.__main__ import main

    path = calibrated_job(tmp_path)
    calibration(tmp_path, 0.6)
    if command == "solve":
        text = path.read_text()
        path = tmp_path / "problem.toml"
        path.write_text(text[: text.index("[checks]")])
        assert main(["solve", str(path), "--out", str(tmp_path / "out")]) == 0
    else:
        assert main(["check", str(path)]) == 0
    assert "error" not in capsys.readouterr().err
