"""The short path of `select` and `score` answers exactly as the long one does, and leaves what is wrong to it."""

from __future__ import annotations

import pickle
import threading
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import policies
from served import N_ITEMS, PROBLEMS, at_random_prices, labels_of, policy, request

import oasis_alloc as oa
from oasis_alloc.common.arrays import readonly
from oasis_alloc.serving.request import checked

Array = np.ndarray[Any, Any]

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", ">i4", ">i8"]
NUMBERS = [*INTEGERS, "u8", "f2", "f4", "f8", ">f8", "?"]


SHORT = ("_short_select", "_short_score")


def long_way(served: oa.Policy) -> oa.Policy:
    """The same policy without the short path; users of the one are users of the other."""
    other = oa.Policy(served.data)
    for name in SHORT:
        setattr(other._checked, name, lambda *_: None)
    return other


def outcome(call: Any, *request: Any, **options: Any) -> tuple[Any, ...]:
    """What a call returns, to the bit, or raises."""
    try:
        found = call(*request, **options)
    except Exception as error:
        return type(error), str(error)
    return found.dtype, found.shape, found.tobytes(), found.flags.writeable


def fresh(name: str) -> oa.Policy:
    """A policy that no other test has."""
    return oa.Policy(policy(name).data)


def watched(served: oa.Policy) -> list[bool]:
    """Grows by one entry per call: whether the short path answered."""
    seen: list[bool] = []

    def watch(short: Any) -> Any:
        def call(*given: Any) -> Any:
            found = short(*given)
            seen.append(found is not None)
            return found

        return call

    for name in SHORT:
        setattr(served._checked, name, watch(getattr(served._checked, name)))
    return seen


def strided(array: Array) -> Array:
    return np.repeat(array, 2)[::2]


# ---------------------------------------------------------------- whatever a host may send

FORMS = [np.copy, readonly, strided, list, tuple]
FURTHER = [lambda a: a.reshape(-1, 1), lambda a: a.astype(object)]
WILD: list[Any] = [
    None, "ab", 3, {}, [[1], [2, 3]], [1, "a"], [None], [2**70], np.zeros((2, 2)), {1, 2}, iter([0]), b"x",
]  # fmt: skip


@st.composite
def items_of(draw: st.DrawFn, n_items: int, odd: set[str]) -> Any:
    """Distinct numbers and -1 several times; `odd` names what may be otherwise."""
    if "items" in odd and draw(st.booleans()):
        return draw(st.sampled_from(WILD))
    around = st.integers(-2 if "number" in odd else 0, n_items if "number" in odd else n_items - 1)
    numbers = draw(st.lists(around, max_size=7, unique="number" not in odd)) if n_items else []
    numbers += [-1] * draw(st.integers(0, 2))
    dtypes = (
        [*INTEGERS, "u8", "f8", "?"] if "items" in odd else [d for d in INTEGERS if min([0, *numbers]) > -1 or "i" in d]
    )
    forms = FORMS + FURTHER if "items" in odd else FORMS
    return draw(st.sampled_from(forms))(np.array(numbers, np.int64).astype(draw(st.sampled_from(dtypes))))


@st.composite
def column_of(draw: st.DrawFn, n: int, odd: set[str]) -> Any:
    if "column" in odd and draw(st.booleans()):
        further = [[Decimal(1)] * n, ["a"] * n, [1j] * n, np.ones(n + 1), np.ones(n, np.longdouble)]
        return draw(st.sampled_from([*WILD, *further]))
    values = st.sampled_from([np.nan, np.inf, -np.inf, 1.7e308, -1.7e308]) if "value" in odd else st.nothing()
    numbers = np.array(draw(st.lists(st.floats(-2, 2) | values, min_size=n, max_size=n)), np.float64)
    dtype = "f8" if "value" in odd else draw(st.sampled_from(NUMBERS))
    numbers = abs(numbers) if dtype.startswith("u") else numbers
    return draw(st.sampled_from(FORMS + FURTHER if "column" in odd else FORMS))(numbers.astype(dtype))


