"""Reasons: numbers in the sentences are those of the plan, and missing showings add up to what others are shown."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.common.text_tables import number
from oasis_alloc.forecast.competition import contest, scores_to_beat, shortfalls_of_scores
from tests.support import planned


@pytest.fixture(scope="module")
def plan() -> oa.Solution:
    return oa.solve(planned.problem(), gap=1e-6)


def test_competitors_add_up_to_the_missing_showings(plan: oa.Solution) -> None:
    cands, x = plan.problem.candidates, plan.allocation
    own = cands.items["campaign"].codes[cands.item] == 0
    missing = 0.0
    for u in range(cands.n_users):
        pairs = np.arange(cands.indptr[u], cands.indptr[u + 1])
        if own[pairs].any():
            missing += max(1.0 - x[pairs[own[pairs]]].sum(), 0.0)
    found = oa.reasons(plan, "c0")
    assert sum(one.units for one in found.competitors) == pytest.approx(missing)
    assert "c0" not in [one.label for one in found.competitors]
    assert None in [one.label for one in found.competitors], "items without a campaign take slots, too"
    sizes = [one.units for one in found.competitors]
    assert sizes == sorted(sizes, reverse=True)


def test_the_sentences(plan: oa.Solution) -> None:
    text = " ".join(oa.reasons(plan, "c0").sentences)
    price = plan.prices["caps"][0]
    assert re.search(r"'c0' gets 150 units: its cap of 150 \(caps\) is used up, and one more would add ([\d.]+)", text)
    assert f"{price:.3g}"[:4] in text
    assert "It is a candidate in" in text
    assert "Where it is not shown, the slots go to" in text
    floor = " ".join(oa.reasons(plan, "c3").sentences)
    assert "its floor of 450 (floors) is binding, and each further unit would cost" in floor
    assert "without a limit of its own" not in floor
    assert "its cap" not in oa.reasons(plan, "c5").sentences[0]


def test_a_song_whose_score_is_raised_by_that_much_is_shown(plan: oa.Solution) -> None:
    """The missing scores are exact for plain slates: a bonus just above them makes the policy show the pair."""
    one = contest(plan, "c0", "campaign", "test")
    missing = shortfalls_of_scores(one, *scores_to_beat(plan))
    policy, cands = plan.policy(), plan.problem.candidates
    tried = np.flatnonzero((one.x == 0) & (missing > 1e-6))[:50]
    assert tried.size == 50
    for k in tried.tolist():
        u = int(one.users[k])
        a, b = int(cands.indptr[u]), int(cands.indptr[u + 1])
        for extra, shown in ((1e-7, True), (-1e-7, False)):
            columns = {name: np.array(column[a:b]) for name, column in cands.columns.items()}
            columns["relevance"][one.pairs[k] - a] += (missing[k] + extra) / (1.0 - float(plan.prices["guard"][0]))
            found = policy.select(cands.item[a:b], columns, user=u)
            assert (int(one.pairs[k] - a) in found.tolist()) is shown


def test_documents_and_bad_input(plan: oa.Solution) -> None:
    found = oa.reasons(plan, ("DE", "c0"), by=("market", "campaign"))
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["label"] == ["DE", "c0"]
    assert document["sentences"] == list(found.sentences)
    assert "<p>" in found._repr_html_()
    with pytest.raises(oa.ProblemError, match="no group 'c9'"):
        oa.reasons(plan, "c9")
    with pytest.raises(oa.ProblemError, match="'campain' is not a key"):
        oa.reasons(plan, "c0", by="campain")
    with pytest.raises(oa.ProblemError, match=r"expected an oa[.]Solution"):
        oa.reasons(plan.problem, "c0")  # type: ignore[arg-type]


def test_a_campaign_without_candidates() -> None:
    cands = oa.Candidates.from_arrays([0, 1], [0], {"r": [0.5]}, items={"campaign": ["a", "b"]}, n_items=2)
    found = oa.reasons(oa.solve(oa.Problem(cands, oa.total("r"))), "b")
    assert found.sentences == ("'b' gets 0 units, without a limit of its own.", "It is not a candidate of any user.")


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**20])
def test_reasons_do_not_depend_on_the_unit_of_the_supply(scale: float) -> None:
    def why(supply: float) -> oa.Reasons:
        relevance = np.random.default_rng(2).random(300)
        cands = oa.Candidates.from_arrays(
            np.arange(101) * 3, np.tile([0, 1, 2], 100), {"relevance": relevance}, items={"campaign": ["a", "b", None]}
        )
        caps = (oa.exposure(by="campaign") <= {"a": 20.0 * supply}).named("caps")
        problem = oa.Problem(cands, oa.total("relevance"), caps, oa.Slate(1), supply=np.full(100, supply))
        return oa.reasons(oa.solve(problem, gap=1e-6), "a")

    one, other = why(scale), why(1.0)
    assert [c.label for c in one.competitors] == [c.label for c in other.competitors]
    assert {"b", None} == {c.label for c in one.competitors}
    assert [c.units / scale for c in one.competitors] == pytest.approx([c.units for c in other.competitors], rel=0.05)
    (said,) = [line for line in one.sentences if line.startswith("To be shown")]
    assert said.startswith(f"To be shown {number(2.0 * scale, 6)} units more")
