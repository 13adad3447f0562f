"""Two solutions compared: differences by label, slots that changed, and worth at the other's prices."""

from __future__ import annotations

import json

import numpy as np
import pytest

import oasis_alloc as oa


def candidates(drop: int = 0) -> oa.Candidates:
    rng = np.random.default_rng(1)
    users = 30 - drop
    item = np.concatenate([rng.choice(8, 4, replace=False) for _ in range(30)])[: 4 * users]
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * 4, item, {"r": rng.random(120)[: 4 * users]}, items={"campaign": list("aabbccdd")}
    )


def solved(cap: float, of: oa.Candidates | None = None) -> oa.Solution:
    caps = (oa.exposure(by="campaign") <= {"a": cap}).named("caps")
    return oa.solve(oa.Problem(of or candidates(), oa.total("r"), caps, oa.Slate(1)), gap=1e-9)


def test_differences_are_those_of_the_solutions() -> None:
    of = candidates()
    before, after = solved(6.0, of), solved(3.0, of)
    both = oa.compare(before, after)
    assert both.churn == after.churn(before)
    assert [one.after for one in both.totals] == after.totals["caps"].tolist()
    assert [one.before for one in both.prices] == before.prices["caps"].tolist()
    assert [one.label for one in both.totals] == list("abcd")
    assert both.totals[0].change == pytest.approx(-3.0)
    document = json.loads(json.dumps(both.to_dict(), allow_nan=False))
    assert document["totals"][0] == {"name": "caps", "label": "a", "before": 6.0, "after": 3.0}
    assert all(len(line) <= 100 for line in str(both).splitlines())
    assert "slots changed" in str(both)


def test_churn_by_a_key_adds_up_to_the_churn() -> None:
    before, after = solved(6.0), solved(3.0)
    both = oa.compare(before, after)
    by = both.churn_by("campaign")
    slots = np.bincount(
        after.problem.candidates.grouping("campaign").item_part[after.problem.candidates.item[after.pairs]], after.x, 4
    )
    assert sum(by[label] * slots[g] for g, label in enumerate("abcd")) == pytest.approx(both.churn * slots.sum())
    assert by["a"] == pytest.approx(0.0), "those that stay were there before"


def test_at_the_other_prices_nothing_is_worth_more_than_what_was_solved_with_them() -> None:
    of = candidates()
    before, after = solved(6.0, of), solved(3.0, of)
    first, second = oa.compare(before, after).crossed()
    own = float(after.scores()[after.pairs] @ after.x)
    assert first <= own + 1e-6
    assert second <= float(before.scores()[before.pairs] @ before.x) + 1e-6


def test_other_candidates_are_matched_by_id_and_cannot_be_crossed() -> None:
    both = oa.compare(solved(6.0), solved(6.0, candidates(drop=5)))
    assert 0.0 <= both.churn < 0.5
    with pytest.raises(oa.ProblemError, match="different pairs"):
        both.crossed()


def test_groups_that_one_of_them_lacks_are_nan() -> None:
    of = candidates()
    other = oa.solve(oa.Problem(of, oa.total("r"), (oa.exposure() <= 20.0).named("all"), oa.Slate(1)))
    found = {(one.name, one.label): one for one in oa.compare(solved(6.0, of), other).totals}
    assert np.isnan(found["all", None].before)
    assert np.isnan(found["caps", "a"].after)
    assert oa.compare(solved(6.0, of), other).to_dict()["totals"][0]["before"] is None


def test_a_comparison_has_one_page_in_a_notebook_with_names_next_to_labels() -> None:
    of = candidates()
    before, after = solved(6.0, of), solved(3.0, of).with_names({"campaign": {"a": "<i>Spring</i>"}})
    both = oa.compare(before, after)
    page = both._repr_html_()
    assert page.startswith('<div class="oasis-alloc">')
    assert "<td>caps &#x27;a&#x27; &lt;i&gt;Spring&lt;/i&gt;</td>" in page
    assert '<td class="n">6</td><td class="n">3</td><td class="n">-3</td>' in page
    assert page.count("A price is what one more unit of the limit would add") == 1
    assert "caps 'a' <i>Spring</i>" in str(both)
    same = oa.compare(before, before)._repr_html_()
    assert "A price is" not in same, "no price changes"
    assert "slots changed" in same


def test_only_solutions_with_an_allocation_are_compared() -> None:
    with pytest.raises(oa.ProblemError, match=r"compare\(after=\.\.\.\): expected an oa\.Solution, got int"):
        oa.compare(solved(6.0), 3)  # type: ignore[arg-type]
