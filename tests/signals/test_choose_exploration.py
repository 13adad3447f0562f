"""The exploration that a difference needs: checked by simulated logs, and against logs of policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_logs import IDS, N, policy, request, write

import oasis_alloc as oa

CANDIDATES, RATE, REQUESTS, DIFFERENCE = 8, 0.2, 4_000, 0.15


def simulated(share: float, difference: float, repetitions: int) -> tuple[Any, Any, Any]:
    """Clicks, logged propensities and whether the other policy shows the item: (repetitions, requests) of one slot."""
    rng = np.random.default_rng(4)
    x = np.full(CANDIDATES, share / CANDIDATES)
    x[0] += 1.0 - share
    rates = np.full(CANDIDATES, RATE)
    # the other policy shows item 1, whose rate is above the mean of the log by the difference
    rates[1] = (x @ rates - x[1] * RATE + difference) / (1.0 - x[1])
    assert rates[1] - x @ rates == pytest.approx(difference)
    item = rng.choice(CANDIDATES, (repetitions, REQUESTS), p=x)
    return (rng.random(item.shape) < rates[item]).astype(np.float64), x[item], (item == 1).astype(np.float64)


def detected(share: float, difference: float, repetitions: int = 300) -> float:
    """How often a 95 % interval of the difference, by inverse propensity, is above 0."""
    clicks, logged, other = simulated(share, difference, repetitions)
    apart = (other / logged - 1.0) * clicks
    low = apart.mean(axis=1) - 1.959964 * apart.std(axis=1, ddof=1) / np.sqrt(REQUESTS)
    found = oa.off_policy(clicks[0], logged[0], other[0], interval="normal", min_effective=0)["inverse propensity"]
    assert found.difference_low == pytest.approx(low[0], rel=1e-6), "the interval that the package gives"
    return float((low > 0.0).mean())


def choice_of(power: float = 0.8) -> oa.ExplorationChoice:
    return oa.choose_exploration(
        DIFFERENCE, requests=REQUESTS, rate=RATE + DIFFERENCE, candidates=CANDIDATES, power=power
    )


def test_the_chosen_rate_detects_the_difference_and_a_smaller_one_does_not() -> None:
    choice = choice_of()
    assert choice.needed == pytest.approx(REQUESTS)
    assert 0.1 < choice.share < 0.3
    assert detected(choice.share, DIFFERENCE) == pytest.approx(0.8, abs=0.07)
    assert detected(choice.share / 2, DIFFERENCE) < 0.6
    assert detected(2 * choice.share, DIFFERENCE) > 0.9


@pytest.mark.full
@pytest.mark.parametrize("power", [0.5, 0.9])
def test_power_and_level_are_kept_in_many_simulated_logs(power: float) -> None:
    choice = choice_of(power)
    assert detected(choice.share, DIFFERENCE, 2_000) == pytest.approx(power, abs=0.04)
    assert detected(choice.share, 0.0, 2_000) < 0.035, "one side of a level of 5 %"


def test_a_larger_difference_more_time_and_fewer_changes_need_less() -> None:
    def share(difference: float = 0.05, **how: Any) -> float:
        given = {"requests": 20_000.0, "rate": 0.2, "candidates": 10, "slots": 2, "changed": 0.5, **how}
        return oa.choose_exploration(difference, **given).share

    assert share(0.1) < share(0.05)
    assert share(requests=80_000.0) < share()
    assert share(changed=0.5) < share(changed=1.0)
    assert share(candidates=5) < share()
    assert share(power=0.9) > share()
    assert share(confidence=0.99) > share()
    assert share(2.0, requests=10**9) < 1e-6


def test_the_curve_has_what_other_shares_need() -> None:
    choice = oa.choose_exploration(0.05, requests=20_000, rate=0.2, candidates=10, slots=2, changed=0.5)
    for share, needed in choice.curve:
        if share < choice.share:
            assert needed > 20_000
    again = oa.choose_exploration(0.05, requests=dict(choice.curve)[0.2], rate=0.2, candidates=10, slots=2, changed=0.5)
    assert again.share == pytest.approx(0.2)
    assert choice.exploration() == oa.Exploration(share=choice.share)
    assert "requests needed" in str(choice)
    assert "<table>" in choice._repr_html_()
    assert choice.to_dict()["curve"][0] == [0.005, choice.curve[0][1]]


def test_two_policies_are_compared_on_a_log(tmp_path: Path) -> None:
    """Requests are needed as slates of both policies say, request by request."""
    decisions, _ = write(tmp_path, 80)
    choice = oa.choose_exploration(
        0.3, requests=2_000, rate=0.2, policies=(policy("now"), policy("new")), decisions=decisions
    )
    for share, needed in choice.curve:
        variance = []
        for k in range(80):
            best, other = (np.isin(np.arange(N), np.argsort(-request(k)[name])[:2]) for name in ("now", "new"))
            x = (1.0 - share) * best + share * 2 / N
            variance.append((((other - x) ** 2)[x > 0] / x[x > 0]).sum())
        assert needed == pytest.approx(2.8015852**2 * 0.2 * np.mean(variance) / 0.3**2, rel=1e-6), share
    assert 0.0 < choice.share < 0.3
    assert choice.needed == pytest.approx(2_000)
    with pytest.raises(oa.InputError, match="request 'r0' cannot be replayed"):
        oa.choose_exploration(
            0.3, requests=2_000, rate=0.2, policies=(policy("now"), other_columns()), decisions=decisions
        )


def other_columns() -> oa.Policy:
    """A policy that reads a column that was not logged."""
    cands = oa.Candidates.from_arrays([0, N], np.arange(N), {"absent": np.ones(N)}, item_ids=IDS)
    return oa.solve(oa.Problem(cands, oa.total("absent"), slate=oa.Slate(2))).policy()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"difference": 0.0}, "difference=0.0.*above 0"),
        ({"requests": -1}, "requests=-1"),
        ({"rate": "a"}, "rate='a'"),
        ({"candidates": None}, r"candidates=None.*or pass policies="),
        ({"slots": 10}, "slots=10.*1 to 9"),
        ({"changed": 0.0}, "changed=0.0.*above 0 and at most 1"),
        ({"slots": 8, "changed": 0.5}, "changed=0.5.*at most 0.25"),
        ({"power": 1.0}, "power=1.0"),
        ({"confidence": 0.2}, "confidence=0.2"),
        ({"policies": ("a", "b")}, r"expected policies=\(current policy, other policy\) and decisions="),
        (
            {"difference": 0.001},
            "no exploration detects a difference of 0.001 per request in 10,000 requests. The best",
        ),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    given = {"difference": 0.1, "requests": 10_000, "rate": 0.1, "candidates": 10, **change}
    with pytest.raises(oa.InputError, match=message):
        oa.choose_exploration(given.pop("difference"), **given)
