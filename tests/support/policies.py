"""Small policies made by hand and by Hypothesis, for tests that need no solver."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oasis_alloc.serving.build import content_id
from oasis_alloc.serving.data import (
    Certificate,
    ConstraintPrices,
    Decrements,
    ItemKey,
    Known,
    PolicyData,
    PriceTerm,
    SlateRule,
)

CREATED = 1_764_000_000.25
CERTIFICATE = Certificate("SOLVED", 1.5, 1.5000001, 1e-7, 0.0, 12.0, "dual")

finite = st.floats(allow_nan=False, allow_infinity=False)
prices = st.one_of(st.just(0.0), st.floats(-4, 4), st.floats(-1e-300, 1e-300), st.sampled_from([0.1, -0.3, 1 / 3]))


def groups(*codes: tuple[int, ...]) -> Any:
    return np.array(codes, np.int32).reshape(len(codes), -1)


def small(created: float = CREATED, shift: float = 0.0) -> PolicyData:
    """Five items, a key of each kind, prices of two columns; about 3 kB as a file."""
    parts: dict[str, Any] = {
        "certificate": CERTIFICATE,
        "columns": ("relevance", "streams"),
        "weights": (("relevance", 1.0), (None, 0.125), ("streams", 0.4)),
        "terms": (
            PriceTerm(None, ("campaign",), ("campaign",), (), groups((0,), (1,)), np.array([0.3 + shift, -0.1])),
            PriceTerm(
                "streams", ("market", "genre"), ("genre",), ("market",), groups((0, 0), (0, 2), (1, 1)),
                np.array([0.2, 1 / 3, -0.7]),
            ),
            PriceTerm(None, (), (), (), groups(()), np.array([0.01])),
        ),
        "constraints": (
            ConstraintPrices(
                "caps", ("campaign",), groups((0,), (1,)), np.array([0.3 + shift, -0.1]), ((0, 1.0), (2, -0.25))
            ),
        ),
        "n_items": 5,
        "items": ("a", "b", "ç", "d", "e"),
        "rank": np.array([4, 3, 2, 1, 0]),
        "item_keys": {
            "campaign": ItemKey((3, 8), np.array([0, 1, -1, 0, 1], np.int32)),
            "genre": ItemKey(
                ("jazz", "pop", "røck"), np.array([0, 2, 1, 0, 1, 2], np.int32), np.array([0, 2, 3, 3, 3, 6])
            ),
        },
        "user_keys": {"market": ("de", "se")},
        "segments": groups((-1,), (0,), (1,)),
        "slate": SlateRule(
            3, at_most={"campaign": 2}, diminishing={"genre": Decrements(np.array([0.0, 0.1]), 0.05)},
            keep=("relevance", 0.5),
        ),
        "organic": "relevance",
        "n_users": 4,
        "segment_of_user": np.array([0, 2, 1, 2], np.uint32),
        "exploration": None,
        "known": Known(("market", "daypart"), ("campaign", "genre", "label")),
    }  # fmt: skip
    return PolicyData(policy_id=content_id(parts), created=created, valid_until=created + 3600.0, **parts)


def _floats(draw: st.DrawFn, n: int) -> Any:
    return np.array(draw(st.lists(prices, min_size=n, max_size=n)), np.float64)


def _labels(draw: st.DrawFn, most: int = 4) -> tuple[Any, ...]:
    kinds = [st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1), st.text(max_size=3), st.booleans(), finite]
    return tuple(sorted(draw(st.lists(draw(st.sampled_from(kinds)), max_size=most, unique=True))))


@st.composite
def policies(draw: st.DrawFn) -> PolicyData:
    """Keys of any kind of labels, of one or several an item; terms over any of them; every slate rule or none."""
    n_items = draw(st.integers(0, 5))
    item_keys, user_keys = {}, {}
    for name in draw(st.lists(st.sampled_from(["campaign", "artist", "ge/nre"]), unique=True)):
        labels = _labels(draw)
        if draw(st.booleans()):
            codes = [draw(st.integers(-1, len(labels) - 1)) for _ in range(n_items)]
            item_keys[name] = ItemKey(labels, np.array(codes, np.int32))
        else:
            lists = [sorted(draw(st.sets(st.integers(0, len(labels) - 1)))) if labels else [] for _ in range(n_items)]
            indptr = np.cumsum([0, *map(len, lists)])
            item_keys[name] = ItemKey(labels, np.array([c for one in lists for c in one], np.int32), indptr)
    for name in draw(st.lists(st.sampled_from(["market", "hour"]), unique=True)):
        user_keys[name] = _labels(draw)
    sizes = {name: len(key.labels) for name, key in item_keys.items()} | {k: len(v) for k, v in user_keys.items()}
    terms = []
    for _ in range(draw(st.integers(0, 3))):
        keys = tuple(draw(st.permutations(sorted(sizes)))[: draw(st.integers(0, 2))])
        every = list(product(*(range(sizes[k]) for k in keys)))
        kept = [row for row in every if not keys or draw(st.booleans())]
        some = np.array(kept).reshape(len(kept), len(keys))
        on_items, on_users = (tuple(k for k in keys if k in side) for side in (item_keys, user_keys))
        column = draw(st.sampled_from([None, None, "relevance", "streams", "Hörer"]))
        terms.append(PriceTerm(column, keys, on_items, on_users, some.astype(np.int32), _floats(draw, len(kept))))
    constraints = tuple(
        ConstraintPrices(f"demand {k}", term.keys, term.groups, term.price, ((k, draw(prices)),))
        for k, term in enumerate(terms)
    )
    weights = draw(st.lists(st.tuples(st.sampled_from(["relevance", "streams", None]), prices), max_size=3))
    named = [column for column, _ in weights if column] + sorted({t.column for t in terms if t.column}) + ["relevance"]
    codes = [[draw(st.integers(-1, len(labels) - 1)) for labels in user_keys.values()] for _ in range(3)]
    segments = np.unique(np.array(codes, np.int32).reshape(3, -1), axis=0) if user_keys else np.zeros((1, 0), np.int32)
    n_users = draw(st.integers(0, 3))
    known = draw(st.booleans())
    size = draw(st.integers(1, 4))
    keys = sorted(item_keys)
    slate = SlateRule(
        size,
        at_least=draw(st.integers(0, size)),
        at_most={key: draw(st.integers(1, 3)) for key in keys if draw(st.booleans())},
        diminishing={
            key: Decrements(np.sort(np.abs(_floats(draw, draw(st.integers(1, 3))))), draw(st.sampled_from([0.0, 0.25])))
            for key in keys
            if draw(st.booleans())
        },
        keep=draw(st.sampled_from([None, ("relevance", 0.9)])),
        slot_weights=draw(st.sampled_from([None, np.geomspace(1.0, 0.5, size)])),
        size_by_user=np.full(n_users, size) if known and draw(st.booleans()) else None,
        at_least_by_user=np.zeros(n_users, np.int64) if known and draw(st.booleans()) else None,
    )
    ids = draw(st.sampled_from([None, st.integers(0, 99), st.text(max_size=3)]))
    items = None if ids is None else tuple(draw(st.lists(ids, min_size=n_items, max_size=n_items, unique=True)))
    data = PolicyData(
        policy_id=draw(st.sampled_from(["0123456789abcdef", "p", "Ünïcode"])),
        created=draw(st.floats(0, 2e9)),
        valid_until=draw(st.one_of(st.none(), st.floats(0, 2e9))),
        certificate=Certificate("SOLVED", draw(finite), draw(st.sampled_from([np.inf, 1.0])), 0.0, 0.0, 1.0, "dual"),
        columns=tuple(dict.fromkeys(named)),
        weights=tuple(weights),
        terms=tuple(terms),
        constraints=constraints,
        n_items=n_items,
        items=items,
        rank=np.array(draw(st.permutations(range(n_items))), np.int64) if draw(st.booleans()) else None,
        item_keys=item_keys,
        user_keys=user_keys,
        segments=segments,
        slate=slate,
        organic="relevance",
        n_users=n_users if known else 0,
        segment_of_user=np.array(draw(st.lists(st.integers(0, len(segments) - 1), min_size=n_users, max_size=n_users)),
                                 np.uint32) if known else None,
        exploration=draw(st.sampled_from([None, {"share": 0.1}])),
        known=draw(st.sampled_from([None, Known((*user_keys, "daypart"), ("label", *item_keys))])),
    )  # fmt: skip
    return data.check()
