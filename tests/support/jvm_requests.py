"""Random policies and requests with labels and ids of every type, for the library in Java and the one in Python."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from policies import CERTIFICATE, CREATED

import oasis_alloc as oa
from oasis_alloc.errors import InputError
from oasis_alloc.serving.build import content_id
from oasis_alloc.serving.data import ConstraintPrices, Decrements, ItemKey, Known, PolicyData, PriceTerm, SlateRule

Rng = np.random.Generator
DAY, MOMENT = date(2026, 1, 2), datetime(2026, 1, 2, 10, 30, tzinfo=UTC)
NAMES = ["ä", "b", "Ω", "\U0001d11e", "a b", '"', "1", "true", "", "radio"]

# every kind of labels of a snapshot; those of dates, times and UUIDs are strings in it
LABELS: dict[str, Callable[[Rng, int], list[Any]]] = {
    "int": lambda rng, n: rng.choice(np.arange(-3, 60), n, replace=False).tolist(),
    "large int": lambda rng, n: [int(k) * 2**57 + int(k) for k in rng.choice(np.arange(-63, 64), n, replace=False)],
    "uint": lambda rng, n: [2**64 - 1 - int(k) for k in rng.choice(2**9, n, replace=False)],
    "float": lambda rng, n: [float(k) / 8 for k in rng.choice(np.arange(-40, 40), n, replace=False)] if n else [],
    "bool": lambda rng, n: [False, True][:n],
    "str": lambda rng, n: [NAMES[k % 10] + "." * (k // 10) for k in rng.choice(60, n, replace=False)],
    "date": lambda rng, n: [str(DAY + timedelta(int(k))) for k in rng.choice(90, n, replace=False)],
    "time": lambda rng, n: [(MOMENT + timedelta(seconds=int(k) / 4)).isoformat() for k in rng.choice(99, n, False)],
    "uuid": lambda rng, n: [str(uuid.UUID(int=int(k) << 64 | 12345)) for k in rng.choice(2**20, n, replace=False)],
}


def labels(rng: Rng, most: int, kind: str | None = None) -> tuple[Any, ...]:
    kind = kind or str(rng.choice(list(LABELS)))
    n = int(rng.integers(1, most + 1))
    return tuple(sorted(LABELS[kind](rng, min(n, 2) if kind == "bool" else n)))


def policy(rng: Rng) -> oa.Policy:
    """Any keys, prices, rules and ids; half of the policies have round prices, so that scores are often equal."""
    n_items, is_round = int(rng.integers(0, 50)), rng.random() < 0.5

    def numbers(n: int) -> Any:
        drawn = rng.normal(0.0, 0.4, n)
        return np.round(drawn * 4) / 4 if is_round else drawn

    item_keys = {}
    for name in ("campaign", "artist", "genre")[: rng.integers(0, 4)]:
        of = labels(rng, 6)
        if rng.random() < 0.6:
            item_keys[name] = ItemKey(of, rng.integers(-1, len(of), n_items).astype(np.int32))
        else:
            lists = [np.flatnonzero(rng.random(len(of)) < 0.4) for _ in range(n_items)]
            codes = np.concatenate([*lists, np.empty(0, np.int64)]).astype(np.int32)
            item_keys[name] = ItemKey(of, codes, np.cumsum([0, *map(len, lists)]))
    user_keys = {name: labels(rng, 6) for name in ("market", "hour", "plan")[: rng.integers(0, 4)]}
    sizes = {name: len(key.labels) for name, key in item_keys.items()} | {k: len(v) for k, v in user_keys.items()}
    terms = []
    for _ in range(rng.integers(0, 5)):
        keys = tuple(rng.permutation(sorted(sizes))[: rng.integers(0, 3)].tolist())
        every = [row for row in product(*(range(sizes[k]) for k in keys)) if not keys or rng.random() < 0.7]
        groups = np.array(every, np.int32).reshape(len(every), len(keys))
        sides = (tuple(k for k in keys if k in side) for side in (item_keys, user_keys))
        column = [None, None, "relevance", "streams", "Zeit"][rng.integers(5)]
        terms.append(PriceTerm(column, keys, *sides, groups, numbers(len(every))))
    constraints = [ConstraintPrices(f"demand {k}", t.keys, t.groups, t.price, ((k, 1.0),)) for k, t in enumerate(terms)]
    if terms and rng.random() < 0.3:  # the last one also counts in the first term, where its keys are there
        last, first = constraints[-1], terms[0]
        if set(first.keys) <= set(last.keys):
            also = ((len(terms) - 1, 1.0), (0, -0.25))
            constraints[-1] = ConstraintPrices(last.name, last.keys, last.groups, last.price, also)
    return oa.Policy(_data(rng, n_items, item_keys, user_keys, terms, constraints, numbers))


def _data(rng: Rng, n_items: int, item_keys: Any, user_keys: Any, terms: Any, constraints: Any, numbers: Any) -> Any:
    weights = [("relevance", 1.0)] if rng.random() < 0.5 else [("relevance", 0.9), (None, 0.125), ("promotion", 0.3)]
    kind = rng.choice(["none", *LABELS])
    kind = "int" if kind == "bool" else kind
    items = None if kind == "none" else tuple(rng.permutation(np.array(LABELS[kind](rng, n_items), object)).tolist())
    ranked = items is not None and rng.random() < 0.8
    rank = np.empty(n_items, np.int64)
    if ranked:
        rank[sorted(range(n_items), key=items.__getitem__)] = np.arange(n_items)
    kept = ("streams", float(rng.choice([0.5, 0.9, 1.0]))) if rng.random() < 0.4 else None
    named = [c for c, _ in weights if c] + sorted({t.column for t in terms if t.column})
    columns = tuple(dict.fromkeys([*named, *([kept[0]] if kept else []), "relevance"]))
    size, n_users = int(rng.integers(1, 8)), 4
    segments = [[int(rng.integers(-1, len(of))) for of in user_keys.values()] for _ in range(3)]
    by_user = rng.random() < 0.3
    slate = SlateRule(
        size, at_least=int(rng.integers(0, size + 1)) if rng.random() < 0.4 else 0,
        at_most={key: int(rng.integers(1, 4)) for key in item_keys if rng.random() < 0.5},
        diminishing={
            key: Decrements(np.sort(np.abs(numbers(int(rng.integers(1, 4))))), float(rng.choice([0.0, 0.25, 0.1])))
            for key in item_keys if rng.random() < 0.4
        },
        keep=kept, size_by_user=rng.integers(0, size + 1, n_users) if by_user else None,
    )  # fmt: skip
    parts: dict[str, Any] = {
        "certificate": CERTIFICATE, "columns": columns, "weights": tuple(weights), "terms": tuple(terms),
        "constraints": tuple(constraints), "n_items": n_items, "items": items, "rank": rank if ranked else None,
        "item_keys": item_keys, "user_keys": user_keys,
        "segments": np.array(segments, np.int32).reshape(3, len(user_keys)), "slate": slate, "organic": "relevance",
        "n_users": n_users, "segment_of_user": rng.integers(0, 3, n_users).astype(np.uint32), "exploration": None,
        "known": Known((*user_keys, "daypart"), ("label", *item_keys)),
    }  # fmt: skip
    return PolicyData(policy_id=content_id(parts), created=CREATED, valid_until=None, **parts).check()


def typed(rng: Rng, label: Any) -> tuple[list[str | None], Any]:
    """A label as some type of Java that may be equal to it, and the same in Python."""
    if isinstance(label, bool):
        return _pick(rng, [("Boolean", label, str(label).lower()), ("String", str(label).lower(), None)])
    if isinstance(label, str):
        return _pick(rng, _of_text(label))
    if isinstance(label, int) or label == int(label):
        return _pick(rng, _of_whole(int(label)))
    value = float(label)
    text = repr(value)
    return _pick(
        rng,
        [("Double", value, text), ("Float", np.float32(value), text), ("BigDecimal", Decimal(text), text + "0"),
         ("String", text, None)],
    )  # fmt: skip


def _pick(rng: Rng, forms: list[tuple[str, Any, str | None]]) -> tuple[list[str | None], Any]:
    name, value, text = forms[rng.integers(len(forms))]
    return [name, value if text is None else text], value


def _of_text(label: str) -> list[tuple[str, Any, str | None]]:
    forms: list[tuple[str, Any, str | None]] = [("String", label, None), ("StringBuilder", label, None)]
    if len(label) == 1 and ord(label) < 2**16:
        forms.append(("Character", label, None))
    if label.isdigit():
        forms.append(("Integer", np.int32(int(label)), label))
    if len(label) == 36 and label[8] == "-":
        forms.append(("UUID", uuid.UUID(label), label))
    if len(label) == 10 and label[4:5] == "-":
        forms += [("LocalDate", date.fromisoformat(label), label),
                  ("LocalDateTime", datetime.fromisoformat(label), label + "T00:00:00")]  # fmt: skip
    if label.endswith("+00:00"):
        moment = datetime.fromisoformat(label)
        forms += [("Instant", moment, label[:-6] + "Z"), ("OffsetDateTime", moment, label)]
    return forms


def _of_whole(label: int) -> list[tuple[str, Any, str | None]]:
    text = str(label)
    forms: list[tuple[str, Any, str | None]] = [
        ("BigInteger", label, text), ("BigDecimal", Decimal(label), text + ".00"), ("String", text, None),
        ("Double", float(label), repr(float(label))), ("Float", np.float32(label), text),
    ]  # fmt: skip
    for name, bits, of in (("Byte", 8, np.int8), ("Short", 16, np.int16), ("Integer", 32, np.int32),
                           ("Long", 64, np.int64), ("AtomicLong", 64, np.int64)):  # fmt: skip
        if -(2 ** (bits - 1)) <= label < 2 ** (bits - 1):
            forms.append((name, of(label), text))
    return forms


def requests(rng: Rng, served: oa.Policy, count: int, explain: bool = False) -> Iterator[dict[str, Any]]:
    """Requests as Java reads them, with Python's answers; those that Python refuses are `refused`."""
    data = served.data
    known = list(range(data.n_items)) if data.items is None else list(data.items)
    names = [*data.columns]
    for _ in range(count):
        n = int(rng.integers(0, 14)) if rng.random() < 0.9 else int(rng.integers(14, 50))
        chosen = [known[k] for k in rng.permutation(len(known))[:n]]
        chosen += [LABELS["int"](rng, 1)[0] + 100, f"new {rng.integers(9)}"][: rng.integers(0, 3)]
        ids = [typed(rng, label) for label in chosen]
        columns = {name: np.round(rng.normal(0.4, 0.5, len(ids)), rng.choice([1, 17])) for name in names}
        user, who = _user(rng, served)
        k = None if rng.random() < 0.5 else int(rng.integers(0, 9))
        taken = rng.permutation(len(ids))
        pins, outs = (int(rng.integers(0, 3)) if rng.random() < 0.3 else 0 for _ in range(2))
        options: dict[str, Any] = {
            "k": k, "pinned": taken[:pins].tolist(), "exclude": taken[pins : pins + outs].tolist(),
            "fill": bool(rng.random() < 0.2),
        }  # fmt: skip
        one: dict[str, Any] = {
            "ids": [java for java, _ in ids], "user": user, "columns": {c: v.tolist() for c, v in columns.items()},
            **options, "explain": explain,
        }  # fmt: skip
        try:
            items = served.encode([python for _, python in ids])
            one["scores"] = served.score(items, columns, user=who).tolist()
            one["slate"] = served.select(items, columns, user=who, **options).tolist()
            if explain:
                one["why"] = served.explain(items, columns, user=who, **options).to_dict()
        except InputError as error:
            one["refused"] = str(error)
        yield one


