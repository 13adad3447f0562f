"""The error after selection: intervals cover, the report says it, a correction makes totals right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

USERS, EACH = 300, 12


def randomized(seed: int) -> tuple[oa.SelectedError, float, float]:
    """(estimate, true ratio among selected, ratio among all): the best of a user's candidates by noisy predictions."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(2, 8, (USERS, EACH))
    predicted = np.clip(truth + rng.normal(0.0, 0.1, truth.shape), 0.0, 1.0)
    selected = predicted >= np.partition(predicted, EACH - 3, axis=1)[:, [EACH - 3]]
    propensity = rng.choice([0.3, 0.6], truth.shape)
    shown = rng.random(truth.shape) < propensity
    users = np.repeat(np.arange(USERS), EACH)[shown.ravel()]
    outcomes = rng.random(truth.shape) < truth
    made = oa.SelectedError.from_randomized(
        predicted[shown], outcomes[shown], propensity[shown], selected=selected[shown], clusters=users
    )
    return made, truth[selected].sum() / predicted[selected].sum(), truth.sum() / predicted.sum()


def split(seed: int) -> tuple[oa.SelectedError, float]:
    """(estimate, true ratio): items selected by their shares of outcomes in the other half."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(2, 8, 120)
    item = rng.integers(0, 120, 4000)
    outcomes = rng.random(4000) < truth[item]
    ratio = []

    def fit(rows: Any) -> Any:
        return ((np.bincount(item[rows], outcomes[rows], 120) + 1) / (np.bincount(item[rows], None, 120) + 5))[item]

    def select(p: Any, rows: Any) -> Any:
        chosen = p[rows] >= np.quantile(p[rows], 0.8)
        ratio.append((truth[item[rows[chosen]]].sum(), p[rows[chosen]].sum()))
        return chosen

    made = oa.SelectedError.from_split(fit, outcomes, select, rng=seed)
    actual, predicted = np.sum(ratio, axis=0)
    return made, actual / predicted


def test_selected_candidates_give_less_than_all() -> None:
    made, selected, everyone = randomized(1)
    assert selected < everyone - 0.1
    assert made.low <= selected <= made.high
    assert made.high < everyone
    assert made.ratio == made.occurred / made.expected


@pytest.mark.few(1)
@pytest.mark.parametrize("source", ["randomized", "split"])
@pytest.mark.parametrize("repetitions", [60, pytest.param(1000, marks=pytest.mark.full)])
def test_intervals_cover(source: str, repetitions: int) -> None:
    inside = []
    for seed in range(repetitions):
        made, truth, *_ = randomized(seed) if source == "randomized" else split(seed)
        inside.append(made.low <= truth <= made.high)
    low, high = (0.93, 0.97) if repetitions == 1000 else (0.85, 1.0)  # of 60: three standard errors below
    assert low <= np.mean(inside) <= high


RARE = [
    (0.01, 20_000, [0.3, 0.6], 19), (0.01, 60_000, [0.1, 0.6, 0.9], 68), (0.003, 20_000, [0.3, 0.6], 6),
    (0.001, 100_000, [0.1, 0.9], 11), (0.001, 20_000, [0.3, 0.6], 2),
]  # fmt: skip


@pytest.mark.few(2)
@pytest.mark.parametrize(("rate", "rows", "propensities", "events"), RARE)
@pytest.mark.parametrize("repetitions", [40, pytest.param(1000, marks=pytest.mark.full)])
def test_intervals_cover_where_outcomes_are_rare(
    rate: float, rows: int, propensities: list[float], events: int, repetitions: int
) -> None:
    """The top tenth of rows by predictions, which are too high; with few outcomes, or none, in most logs."""
    rng = np.random.default_rng(5)
    truth = rng.gamma(2.0, rate / 2.0, rows).clip(0.0, 1.0)
    predicted = truth * np.exp(rng.normal(0.0, 0.5, rows))
    best = predicted >= np.quantile(predicted, 0.9)
    truth, predicted = truth[best], predicted[best]
    ratio, inside, counts = truth.sum() / predicted.sum(), [], []
    for _ in range(repetitions):
        propensity = rng.choice(propensities, truth.size)
        shown, outcomes = rng.random(truth.size) < propensity, rng.random(truth.size) < truth
        p, y, q = (
            np.append(one[shown], other) for one, other in ((predicted, 0.5), (outcomes, 1.0), (propensity, 1.0))
        )
        made = oa.SelectedError.from_randomized(p, y, q, selected=np.arange(p.size) < p.size - 1)
        inside.append(made.low <= ratio <= made.high)
        counts.append(outcomes[shown].sum())
    assert np.mean(counts) == pytest.approx(events, rel=0.3)
    low, high = (0.93, 0.97 + 0.02 * (events < 5)) if repetitions == 1000 else (0.85, 1.0)
    assert low <= np.mean(inside) <= high, np.mean(inside)


def test_no_outcome_among_the_selected_is_an_interval_up_to_what_may_occur() -> None:
    predicted = np.repeat([0.01, 0.001], 500)
    outcomes = np.zeros(1000)
    outcomes[-1] = 1.0
    made = oa.SelectedError.from_randomized(predicted, outcomes, np.full(1000, 0.5), selected=predicted > 0.005)
    assert (made.ratio, made.low, made.occurred) == (0.0, 0.0, 0.0)
    assert 2.4 / 5 < made.high < 2.6 / 5, "2.5 events of 5 expected ones: Jeffreys' interval for none"
    assert made.statement(100.0).endswith("0 should occur (95 % interval 0 to 50, from randomized slots)")


def test_numbers_that_no_sum_holds_are_named() -> None:
    p, y, q = np.full(4, 0.5), np.array([1.0, 0.0, 0.0, 1.0]), np.full(4, 0.5)
    for change, words in (
        ({"predictions": np.full(4, 1e308)}, "predictions: row 0 is 1e\\+308"),
        ({"propensities": np.full(4, 1e-300)}, "propensities: row 0 is 1e-300"),
        ({"predictions": np.ma.masked_array(p, y > 0)}, "predictions: some rows are masked"),
    ):
        with pytest.raises(oa.InputError, match=words):
            oa.SelectedError.from_randomized(**{"predictions": p, "outcomes": y, "propensities": q} | change)
    with pytest.raises(oa.InputError, match="weights: the largest is 1e-300"):
        oa.Reliability.of(p, y, weights=np.full(4, 1e-300))


def test_few_outcomes_are_said_with_both_ends() -> None:
    few = oa.SelectedError(0.3, 0.17, 0.08, 0.8, 10.0, 3.0, 1000, 1000, "randomized slots", 0.95)
    assert few.statement(1000) == (
        "of 1,000 expected outcomes, 300 should occur (95 % interval 80 to 800, from randomized slots)"
    )


def test_a_correction_makes_totals_right() -> None:
    pytest.importorskip("sklearn", reason="the extra `signals`")
    rng = np.random.default_rng(3)
    truth = rng.beta(2, 8, 60_000)
    scores = truth + rng.normal(0.0, 0.15, truth.size)
    outcomes = rng.random(truth.size) < truth
    half = truth.size // 3
    calibration = oa.Calibration.fit(scores[:half], outcomes[:half])
    values = calibration.apply(scores[half:]) + rng.normal(0.0, 0.05, truth.size - half)  # what differs by candidate
    best = values > np.quantile(values, 0.9)
    first = np.arange(values.size) < values.size // 2
    error = oa.SelectedError.from_randomized(
        values[first], outcomes[half:][first], np.ones(first.sum()), selected=best[first]
    )
    promised, occurs = values[~first & best].sum(), truth[half:][~first & best].sum()
    assert promised > 1.05 * occurs
    assert error.ratio * promised == pytest.approx(occurs, rel=0.05)
    corrected = error.correct(calibration)
    assert np.allclose(corrected.apply([0.1, 0.5]), error.ratio * calibration.apply([0.1, 0.5]))


def test_the_report_says_it() -> None:
    cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"relevance": [600.0, 100.0, 400.0, 100.0]})
    solution = oa.solve(oa.Problem(cands, oa.total("relevance"), supply=[1.0, 1.0]))
    error = oa.SelectedError(0.93, 0.006, 0.918, 0.942, 500.0, 465.0, 900, 300, "randomized slots", 0.95)
    text = solution.report({"relevance": error})
    said = "relevance: of 1,000 expected outcomes, 930 +- 12 should occur (95 % interval, from randomized slots)"
    assert text == f"{solution.report()}\n\n{said}"
    assert error.statement(4.0, "streams").startswith("of 4.00 expected streams, 3.72 +- 0.05 should occur")
    with pytest.raises(oa.ProblemError, match="no column 'relevanc'"):
        solution.report({"relevanc": error})
    assert error.to_dict()["ratio"] == 0.93
    assert repr(error) == "SelectedError(0.9300 +- 0.0060, 900 rows, randomized slots)"


def test_clusters_widen_what_rows_of_a_user_share() -> None:
    rng = np.random.default_rng(2)
    mood = np.repeat(rng.random(100), 20)
    outcomes = rng.random(2000) < mood
    users = np.repeat(np.arange(100), 20)
    alone = oa.SelectedError.from_randomized(np.full(2000, 0.5), outcomes, np.ones(2000))
    together = oa.SelectedError.from_randomized(np.full(2000, 0.5), outcomes, np.ones(2000), clusters=users)
    assert together.ratio == alone.ratio
    assert together.standard_error > 2 * alone.standard_error
    assert (together.clusters, alone.clusters) == (100, 2000)


GOOD: dict[str, Any] = {"predictions": [0.5, 0.4, 0.3], "outcomes": [1, 0, 1], "propensities": [0.5, 0.5, 1.0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propensities": [0.5, 0.0, 1.0]}, r"propensities: row 1 is 0 \(1 such rows\); expected probabilities"),
        ({"propensities": [0.5, 1.5, 1.0]}, "propensities: row 1 is 1.5"),
        ({"outcomes": [1, 0, 1.2]}, "outcomes: row 2 is 1.2"),
        ({"outcomes": [1, 1, 1]}, "a single class"),
        ({"predictions": [0.5, np.nan, 1.0]}, "predictions: row 1 is nan"),
        ({"selected": [1, 0, 1]}, "expected \\(3,\\) True and False"),
        ({"selected": [False, False, True]}, "1 clusters"),
        ({"clusters": ["a", "b"]}, "clusters: 2 labels; expected 3"),
        ({"clusters": ["a", "a", "a"]}, "1 clusters"),
        ({"confidence": 0}, "confidence=0"),
    ],
)
def test_bad_input_is_refused_in_words(change: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        oa.SelectedError.from_randomized(**(GOOD | change))


def test_bad_splits_are_refused_in_words() -> None:
    outcomes = np.tile([0, 1], 20)

    def fit(rows: Any) -> Any:
        return np.full(40, 0.5)

    def all_of(p: Any, rows: Any) -> Any:
        return np.ones(rows.size, bool)

    with pytest.raises(oa.InputError, match="holdout=1"):
        oa.SelectedError.from_split(fit, outcomes, all_of, holdout=1)
    with pytest.raises(oa.InputError, match="predictions of fit: 3 rows; expected 40"):
        oa.SelectedError.from_split(lambda rows: np.ones(3), outcomes, all_of)
    with pytest.raises(oa.InputError, match="0 clusters"):
        oa.SelectedError.from_split(fit, outcomes, lambda p, rows: np.zeros(rows.size, bool))
    assert oa.SelectedError.from_split(fit, outcomes, all_of, holdout=0.9).ratio == pytest.approx(1.0, abs=0.2)
