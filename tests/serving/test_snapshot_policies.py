"""A policy in the container: it comes back to the bit, and any other file is refused by name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import examples, full_only
from hypothesis import given, settings
from policies import CREATED, policies, small
from strategies import curved_problems

import oasis_alloc as oa
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.serving import formula
from oasis_alloc.serving.build import content_id
from oasis_alloc.serving.data import ItemKey, PolicyData, PriceTerm
from oasis_alloc.serving.file.codec import decode, encode
from oasis_alloc.serving.file.container import from_bytes, to_bytes


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, types included."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return type(b) is tuple and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@given(policies())
def test_a_policy_comes_back_to_the_bit(data: PolicyData) -> None:
    arrays, header = from_bytes(to_bytes(*encode(data)))
    again = decode(arrays, header)
    assert same(again, data)
    assert to_bytes(*encode(again)) == to_bytes(*encode(data))


def test_a_saved_policy_scores_as_it_did(tmp_path: Path) -> None:
    policy = oa.Policy(small())
    policy.save(tmp_path / "p")
    again = oa.Policy.load(tmp_path / "p")
    assert 1000 < (tmp_path / "p").stat().st_size < 6000
    columns = {name: np.random.default_rng(0).random(6) for name in policy.columns}
    for user in (None, 0, 1, 2, 3, {"market": "se"}, {"market": "fr"}):
        scores = [p.score([0, 1, 2, 3, 4, -1], columns, user=user) for p in (policy, again)]
        assert scores[0].tobytes() == scores[1].tobytes()
    assert again.encode(["ç", "x"]).tolist() == [2, -1]
    assert (again.policy_id, again.created, again.valid_until) == (policy.policy_id, CREATED, CREATED + 3600)
    assert content_id({f.name: getattr(again.data, f.name) for f in fields(again.data)[3:]}) == policy.policy_id


@given(curved_problems(max_users=4, max_items=4))
@settings(max_examples=examples(5))
def test_what_is_loaded_scores_as_what_was_solved(case: Any) -> None:
    solution = oa.solve(case.problem, gap=1e-2)
    policy = oa.Policy(decode(*from_bytes(to_bytes(*encode(solution.policy().data)))))
    cands = case.problem.candidates
    scores = [
        policy.score(cands.item[a:b], {name: column[a:b] for name, column in cands.columns.items()}, user=u)
        for u, (a, b) in enumerate(pairwise(cands.indptr))
    ]
    assert np.concatenate(scores).tobytes() == (solution.scores() + 0.0).tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items": ("a", "b", 3, "d", "e")}, "'items' | int, str | Make them strings"),
        ({"items": ((1, 2), "b", "c", "d", "e")}, "'items' | tuple"),
        ({"items": (1, 2, 3, 4, 2**64)}, "'items' | more than 64 bits"),
        ({"items": ("a", "b", "\ud800", "d", "e")}, "'items' | not valid Unicode"),
        ({"items": (1, 2, 3, -1, 2**63)}, "'items' | more than 64 bits"),
        ({"constraints": (replace(small().constraints[0], name="\ud800"),)}, "not valid Unicode"),
    ],
)
def test_what_a_snapshot_cannot_keep(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        oa.Policy(replace(small(), **change)).save(tmp_path / "p")
    assert caught.value.reason == "content"
    assert all(word in str(caught.value) for word in words.split(" | "))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("share", "words"),
    [(float("nan"), "share=nan): expected a number from 0 to 1"), (1j, "share=1j): expected a number")],
)
def test_an_exploration_that_is_no_rule_is_in_no_policy_and_no_file(share: Any, words: str) -> None:
    data = replace(small(), exploration={"share": share})
    with pytest.raises(InputError, match=re.escape(words)):
        oa.Policy(data)
    with pytest.raises(SnapshotError, match="JSON") as caught:  # of data that nobody has checked
        encode(data)
    assert caught.value.reason == "content"


def changed(**change: Any) -> bytes:
    """A file whose policy document is not the policy's."""
    arrays, header = encode(small())
    document = json.loads(header["policy"])
    for path, value in change.items():
        *way, last = path.split("__")
        at = document
        for step in way:
            at = at[int(step) if step.isdigit() else step]
        at[int(last) if last.isdigit() else last] = value
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return to_bytes(arrays, header | {"policy": text})


def arrayed(name: str, array: Any) -> bytes:
    arrays, header = encode(small())
    arrays = arrays | {name: array}
    return to_bytes({k: v for k, v in arrays.items() if v is not None}, header)