@st.composite
def columns_of(draw: st.DrawFn, names: tuple[str, ...], n: int, odd: set[str]) -> Any:
    if "columns" in odd and draw(st.booleans()):
        return draw(st.sampled_from([None, [], "ab", 3, np.ones((2, n))]))
    columns = {name: draw(column_of(n, odd)) for name in (*names, "unused")}
    if "columns" in odd:
        columns.pop(draw(st.sampled_from(["unused", *names])))
        return draw(st.sampled_from([MappingProxyType, dict]))(columns)
    return columns


def users_of(served: oa.Policy, odd: set[str]) -> st.SearchStrategy[Any]:
    labels = served.data.user_keys
    known = st.fixed_dictionaries({}, optional={key: st.sampled_from([None, *labels[key]]) for key in labels})
    usual = st.sampled_from([None, served.user()]) | known
    if "user" not in odd:
        return usual
    keys = [*(served.data.known.user_keys if served.data.known else ()), *labels, "nonsense"]
    by_label = st.dictionaries(st.sampled_from(keys), st.sampled_from(["x", 3, None, [1]]), max_size=2)
    others = [oa.Policy(policy("one column").data).user(), "x", 1.5]
    return st.sampled_from(others) | st.integers(-1, served.data.n_users) | by_label


@st.composite
def options_of(draw: st.DrawFn, n: int, odd: set[str]) -> dict[str, Any]:
    ks = st.sampled_from([-1, True, 2.0, np.int64(2), "x", 2**62, 2**63, 1.5]) if "k" in odd else st.integers(0, 6)
    fills = st.sampled_from([np.True_, 1, "x"]) if "fill" in odd else st.booleans()
    options = {"k": draw(st.none() | ks), "fill": draw(fills)}
    for name in ("pinned", "exclude"):
        if name in odd:
            mask = st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)
            options[name] = draw(st.lists(st.integers(-1, n), max_size=3) | mask | st.sampled_from(WILD[1:]))
        elif draw(st.booleans()) and n > 1:
            half = st.integers(0, n // 2 - 1) if name == "pinned" else st.integers(n // 2, n - 1)
            options[name] = draw(st.lists(half, max_size=2, unique=True))
    return options


ODD = st.sets(
    st.sampled_from(["items", "number", "column", "value", "columns", "user", "k", "fill", "pinned", "exclude"]),
    max_size=2,
)


@pytest.mark.full
@settings(max_examples=examples(1000))
@given(draw=st.data())
def test_the_short_path_answers_as_the_long_one_does(draw: st.DataObject) -> None:
    data, odd = draw.draw(policies()), draw.draw(ODD)
    served = oa.Policy(data)
    other = long_way(served)
    items = draw.draw(items_of(data.n_items, odd))
    n = len(items) if isinstance(items, (np.ndarray, list, tuple)) else 2
    columns = draw.draw(columns_of(served.schema.columns, n, odd))
    user, options = draw.draw(users_of(served, odd)), draw.draw(options_of(n, odd))
    expected = outcome(other.select, items, columns, user, **options)
    assert outcome(served.select, items, columns, user, **options) == expected
    assert outcome(served.score, items, columns, user) == outcome(other.score, items, columns, user)
    assert served.ignored_keys == other.ignored_keys, "a key is counted once, whichever path answers"
    assert served.mistyped_requests == other.mistyped_requests


# ---------------------------------------------------------------- usual requests


@settings(max_examples=examples(60))
@given(
    name=st.sampled_from(list(PROBLEMS)), seed=st.integers(0, 10**6), k=st.none() | st.integers(0, 12),
    n=st.integers(0, N_ITEMS), fill=st.booleans(), dtype=st.sampled_from(INTEGERS), form=st.sampled_from(FORMS[:5]),
)  # fmt: skip
def test_usual_requests_take_the_short_path(
    name: str, seed: int, k: int | None, n: int, fill: bool, dtype: str, form: Any
) -> None:
    served, rng = at_random_prices(name, seed).policy(), np.random.default_rng(seed)
    numbers = rng.choice(N_ITEMS, n, replace=False)
    if not dtype.startswith("u"):
        numbers[rng.random(n) < 0.1] = -1
    items = form(numbers.astype(dtype)) if n else np.arange(0)  # an empty list is an array of floats
    columns = {column: form(rng.random(n).astype(rng.choice(["f4", "f8"]))) for column in served.schema.columns}
    seen = watched(served)
    for user in (None, int(rng.integers(30)), labels_of(at_random_prices(name, seed).problem.candidates, 3)):
        user = {key: user[key] for key in served.data.user_keys} if isinstance(user, dict) else user
        for call in ("select", "score"):
            options = {"user": user, **({"k": k, "fill": fill} if call == "select" else {})}
            expected = outcome(getattr(long_way(served), call), items, columns, **options)
            assert outcome(getattr(served, call), items, columns, **options) == expected
    assert seen == [True] * 6


def test_pinned_and_excluded_candidates_take_the_short_path() -> None:
    for name in PROBLEMS:
        served = fresh(name)
        items, columns = request(at_random_prices(name, 0).problem.candidates, 2)
        seen = watched(served)
        options = {"pinned": [4], "exclude": np.arange(items.size) % 3 == 0, "fill": True}
        expected = outcome(long_way(served).select, items, columns, **options)
        assert outcome(served.select, items, columns, **options) == expected
        assert seen == [True]


def test_scores_of_an_item_that_appears_twice_take_the_short_path() -> None:
    served = fresh("several columns")
    items, columns = request(at_random_prices("several columns", 0).problem.candidates, 2)
    items, seen = np.where(np.arange(items.size) == 3, items[5], items), watched(served)
    assert outcome(served.score, items, columns) == outcome(long_way(served).score, items, columns)
    with pytest.raises(oa.InputError, match="is at positions 3 and 5; expected each item once"):
        served.select(items, columns)
    assert seen == [True, False]


def test_scores_do_not_share_memory_with_the_next_request() -> None:
    served = fresh("one column")
    items, columns = request(at_random_prices("one column", 0).problem.candidates, 2)
    scores = served.score(items, columns)
    kept = scores.copy()
    served.score(items, {"relevance": columns["relevance"] + 1})
    assert scores.tobytes() == kept.tobytes()


def test_requests_that_are_wrong_do_not_change_the_next_one() -> None:
    served = fresh("a share kept")
    items, columns = request(at_random_prices("a share kept", 0).problem.candidates, 2)
    expected = long_way(served).select(items, columns)
    seen = watched(served)
    spoiled = columns | {"relevance": np.where(np.arange(items.size) == 4, np.nan, columns["relevance"])}
    wrong = [
        (np.append(items[:-1], items[0]), columns), (np.append(items[:-1], N_ITEMS), columns),
        (np.append(items[:-1], -2), columns), (items, spoiled), (items, {}), (items[:-1], columns),
    ]  # fmt: skip
    for request_ in wrong:
        with pytest.raises(oa.InputError):
            served.select(*request_)
        assert served.select(items, columns).tolist() == expected.tolist()
    assert seen == [False, True] * len(wrong)


def test_a_kept_column_that_no_score_reads_is_checked() -> None:
    """Scores do not show that it is not finite."""
    cands = at_random_prices("one column", 0).problem.candidates
    problem = oa.Problem(cands, oa.total("relevance"), slate=oa.Slate(2, keep={"streams": 0.5}))
    served = oa.solve(problem).policy()
    columns = {"relevance": np.ones(3), "streams": np.array([1.0, np.inf, 1.0])}
    with pytest.raises(oa.InputError, match=r"columns\['streams'\]: entry 1 is inf"):
        served.select([1, 2, 3], columns)


def test_buffers_grow_with_requests_and_huge_requests_leave_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "_LARGEST", 300)
    cands = oa.Candidates.from_arrays([0, 2], [0, 999], {"r": [0.5, 0.25]}, items={"artist": np.arange(1000) % 7})
    served = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(5, at_most={"artist": 1}))).policy()
    seen, rng = watched(served), np.random.default_rng(1)
    for n in (3, 200, 7, 300, 301, 1000):
        items, columns = rng.permutation(1000)[:n], {"r": rng.random(n)}
        assert served.select(items, columns).tolist() == long_way(served).select(items, columns).tolist()
    assert seen == [True, True, True, True, False, False]
    assert [buffers.capacity for buffers in served._checked._pool] == [512]


