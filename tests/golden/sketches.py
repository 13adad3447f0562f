"""Make sketch.json: a reference, requests, and what a drift watch must say of them, counted without the library.

python tests/golden/sketches.py
"""

from __future__ import annotations

import json
import math
import random
from bisect import bisect_right
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
WATCH = {"every": 3, "candidates": 8, "start": 0.25, "end": 0.1, "rows": 60}
EDGES = {"relevance": [0.1, 0.25, 0.5, 0.75], "streams": [0.0, 5e-324, 2.0], "one": []}
LABELS: dict[str, list[Any]] = {
    "market": ["SE", "DE", "r\u00f8ck"],
    "hour": [0, 7, 23],
    "new": [False, True],
    "share": [0.5],
}
UNSEEN: dict[str, list[Any]] = {
    "market": ["NO", "se", 7],
    "hour": ["7", 8, 7.5],
    "new": [0, "true"],
    "share": [1, "0.5"],
}


def requests(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Requests with unseen items, missing values, values on edges, labels of several types, and users by number."""
    out = []
    for number in range(count):
        n = rng.choice([0, 1, 7, 8, 9, 24, 25])
        columns: dict[str, list[float | None]] = {
            "relevance": [rng.choice([rng.random(), 0.25, 0.75, -0.0, None]) for _ in range(n)],
            "streams": [rng.choice([0.0, -0.0, 5e-324, 2.0, 1e300, -3.5]) for _ in range(n)],
            "one": [1.0] * n,
            "another": [0.5] * n,
        }
        user: Any = None
        if number % 5 == 1:
            user = number
        elif number % 5:
            user = {key: rng.choice([*of, *UNSEEN[key][:2], None]) for key, of in LABELS.items()}
            user = {key: label for key, label in user.items() if rng.random() < 0.9}
            if isinstance(user.get("hour"), int):
                user["hour"] = rng.choice([user["hour"], float(user["hour"])])
        out.append({"items": [rng.choice([-1, 3, 5]) for _ in range(n)], "columns": columns, "user": user})
    return out


def is_same(one: Any, other: Any) -> bool:
    """Labels are equal by type and value, whole floats to integers; docs/labels.md."""
    kinds = [bool if isinstance(x, bool) else str if isinstance(x, str) else float for x in (one, other)]
    return kinds[0] is kinds[1] and bool(one == other)


def counted(asked: list[dict[str, Any]]) -> dict[str, Any]:
    """What a watch says after these requests, without drift numbers."""
    columns = {name: [0] * (len(edges) + 2) for name, edges in EDGES.items()}
    labels = {key: [0] * (len(of) + 2) for key, of in LABELS.items()}
    looked = asked[:: WATCH["every"]]  # type: ignore[misc]
    for one in looked:
        for name, counts in columns.items():
            values = one["columns"][name]
            for value in values[:: max(1, math.ceil(len(values) / WATCH["candidates"]))]:
                counts[len(counts) - 1 if value is None else bisect_right(EDGES[name], value)] += 1
        for key, counts in labels.items():
            if isinstance(one["user"], int):
                continue
            label = (one["user"] or {}).get(key)
            places = [place for place, known in enumerate(LABELS[key]) if is_same(known, label)]
            counts[len(counts) - 1 if label is None else places[0] if places else len(counts) - 2] += 1
    items = [item for one in looked for item in one["items"]]
    return {
        "decisions": len(looked), "unseen_items": sum(item < 0 for item in items) / len(items),
        "columns": columns, "labels": labels,
    }  # fmt: skip


def main() -> None:
    rng = random.Random(20261130)
    reference = {
        "format": "oasis_alloc.sketch", "schema": 1,
        "columns": {
            name: {"edges": edges, "counts": [*(rng.randrange(50, 200) for _ in range(len(edges) + 1)), 3]}
            for name, edges in EDGES.items()
        },
        "labels": {
            key: {"labels": of, "counts": [*(rng.randrange(50, 200) for _ in of), 0, 11]} for key, of in LABELS.items()
        },
    }  # fmt: skip
    asked = requests(rng, 150)
    document = {"reference": reference, "watch": WATCH, "requests": asked, "expected": counted(asked)}
    (FOLDER / "sketch.json").write_text(json.dumps(document, indent=None, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