def headed(**header: str) -> bytes:
    arrays, before = encode(small())
    return to_bytes(arrays, {k: v for k, v in (before | header).items() if v != "gone"})


@pytest.mark.few(13)
@pytest.mark.parametrize(
    ("raw", "reason", "words"),
    [
        (headed(policy="gone"), "content", "policy"),
        (headed(policy="[]"), "content", ""),
        (headed(policy="{" * 100_000), "content", ""),
        (headed(policy='{"columns":[]}'), "content", "slate"),
        (headed(policy=encode(small())[1]["policy"] + " "), "content", "'policy'"),
        (headed(policy=encode(small())[1]["policy"].replace('"n_items":5', '"n_items":5,"n_items":5')), "content", ""),
        (headed(certificate="{}"), "content", "Certificate"),
        (headed(created="0x10"), "content", "float"),
        (headed(created="nan"), "content", "created is nan"),
        (headed(created=" 1"), "content", "'created'"),
        (headed(created="gone"), "content", "created"),
        (headed(valid_until="inf"), "content", "valid_until is inf"),
        (headed(policy_id=""), "content", "policy_id"),
        (headed(more="1"), "content", "'more'"),
        (changed(n_items=6), "content", "items has 5 ids; expected 6"),
        (changed(n_items=5.0), "content", ""),
        (changed(n_items=-1), "content", "n_items is -1"),
        (changed(n_items=2**40, items=None), "content", "n_items"),
        (changed(known={"user_keys": [], "item_keys": ["campaign", "genre"]}), "content", "user_keys lack ['market']"),
        (changed(known={"user_keys": ["market"], "item_keys": ["genre"]}), "content", "item_keys lack ['campaign']"),
        (changed(known={"user_keys": ["market"] * 2, "item_keys": ["campaign", "genre"]}), "content", "duplicates"),
        (changed(known={"user_keys": ["market"]}), "content", "item_keys"),
        (changed(known=None), "content", ""),
        (headed(schema="1"), "content", "known: expected in schema 2 and later only"),
        (headed(policy_id="p\nCRITICAL all is lost\x1b[31m"), "content", r"p\nCRITICAL all is lost\x1b[31m"),
        (headed(policy_id="p" * 201), "content", "up to 200 printable characters"),
        (changed(slate__size=2**31), "content", "below 2^31"),
        (changed(slate__at_most=[["campaign", 2**63]]), "content", "below 2^31"),
        (changed(organic="nothing"), "content", "'nothing' is not among columns"),
        (changed(weights__0__1="1"), "content", "'policy'"),
        (changed(weights__0__1=True), "content", ""),
        (changed(weights__0__1=1), "content", ""),
        (changed(slate__size=0), "content", "size is 0"),
        (changed(slate__size=2.5), "content", ""),
        (changed(slate__size="3"), "content", ""),
        (changed(slate__keep=["relevance", 2.0]), "content", "share"),
        (changed(slate__keep=["relevance", 1]), "content", "'policy'"),
        (changed(slate__at_most=[["campaign", 2.0]]), "content", "'policy'"),
        (changed(slate__at_most={"campaign": 2}), "content", ""),
        (changed(columns__1=7), "content", ""),
        (changed(rank=1), "content", "'policy'"),
        (changed(exploration={"share": 2.0}), "content", "share=2.0): expected a number from 0 to 1"),
        (changed(exploration={"shares": 0.1}), "content", "Did you mean 'share'"),
        (changed(terms__0__keys=["market"]), "content", ""),
        (changed(terms__1__column="nothing"), "content", "nothing"),
        (changed(constraints__0__terms=[[7, 1.0]]), "content", "term 7"),
        (changed(item_keys__0__labels="str"), "shape", "missing"),
        (changed(item_keys__0__labels="complex"), "content", "complex"),
        (changed(item_keys__0__name="market"), "content", ""),
        (changed(users=False), "shape", "segment_of_user"),
        (changed(rank=False), "shape", "rank"),
        (arrayed("terms/0/price", None), "shape", "'terms/0/price' is missing"),
        (arrayed("more", np.zeros(2)), "shape", "unexpected array 'more'"),
        (arrayed("terms/0/price", np.zeros(3)), "shape", "terms/0"),
        (arrayed("terms/0/price", np.zeros(2, np.int64)), "dtype", "int64; expected float64"),
        (arrayed("terms/0/groups", np.zeros((2, 1), np.int32)), "content", "not sorted and distinct"),
        (arrayed("terms/0/groups", np.array([[0], [2]], np.int32)), "content", "between 0 and 2"),
        (arrayed("segments", np.full((3, 1), 7, np.int32)), "content", "segments"),
        (arrayed("segment_of_user", np.full(4, 3, np.int32)), "content", "segment_of_user"),
        (arrayed("segment_of_user", np.full(4, -1, np.int32)), "content", "below 0"),
        (arrayed("rank", np.zeros(5, np.int64)), "content", "rank"),
        (arrayed("items/ends", np.array([0, 9, 3, 4, 5, 6])), "shape", "do not rise"),
        (arrayed("items/ends", np.zeros(0, np.int64)), "shape", "do not rise"),
        (arrayed("items/text", np.full(6, 0xFF, np.uint8)), "content", "UnicodeDecodeError"),
        (arrayed("items/text", np.full(6, 65, np.uint8)), "content", "items contains duplicates"),
        (arrayed("item_keys/1/indptr", np.array([0, 1, 2, 3, 4, 5])), "content", "indptr"),
        (arrayed("slate/diminishing/0", np.array([0.2, 0.1])), "content", "decrements"),
    ],
)
def test_a_file_that_is_no_policy(raw: bytes, reason: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(raw)
    with pytest.raises(SnapshotError) as caught:
        oa.Policy.load(tmp_path / "p")
    assert (caught.value.reason, words in str(caught.value)) == (reason, True), caught.value
    assert str(tmp_path / "p") in str(caught.value)


def bare(n_items: int) -> PolicyData:
    """A policy whose file says of its items how many there are, and nothing else."""
    data = small()
    slate = replace(data.slate, at_most={}, diminishing={})
    return replace(data, n_items=n_items, items=None, rank=None, item_keys={}, terms=(), constraints=(), slate=slate)


@pytest.mark.parametrize("n_items", [2**25 + 1, 10**8, 2**31 - 1, 2**62])
def test_a_small_file_makes_no_large_tables(n_items: int, tmp_path: Path) -> None:
    arrays, header = encode(bare(7))
    document = header["policy"].replace('"n_items":7', f'"n_items":{n_items}')
    (tmp_path / "p").write_bytes(to_bytes(arrays, header | {"policy": document}))
    assert (tmp_path / "p").stat().st_size < 3000
    with pytest.raises(SnapshotError, match=f"n_items is {n_items}; expected 0 to 33554432") as caught:
        oa.Policy.load(tmp_path / "p")
    assert caught.value.reason == "content"
    with pytest.raises(SnapshotError, match="items without ids and keys; expected at most 33,554,432"):
        encode(bare(2**25 + 1))


def test_items_by_number_alone_are_loaded_and_scored(tmp_path: Path) -> None:
    policy = oa.Policy(bare(10**6))
    policy.save(tmp_path / "p")
    columns = {"relevance": [0.5, 0.25, 1.0], "streams": [0.0, 0.0, 0.0]}
    assert oa.Policy.load(tmp_path / "p").select([7, 999_999, -1], columns).tolist() == [2, 0, 1]


@pytest.mark.parametrize("n", [1_000, *full_only(10_000)])
def test_combinations_of_labels_that_multiply_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    """A file of some 100 kB: one item with 10,000 labels of each of two keys, and a price by both; or a small one."""
    if n < 10_000:
        monkeypatch.setattr(formula, "_COMBINED", n * n - 1)
    of = ItemKey(tuple(range(n)), np.arange(n, dtype=np.int32), np.array([0, n]))
    term = PriceTerm(None, ("a", "b"), ("a", "b"), (), np.zeros((1, 2), np.int32), np.ones(1))
    data = replace(bare(1), item_keys={"a": of, "b": of}, terms=(term,), known=None)
    with pytest.raises(InputError, match=f"{n * n:,} combinations"):
        oa.Policy(data)
    (tmp_path / "p").write_bytes(to_bytes(*encode(data)))
    with pytest.raises(SnapshotError, match="combinations") as caught:
        oa.Policy.load(tmp_path / "p")
    assert caught.value.reason == "content"


def test_labels_above_63_bits_are_kept(tmp_path: Path) -> None:
    data = replace(small(), items=(0, 1, 2**63, 2**64 - 1, 7), rank=None)
    oa.Policy(data).save(tmp_path / "p")
    policy = oa.Policy.load(tmp_path / "p")
    assert policy.data.items == data.items
    assert policy.encode([2**64 - 1, 2**63, -1, 7]).tolist() == [3, 2, -1, 4]