# ---------------------------------------------------------------- buffers that requests share


class Asking:
    """A column that asks the same policy for another slate while it is read."""

    def __init__(self, values: Array, ask: Any) -> None:
        self.values, self.ask = values, ask

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self.ask()
        return self.values


@pytest.mark.parametrize("name", ["one column", "several columns", "rules that nest", "a share kept"])
def test_a_request_within_a_request_has_its_own_buffers(name: str) -> None:
    served, cands = at_random_prices(name, 5).policy(), at_random_prices(name, 5).problem.candidates
    (items, columns), (others, further) = request(cands, 3), request(cands, 4)
    expected, inner = served.select(items, columns).tolist(), served.select(others, further).tolist()
    answers: list[Any] = []
    asking = {
        column: Asking(values, lambda: answers.append(served.select(others, further).tolist()))
        for column, values in columns.items()
    }
    assert served.select(items, asking).tolist() == expected
    assert answers == [inner] * len(answers)
    assert answers


@pytest.mark.parametrize("name", ["one column", "rules that nest", "a share kept"])
def test_threads_share_a_policy(name: str) -> None:
    solution = at_random_prices(name, 6)
    served, cands = solution.policy(), solution.problem.candidates
    requests = [request(cands, u) for u in range(8)]
    expected = [long_way(served).select(*one, user=u).tolist() for u, one in enumerate(requests)]
    start, wrong = threading.Barrier(4), []

    def work(first: int) -> None:
        start.wait()
        for at in range(first, first + 400):
            u = at % len(requests)
            if served.select(*requests[u], user=u).tolist() != expected[u]:
                wrong.append(u)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= len(served._checked._pool) <= 4


