"""Random policies and requests with labels of every type: Java answers as Python does, to the last bit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from effort import full_only
from jvm_host import lines, run
from jvm_requests import written

ANSWERS = "oasisalloc.RandomRequests"


def answered(folder: Path, seeds: range, each: int, explain: bool = False) -> tuple[dict[str, str], int]:
    """What Java prints about the requests of some policies, and how many of them Python refuses."""
    files = [written(folder, seed, each, explain) for seed in seeds]
    arguments = [str(path) for snapshot, requests, _ in files for path in (snapshot, requests)]
    return lines(run(ANSWERS, *arguments)), sum(refused for _, _, refused in files)


@pytest.mark.full
@pytest.mark.parametrize(("policies", "each"), [(20, 30), *full_only((400, 250))])
def test_scores_and_slates_of_random_requests(tmp_path: Path, policies: int, each: int) -> None:
    said, refused = answered(tmp_path, range(policies), each)
    total = re.fullmatch(r"(\d+) scores, (\d+) slates, (\d+) refused, 0 wrong", said["total"])
    assert total is not None
    assert int(total[1]) > 3 * policies * each
    assert int(total[2]) == policies * each - refused > 0.7 * policies * each
    assert int(total[3]) == refused


@pytest.mark.full
@pytest.mark.parametrize(("first", "policies"), [(5_000, 12), *full_only((6_000, 200))])
def test_explanations_of_random_requests(tmp_path: Path, first: int, policies: int) -> None:
    """Every number, name and sentence of every reason."""
    said, _ = answered(tmp_path, range(first, first + policies), 8, explain=True)
    compared = 0
    for seed in range(first, first + policies):
        with (tmp_path / f"{seed}.jsonl").open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                request = json.loads(line)
                if "refused" not in request:
                    found = said[f"{tmp_path / f'{seed}.safetensors'} line {number}"]
                    assert json.loads(found) == request["why"], (seed, number)
                    compared += 1
    assert compared > 4 * policies