def _user(rng: Rng, served: oa.Policy) -> tuple[Any, Any]:
    """A user as Java reads it, and for Python."""
    how = rng.random()
    if how < 0.15:
        return None, None
    if how < 0.3:
        number = int(rng.integers(0, 4))
        return typed_number(rng, number)
    java, python = {}, {}
    for key, of in served.data.user_keys.items():
        if rng.random() < 0.85:
            other = LABELS[str(rng.choice(list(LABELS)))](rng, 1)[0]
            java[key], python[key] = typed(rng, of[rng.integers(len(of))] if rng.random() < 0.8 else other)
    if rng.random() < 0.1:
        java["daypart"], python["daypart"] = ["String", "night"], "night"
    return java, python


def typed_number(rng: Rng, number: int) -> tuple[list[str | None], Any]:
    name = str(rng.choice(["Byte", "Short", "Integer", "Long", "BigInteger"]))
    return [name, str(number)], number


def written(folder: Path, seed: int, count: int, explain: bool = False) -> tuple[Path, Path, int]:
    """A snapshot and a file of requests, one JSON document per line; and how many of them are refused."""
    rng = np.random.default_rng(seed)
    served = policy(rng)
    snapshot, path = folder / f"{seed}.safetensors", folder / f"{seed}.jsonl"
    served.save(snapshot)
    refused = 0
    with path.open("w", encoding="utf-8") as file:
        for one in requests(rng, oa.Policy.load(snapshot), count, explain):
            refused += "refused" in one
            file.write(json.dumps(one) + "\n")
    return snapshot, path, refused
