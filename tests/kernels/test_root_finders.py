"""Thresholds and prices of one user's slate, on long lists and next to no smoothing, against greedy and programs.

Whatever the scores are, the slate keeps its rules, is worth no more than its bound, and the bound is within the
smoothing of what the best slate is worth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from effort import diagonal, full_only
from pairs import Data, call
from scipy.optimize import linprog
from test_ruled_kernels import run

from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.draw import sample
from oasis_alloc.kernels.rules import ruled
from oasis_alloc.kernels.rules.rules import Rules
from oasis_alloc.kernels.solve import decide, visit
from oasis_alloc.kernels.solve.halving import middle

Array = np.ndarray[Any, Any]

LONG = 10_000
SIZE = 6
GAMMAS = (1.0, 1e-3, 1e-6, 1e-9, 1e-12, 1e-30)  # of the largest score
ROUNDING = 1e-9


def scores(name: str, n: int, rng: np.random.Generator) -> Array:
    """Scores of a kind."""
    uniform = rng.random(n)
    kinds = {
        "uniform": uniform,
        "all equal": np.full(n, 0.7),
        "blocks of ties": rng.integers(1, 8, n) / 7.0,
        "integers": rng.integers(-2, 5, n).astype(float),
        "far apart": 10.0 ** rng.uniform(-300, 300, n),
        "negative": -uniform,
        "zeros": np.where(uniform < 0.999, 0.0, uniform),
        "one outlier": np.where(np.arange(n) == n // 2, 1e9, uniform),
        "barred by penalties": uniform - 1e9 * (rng.random(n) < 0.5),
        "large, next to each other": 1e15 + rng.integers(0, 3, n),
    }
    return kinds[name]


KINDS = (
    "uniform", "all equal", "blocks of ties", "integers", "far apart", "negative", "zeros", "one outlier",
    "barred by penalties", "large, next to each other",
)  # fmt: skip


class Rule(NamedTuple):
    """Rules of one user in short: nested systems of (categories, cap), finest first, and what crosses them."""

    chain: tuple[tuple[int, int], ...] = ()
    steps: tuple[float, ...] = ()  # of the coarsest, in largest scores
    crossing: tuple[int, int] | None = None
    least: int = 0
    keep: float | None = None


RULES = {
    "size alone": Rule(),
    "one cap": Rule(((3, 2),)),
    "many categories": Rule(((2000, 1),)),
    "nested caps": Rule(((60, 1), (6, 2))),
    "diminishing": Rule(((40, 2), (4, 4)), (0.0, 0.1, 0.3, 1.0)),
    "at least": Rule(((3, 2),), least=5),
    "keep": Rule(keep=0.9),
    "keep, nested caps": Rule(((60, 1), (6, 2)), keep=0.95),
    "crossing": Rule(((3, 2),), crossing=(4, 2)),
    "keep, crossing": Rule(((3, 2),), crossing=(4, 2), keep=0.9),
}
NESTED = [name for name, rule in RULES.items() if rule.crossing is None and rule.keep is None]


class User(NamedTuple):
    """One user: `of` says the category of a candidate by system, the crossing one last."""

    data: Data
    rules: Rules
    of: Array  # (n_systems, n)
    most: list[int]


def user(rule: Rule, values: Array, seed: int = 0, column: Array | None = None, unit: float = 1.0) -> User:
    """A user with these scores under a rule; every candidate is a class of its own."""
    rng, n = np.random.default_rng(seed), values.size
    largest = max(float(values.max(initial=0.0)), 1e-300)
    systems, most = [], []
    number = rng.permutation(n)
    for categories, cap in rule.chain:  # those of a coarser system are made of whole finer ones
        systems.append(number % categories)
        most.append(cap)
    start, further, stairs = np.empty(0, np.int64), np.empty(0, np.int32), np.empty((0, 2))
    if rule.crossing is not None:
        categories, cap = rule.crossing
        further = rng.integers(0, categories, n).astype(np.int32)
        start = np.arange(n + 1)
        stairs = np.tile(np.append(np.zeros(cap), np.inf), (categories, 1))
    steps = np.append(np.array(rule.steps or (0.0,)) * largest, np.inf)
    chain = np.array(systems, np.int32).reshape(len(systems), n)
    stair = len(systems) - 1 if rule.steps else -1
    free = [sum(s == 0.0 for s in rule.steps) if k == stair else cap for k, cap in enumerate(most)]
    rules = Rules(
        size=np.array([SIZE]), least=np.array([min(rule.least, n)]), weight=np.ones(1), of=chain,
        most=np.array(most, np.int64), free=np.array(free, np.int64), n=int(chain.max(initial=-1)) + 1, stair=stair,
        steps=steps, start=start, further=further, staircase=stairs, guard=readonly(np.empty(0)), target=np.empty(0),
    )  # fmt: skip
    pairs = visit.Pairs(
        readonly(np.array([0, n])), readonly(np.arange(n).astype(np.uint32)), readonly(values.astype(float)),
        readonly(np.empty((0, n))), readonly(np.zeros(1, np.uint32)),
    )  # fmt: skip
    of = np.vstack([chain, further[None]]) if rule.crossing is not None else chain
    made = User(Data(pairs, np.zeros((1, 1, n)), n), rules, of, [*most, *([rule.crossing[1]] if rule.crossing else [])])
    if rule.keep is not None:
        column = rng.random(n) if column is None else column
        target = rule.keep * best_by_program(made, column) * (1.0 - 1e-9)
        made = made._replace(rules=rules._replace(guard=readonly(unit * column), target=np.array([unit * target])))
    return made


def greedy(given: User, s: Array) -> float:
    """What the best slate is worth where categories nest: the best next candidate, one after the other."""
    rules, out = given.rules, 0.0
    taken = [np.zeros(int(of.max(initial=0)) + 1, int) for of in given.of]
    left = np.ones(s.size, bool)
    for place in range(SIZE):
        gain = np.where(left, s, -np.inf)
        for k, of in enumerate(given.of):
            stairs = rules.steps if k == rules.stair else np.append(np.zeros(given.most[k]), np.inf)
            gain = gain - stairs[np.minimum(taken[k], stairs.size - 1)][of]
        i = int(np.argmax(gain))
        if gain[i] == -np.inf or (gain[i] <= 0.0 and place >= rules.least[0]):
            break
        out += gain[i]
        left[i] = False
        for k, of in enumerate(given.of):
            taken[k][of[i]] += 1
    return out


def best_by_program(given: User, s: Array) -> float:
    """What the best slate is worth, by linear programming; no decrements."""
    n, rows, limits = s.size, [np.ones(s.size)], [float(SIZE)]
    for k, of in enumerate(given.of):
        for category in np.unique(of):
            rows.append((of == category).astype(float))
            limits.append(float(given.most[k]))
    if given.rules.target.size:
        scale = np.abs(given.rules.guard).max() or 1.0
        rows.append(-np.array(given.rules.guard) / scale)
        limits.append(-float(given.rules.target[0]) / scale)
    size = np.abs(s).max() or 1.0
    options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    result = linprog(-s / size, np.array(rows), np.array(limits), bounds=(0.0, 1.0), method="highs", options=options)
    assert result.status == 0, result.message
    return float(-result.fun) * size if n else 0.0


def slate(given: User, gamma: float) -> tuple[Array, Array]:
    """(x, the numbers of a visit)."""
    got = run(ruled.VISIT, given.data, given.rules, gamma)
    x = np.zeros(given.data.of.size)
    run(ruled.ALLOCATE, given.data, given.rules, gamma, 0.0, got["threshold"], got["nu"], x=x)
    if gamma >= 1e-9 * float(np.abs(given.data.scores).max()):  # from another start, the same but for roundings
        assert got["load"].sum() == pytest.approx(x.sum(), abs=1e-6)
    return x, got["out"]


def worth(given: User, s: Array, x: Array) -> float:
    """What a slate is worth, less what decrements take."""
    rules, paid = given.rules, 0.0
    if rules.stair >= 0:
        mass = np.bincount(given.of[rules.stair], x)
        rank = np.arange(rules.steps.size - 1)
        paid = float(np.sum(np.clip(mass[:, None] - rank, 0.0, 1.0) * rules.steps[:-1]))
    return float(s @ x) - paid


def check_rules(given: User, x: Array) -> None:
    rules = given.rules
    assert x.min(initial=0.0) >= 0.0
    assert x.max(initial=0.0) <= 1.0
    assert rules.least[0] - ROUNDING <= x.sum() <= SIZE + ROUNDING
    for k, of in enumerate(given.of):
        assert np.bincount(of, x).max(initial=0.0) <= given.most[k] + ROUNDING
    if rules.target.size:
        assert rules.guard @ x >= rules.target[0] - ROUNDING * abs(rules.target[0])


def check_bound(given: User, s: Array, x: Array, out: Array, best: float, gamma: float, near: float = 2.0) -> None:
    size = max(float(np.abs(s[x > 0.0]).max(initial=0.0)), abs(best))
    off, smoothing = ROUNDING * size, 0.5 * gamma * SIZE
    assert max(worth(given, s, x), out[visit.VALUE]) <= out[visit.BOUND] + off
    assert best - off <= out[visit.BOUND] <= best + near * smoothing + off
    assert best - smoothing - off <= out[visit.SMOOTHED] <= best + off


@pytest.mark.few(2)
@pytest.mark.parametrize("longest", [1_000, *full_only(LONG)])  # the twin picks in Python, the longest for a second
@pytest.mark.parametrize(("name", "kind"), diagonal(NESTED, KINDS))
def test_nested_rules_are_solved_on_any_list_at_any_smoothing(name: str, kind: str, longest: int) -> None:
    for n in (1, 40, longest):
        rng = np.random.default_rng(n)
        s = scores(kind, n, rng)
        given = user(RULES[name], s)
        best = greedy(given, s)
        for part in GAMMAS:
            gamma = part * (max(float(s.max()), 0.0) or float(np.abs(s).max()) or 1.0)
            x, out = slate(given, max(gamma, 1e-307))
            check_rules(given, x)
            check_bound(given, s, x, out, best, gamma)
            size = max(float(np.abs(s[x > 0.0]).max(initial=0.0)), abs(best))
            assert worth(given, s, x) >= best - gamma * SIZE - 1e-7 * size


@pytest.mark.few(2)
@pytest.mark.parametrize("longest", [300, *full_only(LONG)])  # by linear programming, the longest take a second each
@pytest.mark.parametrize(
    ("name", "kind"),
    diagonal(
        [name for name in RULES if name not in NESTED],
        ["uniform", "all equal", "blocks of ties", "integers", "negative", "zeros"],
    ),
)
def test_guards_and_crossing_rules_are_solved_on_long_lists_at_any_smoothing(
    name: str, kind: str, longest: int
) -> None:
    for n in (7, 300, longest if RULES[name].crossing is None else min(longest, 2000)):
        s = scores(kind, n, np.random.default_rng(n))
        given = user(RULES[name], s)
        best = best_by_program(given, s)
        for part in (1.0, 1e-3, 1e-6, 1e-9, 1e-12):
            gamma = part * (float(s.max()) if s.max() > 0.0 else float(np.abs(s).max()) or 1.0)
            x, out = slate(given, gamma)
            check_rules(given, x)
            check_bound(given, s, x, out, best, gamma)
            if given.rules.start.size == 0 and part >= 1e-9:
                known = 1e-7 + 1e-15 / part  # what x is known to: a rounding of the scores, over the smoothing
                assert worth(given, s, x) >= best - gamma * SIZE - known * max(abs(best), 1.0)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", RULES)
def test_scores_in_any_unit_have_the_same_slate(name: str) -> None:
    s = scores("uniform", 200, np.random.default_rng(5))
    given = user(RULES[name], s)
    x, out = slate(given, 1e-3)
    for unit in (1e-12, 1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9, 1e12):
        other = user(RULES[name], unit * s)
        scaled, numbers = slate(other, 1e-3 * unit)
        assert scaled == pytest.approx(x, abs=1e-6)
        assert numbers[visit.BOUND] == pytest.approx(unit * out[visit.BOUND], rel=1e-8)


@pytest.mark.parametrize("name", ["keep", "keep, nested caps", "keep, crossing"])
def test_what_is_kept_in_any_unit_has_the_same_slate(name: str) -> None:
    s = scores("uniform", 200, np.random.default_rng(5))
    x, out = slate(user(RULES[name], s), 1e-3)
    for unit in (1e-12, 1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9, 1e12):
        scaled, numbers = slate(user(RULES[name], s, unit=unit), 1e-3)
        assert scaled == pytest.approx(x, abs=1e-6)
        assert numbers[visit.BOUND] == pytest.approx(out[visit.BOUND], rel=1e-8)


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", KINDS)
def test_plain_slates_are_solved_on_any_list_at_any_smoothing(kind: str) -> None:
    for n in (1, 40, LONG):
        s = scores(kind, n, np.random.default_rng(n))
        given = user(Rule(), s)
        best = float(np.sort(np.maximum(s, 0.0))[-SIZE:].sum())
        for part in GAMMAS:
            gamma = max(part * (float(np.abs(s).max()) or 1.0), 1e-307)
            got = call(given.data, SIZE, gamma)
            x = np.zeros(n)
            decide.allocate(0, 1, given.data.pairs, given.data.price, SIZE, gamma, got["threshold"], x)
            assert x.sum() <= SIZE * (1 + 2e-12), "no more than the slots, or its value could be above the bound"
            assert got["load"].sum() == pytest.approx(x.sum(), abs=2e-6)
            off = 1e-6 * max(float(s.max()), 0.0)
            assert got["out"][visit.BOUND] == pytest.approx(best, rel=1e-12)
            assert s @ x <= best + off
            assert best - 0.5 * gamma * SIZE - off <= got["out"][visit.SMOOTHED] <= best + off


@pytest.mark.parametrize("kind", KINDS)
def test_propensities_of_a_smoothing_fill_the_slate_and_no_more(kind: str) -> None:
    for n in (1, 40, LONG):
        s = scores(kind, n, np.random.default_rng(n))
        for part in GAMMAS:
            x = np.empty(n)
            sample.smooth(s, SIZE, max(part * (float(np.abs(s).max()) or 1.0), 1e-307), x)
            whole = min(SIZE, int((s > 0.0).sum()))
            assert x.sum() <= SIZE + 1e-9
            assert x.min() >= 0.0
            assert x.max() <= 1.0
            if part <= 1e-30 and kind != "far apart":  # what is left of slots goes to the best, or is shared by ties
                assert x.sum() == pytest.approx(whole, abs=1e-9)
                assert s[x > 0.0].min(initial=np.inf) >= s[x < 1.0].max(initial=0.0)


def test_ties_share_the_slots_that_better_candidates_leave() -> None:
    s, x = np.array([3.0, 2.0, 1.0, 2.0, 2.0]), np.empty(5)
    sample.smooth(s, 2, 1e-20, x)
    assert x == pytest.approx([1.0, 1 / 3, 0.0, 1 / 3, 1 / 3], abs=1e-15)
    given = user(Rule(((2, 1),)), np.array([2.0, 2.0, 2.0, 1.0]))
    x, _ = slate(given, 1e-20)
    category = given.of[0]
    expected = [1.0 / np.sum((category == category[i]) & (np.arange(4) < 3)) for i in range(3)]
    assert x == pytest.approx([*expected, float((category[:3] != category[3]).all())], abs=1e-15)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 1.0), (-1.0, 2.0), (1e-300, 1e300), (0.0, 1e300), (-1e300, 0.0), (-1e300, -1e-300), (3.0, 3.5)],
)
@pytest.mark.parametrize("side", [0, 1, None])
def test_seventy_halvings_lead_to_neighbors_from_anywhere(low: float, high: float, side: int | None) -> None:
    rng, turns = np.random.default_rng(0), 0
    while True:
        at = middle(low, high)
        if not low < at < high:
            break
        turns += 1
        low, high = (at, high) if (side if side is not None else rng.integers(2)) else (low, at)
    assert high == np.nextafter(low, np.inf)
    assert turns <= 70


AHEAD = {  # scores, categories of the chain and of the crossing system, and the size of the slate
    "three of a category, and one far above": ([147.18, 147.18, 147.18, 303001.6], [2, 0, 2, 1], [0, 0, 0, 0], 4),
    "two tied, and one far above": (
        [70.658912449, 70.658912449, 0.004, 184925.0],
        [2, 2, 1, 1],
        [0, 0, 1, 0],
        2,
    ),
    "two next to each other": ([1.423279644482971, 1.423279651, 0.00046, 1516.7397], [1, 0, 1, 0], [0, 0, 0, 0], 4),
    "all in one category": ([2502.79, 2502.79, 2502.79, 0.02, 4991006.2], [0, 0, 0, 2, 1], [0, 0, 0, 0, 0], 2),
}


@pytest.mark.parametrize("name", AHEAD)
@pytest.mark.parametrize("part", [1e-8, 1e-10, 1e-12])
def test_crossing_caps_leave_no_slot_empty_next_to_much_larger_scores(name: str, part: float) -> None:
    """The rounding of a price is that of the scores that it is between, and not that of the largest score."""
    values, chain, crossing, size = AHEAD[name]
    s, further = np.array(values), np.array(crossing, np.int32)
    given = user(Rule(((3, 1),), crossing=(3, 1)), s)
    of = np.array([chain], np.int32)
    rules = given.rules._replace(size=np.array([size]), of=of, further=further, n=3)
    given = given._replace(rules=rules, of=np.vstack([of, further[None]]))
    gamma = part * float(np.sort(s)[-2])
    x, out = slate(given, gamma)
    best = best_by_program(given, s)
    assert np.bincount(further, x).max() <= 1.0 + ROUNDING
    assert s @ x == pytest.approx(best, rel=1e-6)
    assert out[visit.BOUND] == pytest.approx(best, rel=1e-9)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("kind", "part"),
    diagonal(["all equal", "blocks of ties", "integers", "uniform"], {"1e-08": 1e-8, "1e-09": 1e-9, "1e-10": 1e-10}),
)
def test_crossing_caps_leave_no_slot_empty_at_next_to_no_smoothing(kind: str, part: float) -> None:
    """Of ties, almost two slots of six stayed empty where the search for prices had not arrived."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        s = scores(kind, 20 + 5 * seed, rng)
        given = user(Rule(((8, 1),), crossing=(9, 1)) if seed % 2 else RULES["crossing"], s, seed)
        x = np.zeros(s.size)
        run(ruled.ALLOCATE, given.data, given.rules, part * float(s.max()), x=x)
        check_rules(given, x)
        assert best_by_program(given, (s > 0.0).astype(float)) - x[s > 0.0].sum() <= 1e-6
        assert s @ x >= best_by_program(given, s) - float(s.max()) * (SIZE * part + 1e-5)
