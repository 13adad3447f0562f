"""Draws with exact inclusion probabilities: against twins in plain Python, and by how often each entry comes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
from draws import MASK, ONE, Stream
from effort import examples, full_only
from hypothesis import given
from hypothesis import strategies as st
from served import N_USERS, PROBLEMS, attributes_of, policy, request, solved

import oasis_alloc as oa
from oasis_alloc.engines.threads import Threads
from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.draw import rounding
from oasis_alloc.kernels.draw import sample as kernels
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.rules import ruled
from oasis_alloc.program.lowering import lower

Array = np.ndarray[Any, Any]
METHODS = [kernels.systematic, kernels.pivotal]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)

DRAWS = 200_000


def parts(x: Array) -> tuple[list[int], list[int], list[int]]:
    q = [int(min(max(v, 0.0), 1.0) * ONE) for v in x.tolist()]
    certain = [i for i, p in enumerate(q) if p >= ONE]
    return q, [i for i, p in enumerate(q) if 0 < p < ONE], certain[::-1]


def systematic_twin(x: Array, most: int, seed: int, number: int) -> list[int]:
    q, order, certain = parts(x)
    stream = Stream(seed, number)
    place, found, draw = stream.draw() >> 12, [], 0
    for j in range(len(order)):
        draw = (draw << 32 & MASK) if j % 2 else stream.draw()
        other = j + ((draw >> 32) * (len(order) - j) >> 32)
        order[j], order[other] = order[other], order[j]
        place += q[order[j]]
        if place >= ONE:
            place -= ONE
            found.append(order[j])
    return found[: most - len(certain)] + certain


def pivotal_twin(x: Array, most: int, seed: int, number: int) -> list[int]:
    q, order, certain = parts(x)
    stream = Stream(seed, number)
    holder, left, found = -1, 0, []
    for j in range(len(order)):
        other = j + ((stream.draw() >> 32) * (len(order) - j) >> 32)
        order[j], order[other] = order[other], order[j]
        i = order[j]
        if left == 0:
            holder, left = i, q[i]
            continue
        total = left + q[i]
        of, winning = (total, left) if total <= ONE else (2 * ONE - total, ONE - q[i])
        won, lost = (holder, i) if stream.uniform() * float(of) < float(winning) else (i, holder)
        holder, left = (won, total) if total < ONE else (lost, total - ONE)
        found += [won] if total >= ONE else []
    if left > 0 and stream.uniform() * ONE < left:
        found.append(holder)
    return found[: most - len(certain)] + certain


TWINS = {"systematic": systematic_twin, "pivotal": pivotal_twin}


def drawn(method: Any, x: Array, seed: int = 0, number: int = 0, most: int | None = None) -> list[int]:
    out = np.empty(x.size, np.int64)
    n = method(x, x.size if most is None else most, seed, number, out)
    return out[:n].tolist()


@jit
def count(method: Any, x: Array, draws: int, times: Array, together: Array, sizes: Array) -> None:
    out, seed = np.empty(x.size, np.int64), not_literal(11)
    for number in range(draws):
        n = method(x, x.size, seed, number, out)
        sizes[n] += 1
        for j in range(n):
            times[out[j]] += 1
            for k in range(n):
                together[out[j], out[k]] += 1


def frequencies(method: Any, x: Array) -> tuple[Array, Array, Array]:
    """(how often each entry is in, how often each two are, how often there are so many) of `DRAWS` draws."""
    times, together, sizes = np.zeros(x.size), np.zeros((x.size, x.size)), np.zeros(x.size + 1)
    count(method, x, DRAWS, times, together, sizes)
    return times / DRAWS, together / DRAWS, sizes / DRAWS


def noise(p: Array) -> Array:
    """Five standard deviations of a frequency, and rounding."""
    return 5.0 * np.sqrt(p * (1.0 - p) / DRAWS) + 1e-12


PROBABILITIES = {
    "the textbook's": np.array([0.95, 0.9, 0.8, 0.5, 0.4, 0.2, 0.15, 0.1]),
    "a sum that is not whole": np.array([0.3, 0.0, 1.0, 0.71, 0.002, 0.999, 0.25]),
    "less than one": np.array([0.1, 0.05, 0.2]),
    "tenths": np.full(30, 0.1),
}


@pytest.mark.few(2)
@each_method
@pytest.mark.parametrize("x", list(PROBABILITIES.values()), ids=list(PROBABILITIES))
def test_each_entry_is_in_as_often_as_it_should(method: Any, x: Array) -> None:
    often, together, sizes = frequencies(method, x)
    assert (np.abs(often - x) <= noise(x)).all()
    low = np.floor(x.sum() + 1e-9)
    part = x.sum() - low
    assert abs(sizes[int(low)] - (1 - part)) <= noise(part), "floor or ceil, as often as the mean asks for"
    assert sizes[int(low)] + (sizes[int(low) + 1] if part > 1e-9 else 0.0) == 1.0
    product = np.outer(x, x)
    if method is kernels.pivotal:
        apart = ~np.eye(x.size, dtype=bool)
        assert (together <= product + noise(product))[apart].all(), "negatively associated"


def test_choice_without_replacement_is_no_such_thing() -> None:
    x = PROBABILITIES["the textbook's"]
    rng = np.random.default_rng(0)
    times = np.zeros(x.size)
    for _ in range(4000):
        times[rng.choice(x.size, 4, replace=False, p=x / x.sum())] += 1
    assert times[0] / 4000 < 0.85, "it is asked for 0.95"


@each_method
@given(
    x=st.lists(
        st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 0.25, 1e-300, 1 - 2**-53, 2**-52])), max_size=30
    ),
    seed=st.integers(0, 2**63 - 1),
    number=st.integers(0, 2**40),
)
def test_draws_are_those_of_the_documented_generator(method: Any, x: list[float], seed: int, number: int) -> None:
    array = np.array(x, np.float64)
    found = drawn(method, array, seed, number)
    assert found == TWINS[method.__name__](array, array.size, seed, number)
    assert len(set(found)) == len(found)
    total = sum(int(v * ONE) for v in x)
    assert total // ONE <= len(found) <= -(-total // ONE)
    assert all(i in found for i, v in enumerate(x) if v == 1.0)
    assert not any(i in found for i, v in enumerate(x) if v == 0.0)


@each_method
@given(seed=st.integers(0, 2**63 - 1), excess=st.sampled_from([0.0, 1e-9, 1e-3, 0.5]))
def test_never_more_than_asked_for(method: Any, seed: int, excess: float) -> None:
    x = np.array([0.5, 1.0, 0.75, 0.75, excess])
    assert len(drawn(method, x, seed, most=3)) <= 3
    assert drawn(method, x, seed, most=0) == []


@each_method
def test_sums_that_are_whole_but_for_rounding_are_filled(method: Any) -> None:
    for n in (3, 7, 10, 49):
        x = np.full(n, 1.0 / n)
        assert all(len(drawn(method, x, seed)) == 1 for seed in range(200))


def test_draws_of_two_streams_or_seeds_have_nothing_in_common() -> None:
    first = np.array([[Stream(seed, number).uniform() for number in range(200)] for seed in range(200)])
    assert abs(np.corrcoef(first.ravel()[:-1], first.ravel()[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(first[:-1].ravel(), first[1:].ravel())[0, 1]) < 0.02
    assert abs(first.mean() - 0.5) < 0.01


def test_no_entry_no_draw() -> None:
    assert drawn(kernels.systematic, np.empty(0)) == drawn(kernels.pivotal, np.empty(0)) == []


# policies that draw

SLATES = [name for name in PROBLEMS if name != "supply and positions"]  # there the solver's x is attention
RULE = oa.Exploration(share=0.2, smoothing=0.3)


@pytest.mark.parametrize("name", SLATES)
def test_smoothing_is_the_solvers_own(name: str) -> None:
    solution, served = solved(name), policy(name)
    program = lower(solution.problem)
    prices = np.concatenate([np.empty(0), *solution.prices.values()])
    for gamma in (0.05, 1.0):
        expected = np.zeros(program.n_pairs)
        with Threads(program, 1) as engine:
            positions, x = engine.visit(prices, gamma).slates()
        expected[positions] = x
        for u in range(0, N_USERS, 4):
            cands = solution.problem.candidates
            mine = expected[cands.indptr[u] : cands.indptr[u + 1]]
            found = served.propensities(*request(cands, u), user=u, exploration={"smoothing": gamma})
            np.testing.assert_allclose(found, mine, atol=2e-6)


@pytest.mark.parametrize("rules", [{"at_most": {"a": 1, "b": 2}}, {"at_most": {"a": 2}, "diminishing": {"b": 0.2}}, {}])
def test_slates_stay_full_next_to_scores_that_are_far_ahead(rules: dict[str, Any]) -> None:
    n, rng = 15, np.random.default_rng(11)
    values = rng.random(n)
    cands = oa.Candidates.from_arrays(
        [0, n], np.arange(n), {"r": values}, items={"a": np.arange(n) % 5, "b": np.arange(n) % 3}
    )
    served = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(4, **rules))).policy()
    for power in (3, 8, 10, 13, 300):
        for smoothing in (1.0, 0.1, 0.01):
            far = values.copy()
            far[[0, 1]] = 10.0**power, 1e3  # of different categories
            x = served.propensities(np.arange(n), {"r": far}, exploration={"smoothing": smoothing})
            assert x.sum() == pytest.approx(4.0, abs=1e-6)
            assert x[[0, 1]] == pytest.approx([1.0, 1.0], abs=1e-6)
            near = {"r": np.minimum(far, 1e3)}
            expected = served.propensities(np.arange(n), near, exploration={"smoothing": smoothing})
            assert x == pytest.approx(expected, abs=1e-6), "how far ahead they are changes nothing"


@pytest.mark.parametrize("name", PROBLEMS)
def test_propensities_keep_the_rules_of_slates(name: str) -> None:
    served, slate, cands = policy(name), solved(name).problem.slate, solved(name).problem.candidates
    for u in range(3):
        items, columns = request(cands, u)
        size = min(int(np.broadcast_to(slate.size, N_USERS)[u]), items.size)
        for rule in (RULE, oa.Exploration(0.5), oa.Exploration(1.0), oa.Exploration(smoothing=2.0), None):
            x = served.propensities(items, columns, u, exploration=rule)
            assert ((x >= 0) & (x <= 1)).all()
            assert int(np.broadcast_to(slate.at_least, N_USERS)[u]) - 1e-6 <= x.sum() <= size + 1e-6
            for key, most in slate.at_most.items():
                indptr, codes = cands.items[key].membership()
                sums = np.zeros(cands.items[key].n_groups)
                for item, part in zip(items, x, strict=True):
                    sums[codes[indptr[item] : indptr[item + 1]]] += part
                assert sums.max() <= most + 1e-6
            if not slate.at_most and rule in (RULE, oa.Exploration(0.5)):
                assert (x >= rule.share * size / items.size - 1e-12).all(), "everybody has a chance"
            if rule is None:
                assert np.flatnonzero(x).tolist() == sorted(served.select(items, columns, u))


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["one column", *full_only("rules that nest", "rules that cross"), "a share kept"])
def test_policies_show_every_candidate_as_often_as_they_say(name: str) -> None:
    served, cands = solved(name).policy(exploration=RULE), solved(name).problem.candidates
    slate, (items, columns) = served.data.slate, request(cands, 2)
    x, scores = served.propensities(items, columns, 2), served.score(items, columns, 2)
    draws = 300 + 12 * examples(100)
    times = np.zeros(items.size)
    nested = name != "rules that cross"
    for seed in range(draws):
        positions, propensities = served.sample(items, columns, 2, rng=seed)
        assert (propensities == x[positions]).all()
        assert (np.diff(scores[positions]) <= 0).all(), "best first"
        assert slate.at_least <= len(positions) <= slate.size
        for key, most in slate.at_most.items():
            indptr, codes = cands.items[key].membership()
            labels = np.concatenate([codes[indptr[i] : indptr[i + 1]] for i in items[positions]])
            assert np.bincount(labels, minlength=1).max() <= most + (not nested)
        times[positions] += 1
    assert (np.abs(times / draws - x) <= 5 * np.sqrt(x * (1 - x) / draws) + 1e-9).all()


def test_a_draw_is_that_of_its_seed() -> None:
    served, (items, columns) = policy("one column"), request(solved("one column").problem.candidates, 2)
    draws = [served.sample(items, columns, rng=rng, exploration=RULE).positions.tolist() for rng in (3, 3, 4, 5, 6)]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 1
    first, again = (
        served.sample(items, columns, rng=np.random.default_rng(1), exploration=RULE).positions.tolist()
        for _ in range(2)
    )
    assert first == again
    fresh = {tuple(served.sample(items, columns, exploration=RULE).positions.tolist()) for _ in range(40)}
    assert len(fresh) > 1
    best = served.sample(items, columns)
    assert best.positions.tolist() == served.select(items, columns).tolist()
    assert best.propensities.tolist() == [1.0] * len(best.positions)


@pytest.mark.parametrize("name", ["one column", "rules that nest", "rules that cross"])
def test_what_a_request_says_counts_in_draws(name: str) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    items, columns = request(cands, 2)
    x = served.propensities(items, columns, 2, k=2, exclude=[1, 4], exploration=RULE)
    assert x[[1, 4]].tolist() == [0.0, 0.0]
    assert x.sum() <= 2 + 1e-9
    assert len(served.sample(items, columns, 2, k=2, exclude=[1, 4], rng=1, exploration=RULE).positions) <= 2
    unseen = np.full(items.size, -1)
    attributes = attributes_of(cands, items, served.data.item_keys)
    same = served.propensities(unseen, columns, 2, exploration=RULE, **attributes)
    np.testing.assert_allclose(same, served.propensities(items, columns, 2, exploration=RULE), atol=1e-6)
    assert len(served.sample(unseen, columns, 2, rng=3, exploration=RULE, **attributes).positions) <= 4
    assert served.sample([], {key: [] for key in columns}, rng=1, exploration=RULE).positions.size == 0
    assert served.sample(items, columns, k=0, rng=1, exploration=RULE).positions.size == 0


@pytest.mark.parametrize("name", ["rules that nest", "rules that cross", "a share kept", "sizes by user"])
def test_scratch_of_earlier_requests_changes_nothing(name: str) -> None:
    """Longer and shorter requests one after the other, and of four threads at once: the bits are those of the first."""
    served, cands = solved(name).policy(), solved(name).problem.candidates
    rng = np.random.default_rng(2)

    def found(policy_: oa.Policy, case: tuple[int, int]) -> list[float]:
        items, columns = request(cands, case[0])
        cut = {column: numbers[: case[1]] for column, numbers in columns.items()}
        return policy_.propensities(items[: case[1]], cut, case[0], exploration=RULE).tolist()

    cases = [(int(rng.integers(0, N_USERS)), int(n)) for n in rng.permutation([1, 2, 4, 5, 7, 8, 9, 9])]
    first = [found(solved(name).policy(), case) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda case: found(served, case), cases * 8)) == first * 8
    for kernel in served._sampler._own._rules.values():
        for free in kernel.free.values():
            assert len(free) <= 4
            assert len({id(work.x) for _, (_, work) in free}) == len(free)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["one column", "rules that nest", "rules that cross", "a share kept", "sizes by user"])
def test_no_draw_compiles_after_the_warm_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    types: set[Any] = set()

    def watch(module: Any, kernel: str) -> None:
        run = getattr(module, kernel)

        def noted(*arguments: Any) -> Any:
            types.add((kernel, *map(numba.typeof, arguments)))
            return run(*arguments)

        monkeypatch.setattr(module, kernel, noted)

    for module, kernel in (
        (kernels, "systematic"), (kernels, "smooth"), (rounding, "round_nested"), (rounding, "round_crossing"),
        (ruled, "visit"),
    ):  # fmt: skip
        watch(module, kernel)
    served = solved(name).policy()
    served.warmup()
    warm = set(types)
    cands = solved(name).problem.candidates
    items, columns = request(cands, 2)
    unseen, known = np.full(items.size, -1), attributes_of(cands, items, served.data.item_keys)
    both = {key: [list(served.data.item_keys[key].labels[:2])] * items.size for key in served.data.item_keys}
    for rule in (None, RULE, {"share": 1.0}, {"share": 0.1}, {"smoothing": 0.3}):
        served.sample(items, columns, 2, rng=1, exploration=rule)
        served.sample(unseen, columns, exclude=[0], k=2, exploration=rule)
        for attributes in (known, both):
            served.sample(unseen, columns, 2, rng=1, exploration=rule, **attributes)
    assert types <= warm
