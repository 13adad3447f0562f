"""Make the golden overlay: prices for `columns.safetensors`, and its requests with scores and slates at them.

    python tests/golden/overlays.py

Written from docs/snapshot.md alone; answers are those of `reference.py` with the prices replaced.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from reference import Snapshot

FOLDER = Path(__file__).parent
STOP = 1e9 * 0.25


def overlaid(snapshot: Snapshot, overlay: dict[str, Any]) -> Snapshot:
    """The snapshot with the prices of an overlay."""
    assert overlay["format"] == "oasis_alloc.overlay"
    assert overlay["schema"] == 1
    assert overlay["policy_id"] == snapshot.header["policy_id"]
    for what in ("terms", "constraints"):
        for number, row, price in overlay[what]:
            snapshot.arrays[f"{what}/{number}/price"][row] = price
    return snapshot


def made() -> str:
    """The file as text."""
    snapshot = Snapshot(FOLDER / "columns.safetensors")
    rng = np.random.default_rng(21)
    terms = []
    for number in (0, 1, 2, 4, 5):
        n = len(snapshot.arrays[f"terms/{number}/price"])
        for row in sorted(rng.choice(n, max(1, n // 2), replace=False).tolist()):
            terms.append([number, row, float(rng.normal(0.0, 0.4))])
    terms[0][2] = STOP
    overlay = {
        "format": "oasis_alloc.overlay", "schema": 1, "policy_id": snapshot.header["policy_id"],
        "created": 1764547260.5, "sequence": 17, "terms": terms, "constraints": [[0, terms[0][1], STOP]],
    }  # fmt: skip
    overlaid(snapshot, overlay)
    requests = json.loads((FOLDER / "columns.json").read_text(encoding="utf-8"))["requests"]
    for request in requests:
        columns = {name: [float.fromhex(value) for value in of] for name, of in request["columns"].items()}
        user, items = request["user"], request["items"]
        scores = snapshot.scores(user, items, columns)
        how = (request["k"], request["pinned"], request["exclude"])
        request["scores"] = [score.hex() for score in scores]
        request["slate"] = snapshot.slate(user, items, columns, scores, *how)
    return json.dumps({"snapshot": "columns.safetensors", "overlay": overlay, "requests": requests}, indent=1) + "\n"


if __name__ == "__main__":
    (FOLDER / "overlay.json").write_text(made(), encoding="utf-8")
