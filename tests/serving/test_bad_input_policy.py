"""Bad requests and bad policies: what is wrong, and the words that the error must contain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from crossing import crossed
from served import policy, request, solved

import oasis_alloc as oa
from oasis_alloc.common.arrays import readonly
from oasis_alloc.errors import InputError, OasisAllocError, ProblemError, SnapshotError
from oasis_alloc.hosting.publishing import refuse
from oasis_alloc.serving.data import Decrements, ItemKey, Known, PolicyData, PriceTerm

NAN, INF = float("nan"), float("inf")
RELEVANCE = {"relevance": [0.5], "promotion": [0.5]}


def ask(items: Any = (3, 1), columns: Any = None, name: str = "segments", call: str = "score", **more: Any) -> Any:
    given = {"relevance": [0.5, 0.25], "promotion": [0.1, 0.2]} if columns is None else columns
    return getattr(policy(name), call)(items, given, **more)


def pick(**more: Any) -> Any:
    return ask(call="select", name="rules that nest", **more)


def draw(**more: Any) -> Any:
    return ask(call="sample", **more)


def all_of(call: str = "score_batch", **more: Any) -> Any:
    given: dict[str, Any] = {
        "indptr": [0, 1, 2], "items": [3, 1], "columns": {"relevance": [0.5, 0.25], "promotion": [0.1, 0.2]}
    }  # fmt: skip
    return getattr(policy("segments"), call)(**{**given, **more})


def slates_of(**more: Any) -> Any:
    return all_of(call="select_batch", **more)


def hot_of(call: str, n: Any) -> Any:
    """The slate of the first n candidates, or their scores, in buffers that are there already."""
    served = policy("segments")
    if call == "batch":
        return batch_of(2, 8, n)
    if call == "diverse":
        served_by = served.prepare(8, diversify=oa.MMR(), embeddings=oa.Embeddings(np.ones((40, 2))))
        return served_by.select(n, served.user())
    return getattr(served.prepare(8), call)(n, served.user())


def batch_of(users: int, most: int, n: int, name: str = "segments", times: int = 1) -> Any:
    hot = policy("segments").prepare_batch(users=users, max_candidates=most)
    return [hot.add(n, policy(name).user()) for _ in range(times)]


TIMES = [("a time", np.timedelta64(3, "s")), ("a date", np.datetime64(3, "s")), ("no time", np.timedelta64("NaT"))]

REQUESTS: list[tuple[str, Callable[[], Any], str]] = [
    ("a column is missing", lambda: ask(columns={"relevance": [1, 2]}), "'promotion' is missing"),
    ("a name is misspelt", lambda: ask(columns={"relevence": [1, 2]}), "'relevance' is missing. Did you mean"),
    ("columns are no mapping", lambda: ask(columns=[[1, 2]]), "columns is list; expected {name: (n,) numbers}"),
    ("a column is short", lambda: ask(columns={"relevance": [1.0], "promotion": [1, 2]}), "shape (1,); expected (2,)"),
    ("a column is nan", lambda: ask(columns={"relevance": [1, NAN], "promotion": [1, 2]}), "entry 1 is nan"),
    (
        "a column is infinite",
        lambda: ask(columns={"relevance": [1, 1], "promotion": [INF, 2]}),
        "['promotion']: entry 0 is inf",
    ),
    ("a column is text", lambda: ask(columns={"relevance": ["a", "b"], "promotion": [1, 2]}), "not a number"),
    ("a column is ragged", lambda: ask(columns={"relevance": [[1], [1, 2]], "promotion": [1, 2]}), "not a number"),
    ("an item is out of range", lambda: ask(items=[3, 40]), "entry 1 is 40; expected numbers in [0, 40), or -1"),
    ("an item is beyond int64", lambda: ask(items=[2**63, 2**63]), "entry 0 is 9223372036854775808; expected"),
    (
        "an item beyond int64 in an array",
        lambda: ask(items=np.array([3, 2**64 - 1], "u8")),
        "18446744073709551615;",
    ),
    ("an item is below -1", lambda: ask(items=[-2, 3]), "entry 0 is -2"),
    ("items are ids", lambda: ask(items=["a", "b"]), "policy.encode(ids)"),
    ("items are fractions", lambda: ask(items=[0.5, 1.0]), "items has dtype float64"),
    ("items are a matrix", lambda: ask(items=[[1, 2]]), "shape (1, 2)"),
    ("an item comes twice", lambda: pick(items=[3, 3]), "item 3 is at positions 0 and 1; expected each item once"),
    ("a user is out of range", lambda: ask(user=30), "user=30: expected a user number in [0, 30)"),
    ("a user is negative", lambda: ask(user=-1), "user=-1"),
    ("a user is a text", lambda: ask(user="u1"), "user='u1': expected a user number, {key: label}"),
    ("a user is true", lambda: ask(user=True), "user=True"),
    ("a user has an unknown key", lambda: ask(user={"markt": "se"}), "a key 'markt'. Did you mean 'market'"),
    ("a user's label is a list", lambda: ask(user={"market": ["se"]}), "'market' is ['se'], which cannot be a label"),
    ("a user of another policy", lambda: ask(user=policy("one column").user()), "made by another policy"),
    ("an attribute is misspelt", lambda: ask(artst=[1, 2]), "do not have a key 'artst'. Did you mean 'artist'"),
    ("a user's key is one of the items", lambda: ask(user={"artist": 3}), "the users of the solved problem"),
    ("a user's key is no text", lambda: ask(user={3: "se"}), "a key 3. Known: market, hour"),
    ("a user's key is endless", lambda: ask(user={"m" * 10**6: "se"}), "..."),
    ("a user has thousands of digits", lambda: ask(user=10**5000), "a number of thousands of digits"),
    ("k is beyond what is counted", lambda: pick(k=2**62), "expected a number of slots >= 0 and below 2^62"),
    ("k is beyond 64 bits, without rules", lambda: ask(call="select", k=2**64), "below 2^62"),
    ("k has thousands of digits", lambda: pick(k=10**5000), "k=a number of thousands of digits"),
    ("k of a reason", lambda: ask(call="explain", k=2**63), "below 2^62"),
    ("k of a draw", lambda: draw(k=2**63), "below 2^62"),
    (
        "a score is beyond float64",
        lambda: ask(columns={"relevance": [1, 1.7e308], "promotion": [1, 1.7e308]}),
        "entry 1: the score is beyond float64",
    ),
    ("too few attributes", lambda: ask(items=[-1, -1], campaign=[3]), "expected 2 labels"),
    ("attributes are a text", lambda: ask(items=[-1, -1], campaign="ab"), "expected 2 labels"),
    ("an attribute is a mapping", lambda: ask(items=[-1, -1], campaign=[{}, 3]), "{} cannot be a label"),
    ("out is short", lambda: ask(out=np.empty(3)), "float64 array of shape (2,)"),
    ("out is a list", lambda: ask(out=[0.0, 0.0]), "float64 array of shape (2,)"),
    ("k is a fraction", lambda: pick(k=1.5), "k=1.5: expected a number of slots"),
    ("k is negative", lambda: pick(k=-1), "k=-1"),
    ("fill is a number", lambda: pick(fill=2), "fill=2: expected True or False"),
    ("pinned is out of range", lambda: pick(pinned=[2]), "expected positions in [0, 2)"),
    ("pinned is twice", lambda: pick(pinned=[1, 1]), "pinned has a position twice"),
    ("pinned is ragged", lambda: pick(pinned=[[1], [1, 0]]), "pinned: expected positions in the request"),
    ("items are ragged", lambda: ask(items=[[1], [1, 2]]), "items: expected (n,) item numbers"),
    ("an item is beyond 63 bits", lambda: ask(items=np.array([3, 2**64 - 1], np.uint64)), "entry 1 is"),
    (
        "a boost is beyond float64",
        lambda: ask(
            call="boosts", name="nothing priced", items=[1], columns={"streams": [1.7e308], "relevance": [1.7e308]}
        ),
        "entry 0: the boost is beyond float64",
    ),
    ("a store of no path", lambda: oa.PolicyStore("a\0b"), "expected the path of a file"),
    ("a store of a number", lambda: oa.PolicyStore(3), "PolicyStore(3): expected the path of a file"),
    ("pinned is a fraction", lambda: pick(pinned=[0.5]), "pinned: expected positions in the request"),
    ("more pinned than slots", lambda: pick(pinned=[0, 1], k=1), "2 positions for 1 slots"),
    ("pinned and excluded", lambda: pick(pinned=[0], exclude=[0]), "position 0 is pinned and excluded"),
    ("a mask is short", lambda: pick(exclude=[True]), "a mask of shape (2,)"),
    ("ids are one text", lambda: policy("several columns").encode("ab"), "expected a list or an array of ids"),
    ("ids are one number", lambda: policy("several columns").encode(3), "expected a list or an array of ids"),
    ("ids are a mapping", lambda: policy("several columns").encode({"a": 1}), "expected a list or an array of ids"),
    ("ids are a matrix", lambda: policy("several columns").encode(np.ones((2, 2))), "array of shape (2, 2)"),
    ("vectors of texts", lambda: oa.Embeddings([["1", "2"]]), "embeddings: not an array of numbers"),
    (
        "vectors of other items",
        lambda: pick(diversify=oa.MMR(), embeddings=oa.Embeddings({"nobody": [1.0]})),
        "none of the 1 ids, such as ['nobody'], is an item of the policy",
    ),
    (
        "vectors with labels",
        lambda: pick(diversify=oa.MMR(), embeddings={"a": [1.0]}),
        "embeddings is dict with labels; expected (2, d) numbers",
    ),
    ("ids cannot be hashed", lambda: policy("several columns").encode([["a"]]), "an entry is not an id"),
    ("the batch ends elsewhere", lambda: all_of(indptr=[0, 1]), "expected (1,) item numbers"),
    ("the batch has a bad item", lambda: all_of(items=[3, 44]), "entry 1 is 44; expected numbers in [0, 40)"),
    ("the batch has an item below -1", lambda: all_of(items=[-3, 4]), "entry 0 is -3"),
    ("the batch lacks a column", lambda: all_of(columns={}), "'relevance' is missing"),
    ("the batch is nan", lambda: all_of(columns={"relevance": [1, NAN], "promotion": [1, 2]}), "pair 1 is nan"),
    (
        "the batch overflows",
        lambda: all_of(columns={"relevance": [1, 1.7e308], "promotion": [1, 1.7e308]}),
        "beyond float64",
    ),
    (
        "the batch's column is short",
        lambda: all_of(columns={"relevance": [1], "promotion": [1, 2]}),
        "expected (2,) numbers",
    ),
    ("the batch's users are short", lambda: all_of(users=[0]), "expected (2,) user numbers"),
    ("the batch's users are unknown", lambda: all_of(users=[0, 30]), "expected numbers in [0, 30)"),
    ("the batch's labels are short", lambda: all_of(users={"market": ["se"]}), "has 1 labels; expected 2"),
    ("the batch's key is unknown", lambda: all_of(users={"town": ["x", "y"]}), "a key 'town'"),
    ("the batch's buffer is float32", lambda: all_of(out=np.empty(2, np.float32)), "contiguous float64 array"),
    ("the batch's buffer is read-only", lambda: all_of(out=readonly(np.empty(2))), "a writeable, contiguous"),
    ("users of a batch that are of another policy", lambda: all_of(users=[policy("one column").user()] * 2), "another"),
    ("too few users of a batch", lambda: all_of(users=[policy("segments").user()]), "1 of policy.user(...); expect"),
    ("a number among users", lambda: all_of(users=[policy("segments").user(), 3]), "3 is in a list of policy.user"),
    ("slates of a bad item", lambda: slates_of(items=[3, 44]), "entry 1 is 44; expected numbers in [0, 40)"),
    ("slates of an item below -1", lambda: slates_of(items=[-3, 4]), "entry 0 is -3"),
    ("slates of ids", lambda: slates_of(items=["a", "b"]), "expected (2,) item numbers"),
    ("slates of nan", lambda: slates_of(columns={"relevance": [1, NAN], "promotion": [1, 2]}), "pair 1 is nan"),
    ("slates without a column", lambda: slates_of(columns={"relevance": [1, 2]}), "'promotion' is missing"),
    (
        "slates of an item that comes twice",
        lambda: slates_of(indptr=[0, 0, 2], items=[3, 3]),
        "user 1 has item 3 a second time, at pair 1; expected each",
    ),
    ("slates of k below 0", lambda: slates_of(k=-1), "k=-1: expected a number of slots"),
    ("slates of k beyond what is counted", lambda: slates_of(k=2**62), "below 2^62"),
    ("buffers of k beyond what is counted", lambda: policy("segments").prepare(4, k=2**62), "below 2^62"),
    ("buffers for too many", lambda: policy("segments").prepare(2**31), "prepare(max_candidates=2147483648)"),
    ("a batch of k beyond what is counted", lambda: policy("segments").prepare_batch(2, 4, k=2**63), "below 2^62"),
    ("a batch for too many users", lambda: policy("segments").prepare_batch(2**62, 4), "whole number >= 0 and below"),
    ("slates of k that is true", lambda: slates_of(k=True), "k=True"),
    ("slates into a narrow buffer", lambda: slates_of(out=np.empty((2, 2), np.int64)), "array of shape (2, 3)"),
    ("slates into 32 bits", lambda: slates_of(out=np.empty((2, 3), np.int32)), "contiguous int64 array"),
    ("scores of slates into a short buffer", lambda: slates_of(scores=np.empty(1)), "scores: expected a writeable"),
    ("a batch for no number", lambda: batch_of(2.5, 8, 2), "prepare_batch(users=2.5): expected a whole number"),
    ("a batch of too many users", lambda: batch_of(2, 8, 2, times=3), "3 users; expected at most 2"),
    ("a batch of too many candidates", lambda: batch_of(3, 8, 5, times=2), "5 candidates after 5; expected at most 8"),
    ("a batch of less than none", lambda: batch_of(3, 8, -1), "n=-1: expected how many candidates there are, a whole"),
    *[
        (f"buffers with n={n!r}", lambda call=call, n=n: hot_of(call, n), f"n={n!r}: expected how many candidates")
        for call in ("score", "select", "diverse", "batch")
        for n in (None, "3", 2.5, NAN, True, np.True_, -1, [2])
    ],
    ("a batch of another policy", lambda: batch_of(3, 8, 1, "one column"), "another policy"),
    ("buffers for no number", lambda: policy("segments").prepare("many"), "prepare(max_candidates='many')"),
    (
        "buffers of another policy",
        lambda: policy("segments").prepare(4).score(1, policy("one column").user()),
        "another policy",
    ),
    (
        "more than was prepared for",
        lambda: policy("segments").prepare(4).select(5, policy("segments").user()),
        "at most 4",
    ),
    (
        "no candidates for a file",
        lambda: policy("segments").to_parquet("candidates", Path("x")),
        "expected oa.Candidates",
    ),
    ("no rule of diversity", lambda: pick(diversify="mmr", embeddings=np.ones((2, 3))), "'mmr': expected oa.MMR"),
    ("vectors without a rule", lambda: pick(embeddings=np.ones((2, 3))), "diversify=None: expected oa.MMR"),
    ("a rule without vectors", lambda: pick(diversify=oa.MMR()), "embeddings: needed with diversify="),
    (
        "too few vectors",
        lambda: pick(diversify=oa.DPP(), embeddings=np.ones((1, 3))),
        "shape (1, 3); expected (2, d), one vector per candidate",
    ),
    ("one vector", lambda: pick(diversify=oa.DPP(), embeddings=np.ones(2)), "shape (2,); expected (2, d)"),
    ("vectors of no length", lambda: pick(diversify=oa.DPP(), embeddings=np.ones((2, 0))), "shape (2, 0)"),
    ("a vector is nan", lambda: pick(diversify=oa.MMR(), embeddings=[[1, 2], [NAN, 1]]), "row 1 is not finite"),
    ("a vector is no float32", lambda: pick(diversify=oa.MMR(), embeddings=[[1e200], [1]]), "row 0 is not finite"),
    ("vectors are text", lambda: pick(diversify=oa.MMR(), embeddings=[["a"], ["b"]]), "not an array of numbers"),
    (
        "vectors of other items",
        lambda: pick(diversify=oa.MMR(), embeddings=oa.Embeddings(np.ones((3, 2)))),
        "vectors of 3 items; the policy has 40",
    ),
    (
        "buffers without vectors of all items",
        lambda: policy("segments").prepare(4, diversify=oa.MMR(), embeddings=np.ones((40, 2))),
        "embeddings is ndarray; expected oa.Embeddings",
    ),
    ("vectors in one row", lambda: oa.Embeddings([1.0, 2.0]), "shape (2,); expected (n_items, d)"),
    ("diversity above 1", lambda: oa.MMR(1.5), "MMR(diversity=1.5): expected a number from 0 to 1"),
    ("diversity is nan", lambda: oa.DPP(NAN), "DPP(diversity=nan)"),
    ("diversity is a text", lambda: oa.DPP("all"), "DPP(diversity='all')"),
    ("a window of nothing", lambda: oa.DPP(window=0), "DPP(window=0): expected a whole number of picks"),
    ("a window of a fraction", lambda: oa.DPP(window=1.5), "DPP(window=1.5)"),
    ("a scale of nothing", lambda: oa.DPP(scale=0), "DPP(scale=0): expected a finite number > 0"),
    ("a share above 1", lambda: oa.Exploration(1.1), "Exploration(share=1.1): expected a number from 0 to 1"),
    ("a share that is nan", lambda: oa.Exploration(NAN), "Exploration(share=nan)"),
    ("a smoothing below 0", lambda: oa.Exploration(0, -1), "Exploration(smoothing=-1): expected a finite number >= 0"),
    ("an infinite smoothing", lambda: oa.Exploration(smoothing=INF), "Exploration(smoothing=inf)"),
    ("exploration by a number", lambda: draw(exploration=0.1), "exploration=0.1: expected oa.Exploration(...)"),
    ("exploration misspelt", lambda: draw(exploration={"shares": 1}), "no 'shares'. Did you mean 'share'"),
    ("a policy's exploration misspelt", lambda: solved("segments").policy(exploration={"eps": 1}), "there is no 'eps'"),
    ("a seed that is a string", lambda: draw(rng="a"), "sample(): rng is 'a'; expected a whole number from 0"),
    ("a seed below 0", lambda: draw(rng=-1), "sample(): rng is -1"),
    ("a seed of slates below 0", lambda: solved("segments").round(rng=-1), "round(): rng is -1; expected"),
    (
        "slots by position, mixed where categories cross",
        lambda: crossed(artist=["a", "a", "b"], genre=["x", "y", "x"]).round(),
        "user 'ann' mixes more items of artist 'a'",
    ),
    ("a draw of an item twice", lambda: draw(items=[3, 3]), "item 3 is at positions 0 and 1"),
    ("an unknown organic column", lambda: solved("segments").policy(organic="rel"), "no such column"),
    (
        "a validity of no time",
        lambda: solved("segments").policy(valid_for=0),
        "valid_for=0): expected a positive number",
    ),
    ("valid for true", lambda: solved("segments").policy(valid_for=True), "valid_for=True): expected a positive"),
    ("valid for numpy's true", lambda: solved("segments").policy(valid_for=np.True_), "expected a positive number"),
    ("valid for nan", lambda: solved("segments").policy(valid_for=NAN), "valid_for=nan): expected a positive"),
    ("valid for a text", lambda: solved("segments").policy(valid_for="3600"), "valid_for='3600'): expected"),
    ("valid beyond all clocks", lambda: solved("segments").policy(valid_for=1e300), "seconds below 1e+15"),
    (
        "valid for ever, as infinity",
        lambda: solved("segments").policy(valid_for=INF),
        "None for a policy without an end",
    ),
    *[(f"k is {name}", lambda k=k: pick(k=k), "expected a number of slots") for name, k in TIMES],
    *[(f"buffers for {name}", lambda k=k: policy("segments").prepare(k), "expected a whole") for name, k in TIMES],
    *[(f"a user is {name}", lambda k=k: ask(user=k), "expected a user number") for name, k in TIMES],
    *[(f"a seed is {name}", lambda k=k: draw(rng=k), "sample(): rng is") for name, k in TIMES],
    *[(f"a draw of {name}", lambda k=k: draw(k=k), "expected a number of slots") for name, k in TIMES],
    *[(f"slates of {name}", lambda k=k: slates_of(k=k), "expected a number of slots") for name, k in TIMES],
    *[(f"a share of {name}", lambda k=k: oa.Exploration(share=k), "from 0 to 1") for name, k in TIMES],
    *[(f"a diversity of {name}", lambda k=k: oa.MMR(k), "from 0 to 1") for name, k in TIMES],
    *[(f"a window of {name}", lambda k=k: oa.DPP(window=k), "a whole number of picks") for name, k in TIMES],
    *[(f"a slate of {name}", lambda k=k: oa.Slate(k), "a whole number of slots") for name, k in TIMES],
    *[(f"a gap of {name}", lambda k=k: oa.solve(solved("segments").problem, gap=k), "gap=") for name, k in TIMES],
    *[(f"valid for {name}", lambda k=k: solved("segments").policy(valid_for=k), "valid_for=") for name, k in TIMES],
    ("a share beyond float64", lambda: oa.Exploration(share=10**400), "Exploration(share=1000"),
    ("a share below all numbers", lambda: oa.Exploration(share=-(10**400)), "Exploration(share=-1000"),
    ("a share of thousands of digits", lambda: oa.Exploration(share=10**5000), "share=a number of thousands of digits"),
    ("a share of a fraction beyond float64", lambda: oa.Exploration(share=Fraction(10**400)), "from 0 to 1"),
    ("a smoothing beyond float64", lambda: oa.Exploration(smoothing=10**400), "expected a finite number >= 0"),
    ("a draw of a share beyond float64", lambda: draw(exploration={"share": 10**400}), "from 0 to 1"),
    ("a name that is not there", lambda: draw(exploration={pd.NA: 0.5}), "exploration: there is no <NA>"),
    ("a scale beyond float64", lambda: oa.DPP(scale=10**400), "expected a finite number > 0"),
    ("a diversity beyond float64", lambda: oa.DPP(10**400), "expected a number from 0 to 1"),
    ("valid for thousands of digits", lambda: solved("segments").policy(valid_for=10**5000), "thousands of digits"),
    ("a gap beyond float64", lambda: oa.solve(solved("segments").problem, gap=10**400), "a positive number"),
    ("an age beyond float64", lambda: oa.Staleness(hold_after=10**400), "a finite number of seconds above 0"),
    ("an age that is a time", lambda: oa.Staleness(hold_after=TIMES[0][1]), "a finite number of seconds above 0"),
    (
        "ages in fractions that decrease",
        lambda: oa.Staleness(hold_after=9000, decay_after=Fraction(1, 3)),
        "decay_after=Fraction(1, 3)): expected a finite number of seconds above hold_after (9000)",
    ),
    ("steps that nobody can count", lambda: oa.Staleness(steps=10**30), "a whole number of at least 1, up to 10,000"),
    ("looks that never come", lambda: oa.PolicyStore("p", refresh=10**400), "a finite number of seconds above 0"),
    ("looks after a time", lambda: oa.PolicyStore("p", refresh=TIMES[0][1]), "a finite number of seconds above 0"),
    ("more kept than memory has", lambda: oa.PolicyStore("p", history=10**30), "0 or more, up to 10,000"),
    ("kept for a time", lambda: oa.PolicyStore("p", history=TIMES[0][1]), "a whole number, 0 or more"),
    *[
        (f"a store of {path!r}", lambda path=path: oa.PolicyStore(path), "expected the path of a file")
        for path in ("", ".", "/", "..", "a/..", b".", None, [], 1.5)
    ],
    ("a clock that is a number", lambda: oa.PolicyStore("p", clock=5), "PolicyStore(clock=5): expected a function"),
    *[
        (
            f"a clock that says {said!r:.9}",
            lambda said=said: oa.PolicyStore("p", clock=lambda: said),
            "expected UNIX sec",
        )
        for said in (None, "now", NAN, 10**400, True, np.datetime64(0, "s"))
    ],
    ("a policy published of nothing", lambda: oa.PolicyStore("p").publish(None), "None is not a path"),
    *[
        (f"a policy in {path!r}", lambda path=path: oa.Policy.load(path), "is not a path; expected a text")
        for path in (None, 1.5, 3, [], True)
    ],
    *[
        (f"a policy to {path!r}", lambda path=path: policy("segments").save(path), "is not a path; expected a text")
        for path in (None, 1.5, 3, [], True)
    ],
    ("a state of a folder", lambda: refuse(".", "p1"), "'.' is not a valid path of a file"),
    ("a store of no name", lambda: oa.PolicyStore("p", name="a\x1b"), "name='a\\x1b'): expected a printable"),
]


@pytest.mark.few(51)
@pytest.mark.parametrize(("call", "words"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_bad_requests_are_refused_with_what_is_wrong(call: Callable[[], Any], words: str) -> None:
    with pytest.raises((InputError, ProblemError, SnapshotError)) as caught:
        call()
    assert isinstance(caught.value, OasisAllocError)
    assert words in str(caught.value)


def test_pins_that_break_a_cap_are_refused() -> None:
    served, cands = policy("rules that nest"), solved("rules that nest").problem.candidates
    twins = np.flatnonzero(cands.items["artist"].codes == 3)[:2]
    with pytest.raises(InputError, match=r"with position 1 a category has more items than at_most="):
        served.select(twins, {"relevance": [1, 1], "promotion": [1, 1]}, pinned=[0, 1])


def test_the_columns_of_the_organic_score_and_of_what_is_kept_are_asked_for() -> None:
    items, _ = request(solved("a share kept").problem.candidates, 0)
    served = oa.solve(solved("one column").problem.replace(maximize=oa.total("promotion"))).policy()
    served.select(items, {"promotion": np.ones(9)})
    for call in (served.boosts, served.explain):
        with pytest.raises(InputError, match="'relevance' is missing"):
            call(items, {"promotion": np.ones(9)})


def data() -> PolicyData:
    return policy("rules that cross").data


def prices() -> PriceTerm:
    return data().terms[0]


def genre() -> ItemKey:
    return data().item_keys["genre"]


def term(**changes: Any) -> PolicyData:
    return replace(data(), terms=(replace(prices(), **changes), *data().terms[1:]))


def key(**changes: Any) -> PolicyData:
    return replace(data(), item_keys={**data().item_keys, "genre": replace(genre(), **changes)})


def slate(**changes: Any) -> PolicyData:
    return replace(data(), slate=replace(data().slate, **changes))


def put(array: Any, at: int, value: Any) -> Any:
    out = array.copy()
    out[at] = value
    return out


POLICIES: list[tuple[str, Callable[[], PolicyData], str]] = [
    ("no policy id", lambda: replace(data(), policy_id=""), "policy_id is ''"),
    ("an id that forges a log", lambda: replace(data(), policy_id="p\n\x1b[31m"), r"'p\n\x1b[31m'; expected"),
    ("an id that is no Unicode", lambda: replace(data(), policy_id="\ud800"), "200 printable characters"),
    ("slots beyond what is counted", lambda: slate(size=2**31), "below 2^31"),
    ("a cap beyond what is counted", lambda: slate(at_most={"genre": 2**40}), "below 2^31"),
    ("keys that are not known", lambda: replace(data(), known=Known((), ("artist",))), "item_keys lack"),
    ("no time of creation", lambda: replace(data(), created=INF), "created is inf"),
    ("an end that is no number", lambda: replace(data(), valid_until="soon"), "valid_until is 'soon'"),
    (
        "a certificate without a value",
        lambda: replace(data(), certificate=replace(data().certificate, value=NAN)),
        "value is nan",
    ),
    (
        "a column twice",
        lambda: replace(data(), columns=("relevance", "relevance", "promotion")),
        "columns contains duplicates",
    ),
    ("an unknown column", lambda: replace(data(), organic="streams"), "column 'streams' is not among columns"),
    (
        "a column that no score reads, first",
        lambda: replace(data(), weights=(("promotion", 1.0),)),
        "columns are ('relevance', 'promotion'); expected first ('promotion',)",
    ),
    (
        "a weight that is nan",
        lambda: replace(data(), weights=(("relevance", NAN),)),
        "the weight of 'relevance' is nan",
    ),
    ("a price that is nan", lambda: term(price=put(prices().price, 2, NAN)), "term 0: price 2 is nan"),
    ("prices of another type", lambda: term(price=prices().price.astype(np.float32)), "float64 of shape (n,)"),
    ("a price too few", lambda: term(price=prices().price[1:]), "term 0: groups is int32 of shape"),
    ("groups in disorder", lambda: term(groups=prices().groups[::-1].copy()), "groups are not sorted and distinct"),
    (
        "a group beyond the labels",
        lambda: term(groups=put(prices().groups, -1, 99)),
        "term 0: groups of 'campaign' are between",
    ),
    ("an unknown key", lambda: term(keys=("city",), item_keys=("city",)), "key 'city' is not there"),
    ("a key on the wrong side", lambda: term(item_keys=(), user_keys=("campaign",)), "each key on its side"),
    (
        "a term beyond the terms",
        lambda: replace(data(), constraints=(replace(data().constraints[0], terms=((9, 1.0),)),)),
        "term 9",
    ),
    (
        "a constraint twice",
        lambda: replace(data(), constraints=data().constraints * 2),
        "constraints contains duplicates",
    ),
    ("items fewer than ids", lambda: replace(data(), items=("a", "b")), "items has 2 ids; expected 40 (n_items)"),
    ("a rank twice", lambda: replace(data(), rank=np.zeros(40, np.int64)), "rank is not an order"),
    ("a code beyond the labels", lambda: key(codes=put(genre().codes, 0, 9)), "item_keys['genre']: codes are between"),
    (
        "codes of fewer items",
        lambda: key(indptr=genre().indptr[:-1]),
        "item_keys['genre']: indptr is int64 of shape (40,)",
    ),
    ("lists that do not end", lambda: key(indptr=put(genre().indptr, -1, 3)), "indptr does not run from 0"),
    ("a list in disorder", lambda: key(codes=np.sort(genre().codes)[::-1].astype(np.int32)), "do not ascend"),
    ("codes that are no array", lambda: key(codes=[0, 1]), "codes is list"),
    ("a label twice", lambda: key(labels=("a", "a", "b", "c")), "labels contains duplicates"),
    (
        "a key of both sides",
        lambda: replace(data(), user_keys={"genre": ("a",)}, segments=np.zeros((1, 1), np.int32)),
        "of users and of items",
    ),
    (
        "a segment too wide",
        lambda: replace(data(), segments=np.zeros((1, 3), np.int32)),
        "segments is int32 of shape (1, 3)",
    ),
    (
        "a user beyond the segments",
        lambda: replace(data(), segment_of_user=np.full(30, 7, np.uint32)),
        "segment_of_user are between",
    ),
    ("no slots", lambda: slate(size=0), "size is 0"),
    ("more at least than slots", lambda: slate(at_least=9), "at_least is 9"),
    ("a cap of nothing", lambda: slate(at_most={"genre": 0}), "at_most of 'genre' is 0"),
    ("a cap of an unknown key", lambda: slate(at_most={"mood": 1}), "no key 'mood'"),
    (
        "decrements that decrease",
        lambda: slate(diminishing={"genre": Decrements(np.array([0.5, 0.2]))}),
        "never decrease",
    ),
    ("a share above one", lambda: slate(keep=("relevance", 1.5)), "the share kept is 1.5"),
    ("a share of an unknown column", lambda: slate(keep=("streams", 0.5)), "'streams' that is kept"),
    ("positions that rise", lambda: slate(slot_weights=np.array([0.1, 0.2, 0.3, 0.4])), "never increase"),
    ("too few positions", lambda: slate(slot_weights=np.array([0.1])), "1 slot_weights; expected 4 or more"),
    ("sizes beyond the largest", lambda: slate(size_by_user=np.full(30, 5)), "size_by_user are between 5 and 5"),
]


@pytest.mark.parametrize(("read", "words"), [row[1:] for row in POLICIES], ids=[row[0] for row in POLICIES])
def test_bad_policies_are_refused_before_anything_is_used(read: Callable[[], PolicyData], words: str) -> None:
    broken = read()
    with pytest.raises(InputError) as caught:
        oa.Policy(broken)
    assert str(caught.value).startswith("policy: ")
    assert words in str(caught.value)


def test_a_good_policy_is_taken_as_it_is() -> None:
    given = data()
    assert given.check() is given