def test_buffers_of_a_call_that_failed_are_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    served = fresh("rules that nest")
    items, columns = request(at_random_prices("rules that nest", 0).problem.candidates, 1)
    expected = served.select(items, columns).tolist()
    (buffers,) = served._checked._pool

    def fail(*_: object) -> None:
        raise MemoryError

    buffers.pick = fail
    with pytest.raises(MemoryError):
        served.select(items, columns)
    assert not served._checked._pool
    assert served.select(items, columns).tolist() == expected


def test_bits_that_are_left_set_cost_one_long_call() -> None:
    """So it is if another thread writes into `items` during a call."""
    served = fresh("one column")
    items, columns = request(at_random_prices("one column", 0).problem.candidates, 1)
    expected = served.select(items, columns).tolist()
    (buffers,) = served._checked._pool
    buffers.seen[:] = 2**64 - 1
    seen = watched(served)
    assert [served.select(items, columns).tolist() for _ in range(2)] == [expected, expected]
    assert seen == [False, True]


def test_a_policy_that_has_answered_can_be_pickled() -> None:
    served = fresh("rules that nest")
    items, columns = request(at_random_prices("rules that nest", 0).problem.candidates, 1)
    slate = served.select(items, columns)
    again: oa.Policy = pickle.loads(pickle.dumps(served))
    assert again.select(items, columns).tolist() == slate.tolist()
