"""Whatever takes a path takes an address in object storage, and what is written there is what is written here."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from served import candidates, policy, request, solved

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.common.remote_path import RemotePath, copied_from, name_of

SOLUTION, POLICY, CANDIDATES = solved("segments"), policy("segments"), candidates()
PROBLEM = SOLUTION.problem
Write, Read = Callable[[Any], object], Callable[[Any], object]


def logged(folder: Any) -> None:
    with oa.DecisionLog(folder) as log:
        for k in range(3):
            items, columns = request(CANDIDATES, k)
            slate = POLICY.select(items, columns, user=k)
            assert log.record(f"r{k}", POLICY, items, columns, slate, user=f"u{k}", at=float(k))


FILES: dict[str, tuple[Write, Read]] = {
    "policy": (POLICY.save, lambda path: oa.Policy.load(path).policy_id),
    "solution": (SOLUTION.save, lambda path: oa.load_solution(path).to_dict()),
    "schedule": (oa.Schedule.flat(zone="Asia/Tokyo").save, lambda path: oa.Schedule.load(path).to_dict()),
    "reproduction": (
        lambda path: oa.write_reproduction(PROBLEM, path), lambda path: str(oa.read_reproduction(path).problem),
    ),
    "decisions": (logged, lambda folder: [one.to_dict() for one in oa.read_decisions(folder)]),
}  # fmt: skip


@pytest.mark.few(2)
@pytest.mark.parametrize("what", FILES)
def test_what_is_saved_at_an_address_is_read_there(what: str, tmp_path: Path, bucket: str) -> None:
    write, read = FILES[what]
    found = []
    for place in (str(tmp_path / what), f"{bucket}/a/{what}"):
        write(place)
        found.append(read(place))
    assert found[0] == found[1]


def test_batch_answers_are_the_same_file(tmp_path: Path, bucket: str) -> None:
    here, there = tmp_path / "boosts.parquet", f"{bucket}/boosts.parquet"
    rows = [POLICY.to_parquet(CANDIDATES, path) for path in (here, there)]
    assert rows[0] == rows[1] == CANDIDATES.n_pairs
    with copied_from(there) as copy:
        assert pq.read_table(copy).equals(pq.read_table(here))


@pytest.mark.parametrize("what", [name for name in FILES if name != "decisions"])
def test_what_is_not_there_is_named_without_secrets(what: str, bucket: str) -> None:
    _, read = FILES[what]
    with pytest.raises(oa.OasisAllocError, match=f"{bucket}/none"):
        read(f"{bucket}/none")
    scheme, _, rest = bucket.partition("://")
    with pytest.raises(oa.OasisAllocError) as refused:
        read(f"{scheme}://a-key:hidden@{rest}/none")
    assert "hidden" not in str(refused.value)
    assert "leave them out" in str(refused.value)


def test_a_folder_that_is_not_there_has_no_decisions(bucket: str) -> None:
    with pytest.raises(oa.InputError, match="there is no such folder"):
        oa.read_decisions(f"{bucket}/none")


def test_a_replay_goes_on_and_has_its_page_at_an_address(bucket: str) -> None:
    requests, resume = oa.Requests.generated(CANDIDATES, 0.0, 3600.0), f"{bucket}/replay.json"
    plan = oa.Plan.of(SOLUTION, 0.0, 3600.0)
    runs = [oa.replay(requests, {"policy": POLICY}, plan=plan, hindsight=None, resume=resume) for _ in range(2)]
    assert runs[0].rows == runs[1].rows
    runs[1].page(f"{bucket}/replay.html")
    assert RemotePath(f"{bucket}/replay.html").read_text().startswith("<!doctype html>")


def statement(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(3)
    pd.DataFrame(
        {"user": np.repeat(np.arange(40), 5), "item": np.tile(np.arange(5), 40), "relevance": rng.random(200)}
    ).to_csv(folder / "pairs.csv", index=False)
    (folder / "items.csv").write_text("item,song\n" + "".join(f"{k},s{k}\n" for k in range(5)))
    path = folder / "problem.toml"
    path.write_text(
        'maximize = \'total("relevance")\'\nsubject_to = [\'(exposure(by="song") <= 9).named("caps")\']\n'
        '[candidates]\npairs = "pairs.csv"\nitems = "items.csv"\n[rounding]\nseed = 3\n[batch]\n[frontier]\n'
        'vary = "caps"\npoints = [4, 8]\n'
    )
    return path


@pytest.mark.parametrize("how", ["the file says it", "the command says it"])
def test_answers_of_the_command_line(how: str, tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, address = statement(tmp_path / "work"), f"{bucket}/answer"
    assert main(["solve", str(path), "--out", str(tmp_path / "here")]) == 0
    if how == "the file says it":
        path.write_text(f'{path.read_text()}[output]\ndirectory = "{address}"\n')
        assert main(["solve", str(path)]) == 0
    else:
        assert main(["solve", str(path), "--out", address]) == 0
    assert f"allocation  {address}/allocation.parquet" in capsys.readouterr().out
    names = sorted(file.name for file in (tmp_path / "here").iterdir())
    assert [name for name, _ in RemotePath(address).entries()] == names
    for name in names:
        if name.endswith(".parquet") and name != "frontier.parquet":  # which has the seconds of each solve
            with copied_from(f"{address}/{name}") as copy:
                assert filecmp.cmp(copy, tmp_path / "here" / name, shallow=False)


def test_a_bucket_that_does_not_exist_is_said_before_the_solve(
    tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = statement(tmp_path / "work")
    assert main(["solve", str(path), "--out", f"{bucket}-of-nobody/answer"]) == 2
    assert f"{bucket}-of-nobody/answer: cannot write files there" in capsys.readouterr().err


def test_addresses_in_messages(bucket: str) -> None:
    assert name_of(RemotePath(f"{bucket}/a")) == f"{bucket}/a"
    assert name_of("s3://bucket/policy?access_key=x") == "s3://bucket/policy"
