"""Make the golden files: snapshots of policies that need no solver, and requests with their answers.

    python tests/golden/make.py

Scores are written as hexadecimal floats, exact in every language that reads them. Answers are those of `reference.py`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from reference import Snapshot

from oasis_alloc.serving.build import content_id
from oasis_alloc.serving.data import (
    Certificate,
    ColumnCalibration,
    ConstraintPrices,
    Decrements,
    ItemKey,
    Known,
    PolicyData,
    PriceTerm,
    SlateRule,
)
from oasis_alloc.serving.file.codec import encode
from oasis_alloc.serving.file.container import to_bytes

FOLDER = Path(__file__).parent
CREATED = 1_764_547_200.125
REQUESTS = 14


def finished(**parts: Any) -> PolicyData:
    """The rest of a policy: whatever the parts do not say."""
    given: dict[str, Any] = {
        "certificate": Certificate("SOLVED", 1234.5, 1234.5625, 5e-5, 0.0, 17.5, "dual"),
        "items": None,
        "rank": None,
        "item_keys": {},
        "user_keys": {},
        "segments": np.zeros((1, 0), np.int32),
        "organic": "relevance",
        "n_users": 0,
        "segment_of_user": None,
        "exploration": None,
    } | parts
    given["constraints"] = tuple(
        ConstraintPrices(f"demand {k}", term.keys, term.groups, term.price, ((k, 1.0),))
        for k, term in enumerate(given["terms"])
    )
    # keys that nothing depends on, which requests may have all the same
    given["known"] = Known((*given["user_keys"], "daypart"), ("label", *given["item_keys"]))
    data = PolicyData(policy_id=content_id(given), created=CREATED, valid_until=CREATED + 7200.0, **given)
    return data.check()


def plain() -> PolicyData:
    """One column, one cap, numbers for ids."""
    rng = np.random.default_rng(1)
    groups = np.arange(4, dtype=np.int32)[:, None]
    return finished(
        columns=("relevance",),
        weights=(("relevance", 1.0),),
        terms=(PriceTerm(None, ("campaign",), ("campaign",), (), groups, np.append(rng.random(3), 0.0)),),
        n_items=20,
        item_keys={"campaign": ItemKey((3, 5, 8, 9), rng.integers(-1, 4, 20).astype(np.int32))},
        slate=SlateRule(4),
    )


def columns() -> PolicyData:
    """Several columns, prices of three of them by keys of both sides, bonuses, ids that are not sorted."""
    rng = np.random.default_rng(2)
    n = 24
    both = np.array([[m, c] for m in range(3) for c in range(5) if (m, c) != (1, 2)], np.int32)
    hours = np.array([[h] for h in range(4)], np.int32)
    ids = tuple(f"trück-{k:02d}" for k in rng.permutation(n))
    rank = np.empty(n, np.int64)
    rank[sorted(range(n), key=ids.__getitem__)] = np.arange(n)
    return finished(
        columns=("relevance", "promotion", "streams", "Zeit"),
        weights=(("relevance", 0.9), (None, 0.0625), ("promotion", 0.4), ("relevance", 1 / 3)),
        terms=(
            PriceTerm(None, ("market", "campaign"), ("campaign",), ("market",), both, rng.normal(0.0, 0.3, len(both))),
            PriceTerm("streams", ("hour",), (), ("hour",), hours, rng.normal(0.0, 0.1, 4)),
            PriceTerm("Zeit", (), (), (), np.zeros((1, 0), np.int32), np.array([1 / 7])),
            PriceTerm(None, ("licensor",), ("licensor",), (), np.array([[0], [1]], np.int32), rng.normal(0.0, 0.2, 2)),
            PriceTerm("streams", ("campaign", "licensor"), ("campaign", "licensor"), (),
                 np.array([[0, 1], [2, 0], [4, 1]], np.int32), rng.normal(0.0, 0.2, 3)),
            PriceTerm(None, (), (), (), np.zeros((1, 0), np.int32), np.array([-0.05])),
        ),
        n_items=n,
        items=ids,
        rank=rank,
        item_keys={
            "campaign": ItemKey(("a", "b", "c", "d", "é"), rng.integers(-1, 5, n).astype(np.int32)),
            "licensor": ItemKey((False, True), rng.integers(-1, 2, n).astype(np.int32)),
        },
        user_keys={"market": ("de", "se", "us"), "hour": (0, 6, 12, 18)},
        segments=np.array([[-1, 0], [0, 0], [1, 3], [2, 2]], np.int32),
        slate=SlateRule(5),
        n_users=6,
        segment_of_user=np.array([0, 3, 2, 1, 1, 3], np.uint32),
    )  # fmt: skip


def rules() -> PolicyData:
    """Caps and decrements by keys of one and of several labels, slots that must be filled, sizes by user."""
    rng = np.random.default_rng(3)
    n = 30
    lists = [sorted(rng.choice(4, rng.integers(0, 4), replace=False).tolist()) for _ in range(n)]
    genre = ItemKey(
        ("folk", "jazz", "pop", "rock"),
        np.array([code for one in lists for code in one], np.int32),
        np.cumsum([0, *map(len, lists)]),
    )
    return finished(
        columns=("relevance", "promotion"),
        weights=(("relevance", 1.0), ("promotion", 0.25)),
        terms=(
            PriceTerm(None, ("genre",), ("genre",), (), np.arange(4, dtype=np.int32)[:, None], rng.normal(0.2, 0.3, 4)),
            PriceTerm("promotion", ("artist",), ("artist",), (), np.arange(7, dtype=np.int32)[:, None], rng.random(7)),
        ),
        n_items=n,
        items=tuple(range(1000, 1000 + n)),
        item_keys={
            "genre": genre,
            "artist": ItemKey(tuple(range(7)), rng.integers(-1, 7, n).astype(np.int32)),
        },
        slate=SlateRule(
            6,
            at_least=2,
            at_most={"artist": 2},
            diminishing={
                "genre": Decrements(np.array([0.0, 0.05, 1 / 9]), 0.1),
                "artist": Decrements(np.zeros(1), 0.02),
            },
            size_by_user=np.array([6, 3, 0, 5]),
            at_least_by_user=np.array([2, 1, 0, 4]),
        ),
        n_users=4,
        segment_of_user=np.zeros(4, np.uint32),
    )


def keep() -> PolicyData:
    """The same items where all worth is promotion, more slots, steeper decrements, and a share of relevance is kept."""
    alone = {"policy_id", "created", "valid_until", "constraints", "known", "calibration"}
    other = rules()
    parts = {field.name: getattr(other, field.name) for field in fields(other) if field.name not in alone}
    genre, artist = Decrements(np.array([0.0, 0.25, 0.5]), 0.3), Decrements(np.zeros(1), 0.25)
    parts |= {"columns": ("promotion", "relevance"), "weights": (("promotion", 1.0),)}
    parts["slate"] = replace(
        parts["slate"], size=8, size_by_user=np.array([8, 3, 0, 5]), diminishing={"genre": genre, "artist": artist},
        keep=("relevance", 0.8),
    )  # fmt: skip
    return finished(**parts)


def calibrated() -> PolicyData:
    """Columns with a map per market of the user, per label of the item, and for all; one of them is kept."""
    rng = np.random.default_rng(5)
    n = 26

    def maps(column: str, key: str | None, codes: list[int], knots: int) -> ColumnCalibration:
        x = np.sort(rng.normal(0.4, 0.6, knots))
        y = np.sort(rng.random((1 + len(codes), knots)), axis=1)
        return ColumnCalibration(column, key, np.array(codes, np.int32), x, y)

    return finished(
        columns=("relevance", "promotion", "streams"),
        weights=(("relevance", 1.0), ("promotion", 0.4)),
        terms=(
            PriceTerm("streams", ("market",), (), ("market",), np.arange(2, dtype=np.int32)[:, None], rng.random(2)),
            PriceTerm(None, ("artist",), ("artist",), (), np.arange(5, dtype=np.int32)[:, None], rng.random(5) / 3),
        ),
        n_items=n,
        items=tuple(range(100, 100 + n)),
        item_keys={"artist": ItemKey(tuple(range(5)), rng.integers(-1, 5, n).astype(np.int32))},
        user_keys={"market": ("de", "se"), "hour": (0, 6, 12)},
        segments=np.array([[-1, 0], [0, 0], [1, 2]], np.int32),
        slate=SlateRule(5, at_most={"artist": 2}, keep=("relevance", 0.8)),
        n_users=4,
        segment_of_user=np.array([0, 2, 1, 2], np.uint32),
        calibration=(
            maps("relevance", "hour", [0, 2], 6), maps("promotion", "artist", [1, 3, 4], 4),
            maps("streams", None, [], 2),
        ),
    )  # fmt: skip


POLICIES = {"plain": plain, "columns": columns, "rules": rules, "keep": keep, "calibrated": calibrated}
# Of the requests; those of `keep` are chosen so that a slate hangs on nearly every line of its specification.
SEEDS = {"plain": [0], "columns": [1], "rules": [2], "keep": [7, 112, 148], "calibrated": [5, 6]}


def requests(snapshot: Snapshot, seed: int) -> list[dict[str, Any]]:
    """Requests of every kind, with their answers."""
    rng = np.random.default_rng(seed)
    policy, out = snapshot.policy, []
    known = snapshot.labels("items", policy["items"]) if policy["items"] else list(range(policy["n_items"]))
    never = ["never", "seen"] if policy["items"] == "str" else [10**6, 10**6 + 1]
    for number in range(REQUESTS):
        n = int(rng.integers(0, 3)) if number < 3 else int(rng.integers(4, 19))
        chosen = rng.choice(len(known) + 2, n, replace=False)
        ids = [[*known, *never][i] for i in chosen]
        if policy["items"] == "int" and number % 4 == 3:
            ids = [float(one) for one in ids]
        items = snapshot.encode(ids)
        coarse = number % 3 == 1  # scores tie; and tenths add up to what differs in the last bit only
        parts = 4 if policy["slate"]["keep"] is None else 10
        columns = {
            name: (rng.integers(-2, 5, n) / parts if coarse else rng.normal(0.4, 0.6, n)).tolist()
            for name in policy["columns"]
        }
        user: Any = None
        if policy["users"] and number % 2:
            user = int(rng.integers(0, len(snapshot.arrays["segment_of_user"])))
        elif snapshot.user_keys and number % 4:
            user = {key: labels[rng.integers(len(labels))] for key, labels in
                    zip(snapshot.user_keys, snapshot.user_labels, strict=True)}  # fmt: skip
            if number % 8 == 6:
                user = {"market": "nowhere", "daypart": "evening"}
            if "hour" in user and number % 8 == 2:
                user["hour"] = float(user["hour"])  # a label equals a number of the same value, whatever its type
        k = [None, None, 3, n + 2][number % 4]
        scores = snapshot.scores(user, items, columns)
        places = rng.permutation(n).tolist()
        pinned, exclude = (places[:1], places[1:3]) if number % 5 == 4 and k != 0 else ([], [])
        if user is not None and isinstance(user, int) and policy["slate"]["size_by_user"] and k is None:
            pinned = pinned[: snapshot.arrays["slate/size_by_user"][user]]
        out.append(
            {
                "ids": ids,
                "items": items,
                "user": user,
                "columns": {name: [value.hex() for value in column] for name, column in columns.items()},
                "scores": [score.hex() for score in scores],
                "k": k,
                "pinned": pinned,
                "exclude": exclude,
                "slate": snapshot.slate(user, items, columns, scores, k, pinned, exclude),
            }
        )
    return out


def made(folder: Path) -> dict[str, bytes]:
    """All golden files by name; snapshots are written to `folder` on the way."""
    files = {}
    for name, make in POLICIES.items():
        files[f"{name}.safetensors"] = to_bytes(*encode(make()))
        (folder / f"{name}.safetensors").write_bytes(files[f"{name}.safetensors"])
        snapshot = Snapshot(folder / f"{name}.safetensors")
        answered = [one for seed in SEEDS[name] for one in requests(snapshot, seed)]
        lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in answered)
        text = f'{{"snapshot": "{name}.safetensors", "requests": [\n{lines}\n]}}\n'
        files[f"{name}.json"] = text.encode()
    return files


if __name__ == "__main__":
    for name, content in made(FOLDER).items():
        (FOLDER / name).write_bytes(content)
