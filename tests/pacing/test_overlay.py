"""An overlay is the pacer's prices in another process, to the bit; one for another policy is refused by name."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from tests.support.paced import END, USERS, Clock, candidates, play, problem, request


@pytest.fixture(scope="module")
def pacer() -> oa.Pacer:
    cands = candidates()
    solution = oa.solve(problem(cands), gap=1e-4)
    out = oa.Pacer(solution.policy(), oa.Plan.of(solution, 0.0, END), requests=USERS, clock=Clock(7.0))
    play(out, cands, 0, 200)
    return out


def test_an_overlaid_policy_scores_as_the_pacer_does(pacer: oa.Pacer) -> None:
    overlay = oa.Overlay.from_json(pacer.overlay().to_json())
    other = pacer.policy.overlaid(overlay)
    assert len(overlay) >= 4
    assert overlay.created == 7.0
    cands = candidates()
    changed = False
    for u in range(50):
        items, columns = request(cands, u)
        for who in (None, u, {"market": "SE"}):
            scores = pacer.score(items, columns, who)
            assert (scores == other.score(items, columns, who)).all()
            changed = changed or (scores != pacer.policy.score(items, columns, who)).any()
    assert changed
    items, columns = request(cands, 3)
    new = [-1, *items[1:].tolist()]
    labels: list[Any] = ["c1", *[None] * (items.size - 1)]
    assert (
        pacer.score(new, columns, None, campaign=labels) == other.score(new, columns, None, campaign=labels)
    ).all(), "labels of new items pay the prices of now, too"


def test_explanations_tell_the_prices_of_now(pacer: oa.Pacer) -> None:
    items, columns = request(candidates(), 5)
    why = pacer.explain(items, columns)
    scores = pacer.score(items, columns)
    for reason, score in zip(why, scores, strict=True):
        assert math.fsum(part.amount for part in reason.parts) == score


def test_the_policy_itself_stays_as_it_is(pacer: oa.Pacer) -> None:
    items, columns = request(candidates(), 5)
    before = pacer.policy.score(items, columns)
    other = pacer.policy.overlaid(pacer.overlay())
    assert other.policy_id.startswith(pacer.policy.policy_id + "+")
    assert (pacer.policy.score(items, columns) == before).all()
    with pytest.raises(oa.SnapshotError, match="is for policy") as caught:
        other.overlaid(pacer.overlay())
    assert caught.value.reason == "another policy"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "oasis_alloc.policy"}, "not a snapshot"),
        ({"schema": 2}, "newer schema"),
        ({"schema": "1"}, "content"),
        ({"policy_id": 3}, "content"),
        ({"created": "now"}, "content"),
        ({"terms": [[0, 0]]}, "content"),
        ({"terms": [[0, 0, float("nan")]]}, "not finite"),
        ({"terms": [[0, 0, True]]}, "content"),
        ({"terms": {"0": 1}}, "content"),
        ({"terms": [[0, 10**6, 0.5]]}, "shape"),
        ({"constraints": [[-1, 0, 0.5]]}, "shape"),
        ({"policy_id": "0123456789abcdef"}, "another policy"),
    ],
)
def test_a_wrong_overlay_is_refused(pacer: oa.Pacer, change: dict[str, Any], reason: str) -> None:
    document = json.loads(pacer.overlay().to_json()) | change
    with pytest.raises(oa.SnapshotError) as caught:
        pacer.policy.overlaid(oa.Overlay.from_json(json.dumps(document)))
    assert caught.value.reason == reason


def test_what_is_no_document_is_refused() -> None:
    for text in ("", "[]", "null", "{", b"\xff\xfe", "[" * 100000):
        with pytest.raises(oa.SnapshotError) as caught:
            oa.Overlay.from_json(text)
        assert caught.value.reason == "not a snapshot"


GOLDEN = Path(__file__).parents[1] / "golden"


def test_golden_scores_to_the_last_bit() -> None:
    given = json.loads((GOLDEN / "overlay.json").read_text(encoding="utf-8"))
    policy = oa.Policy.load(GOLDEN / given["snapshot"]).overlaid(oa.Overlay.from_json(json.dumps(given["overlay"])))
    stopped = 0
    for asked in given["requests"]:
        columns = {name: np.array([float.fromhex(value) for value in of]) for name, of in asked["columns"].items()}
        items = np.array(asked["items"], np.int64)
        scores = policy.score(items, columns, asked["user"])
        assert [float(score).hex() for score in scores] == asked["scores"]
        how = {name: asked[name] for name in ("k", "pinned", "exclude")}
        assert policy.select(items, columns, asked["user"], **how).tolist() == asked["slate"]
        stopped += int((scores < -1e6).sum())
    assert stopped, "a group at a stop is among them"


def test_the_golden_overlay_is_what_its_generator_makes() -> None:
    made = subprocess.run(
        [sys.executable, "-c", "import overlays; print(overlays.made(), end='')"],
        cwd=GOLDEN, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert made.stdout == (GOLDEN / "overlay.json").read_text(encoding="utf-8")
