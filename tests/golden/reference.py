"""A reader and scorer written from docs/snapshot.md with Python's own types alone: slow, plain, and of no other code.

The vectors next to this file are what it answers; the library and the host in `examples/jvm-host/` must do the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from itertools import product
from pathlib import Path
from typing import Any

FORMS = {"F64": "d", "I64": "q", "I32": "i", "U8": "B"}


def equal_to(label: Any) -> Any:
    """What equal labels have in common: the kind, and the value; for Python, True and 1 are equal."""
    if label is None or label != label:
        return None
    kind = "bool" if isinstance(label, bool) else "string" if isinstance(label, str) else "number"
    return kind, label


class Snapshot:
    """One file: `header` strings, `policy` document, `arrays` as flat lists, `shapes`."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        (length,) = struct.unpack_from("<Q", raw)
        described = json.loads(raw[8 : 8 + length])
        self.header: dict[str, str] = described.pop("__metadata__")
        assert self.header["format"] == "oasis_alloc.policy"
        assert self.header["schema"] in ("1", "2", "3")
        digest = self.header["checksum"]
        assert hashlib.sha256(raw.replace(digest.encode(), b"0" * 64, 1)).hexdigest() == digest
        self.arrays: dict[str, list[Any]] = {}
        self.shapes: dict[str, list[int]] = {}
        for name, entry in described.items():
            form = FORMS[entry["dtype"]]
            n = math.prod(entry["shape"])
            self.arrays[name] = list(struct.unpack_from(f"<{n}{form}", raw, 8 + length + entry["data_offsets"][0]))
            self.shapes[name] = entry["shape"]
        self.policy: dict[str, Any] = json.loads(self.header["policy"])
        self.item_keys = [key["name"] for key in self.policy["item_keys"]]
        self.user_keys = [key["name"] for key in self.policy["user_keys"]]
        self.user_labels = [
            self.labels(f"user_keys/{k}/labels", key["labels"]) for k, key in enumerate(self.policy["user_keys"])
        ]

    def labels(self, name: str, kind: str) -> list[Any]:
        if kind == "uint":
            return [number % 2**64 for number in self.arrays[name]]
        if kind != "str":
            return [bool(label) for label in self.arrays[name]] if kind == "bool" else self.arrays[name]
        text, ends = bytes(self.arrays[f"{name}/text"]), self.arrays[f"{name}/ends"]
        return [text[ends[k] : ends[k + 1]].decode() for k in range(len(ends) - 1)]

    def rows(self, name: str) -> list[tuple[int, ...]]:
        flat, (n, width) = self.arrays[name], self.shapes[name]
        return [tuple(flat[k * width : (k + 1) * width]) for k in range(n)]

    def codes(self, key: int, item: int) -> list[int]:
        """Labels of an item, ascending; none of an item that was never seen."""
        codes = self.arrays[f"item_keys/{key}/codes"]
        if item < 0:
            return []
        if self.policy["item_keys"][key]["several"]:
            indptr = self.arrays[f"item_keys/{key}/indptr"]
            return codes[indptr[item] : indptr[item + 1]]
        return [codes[item]] if codes[item] >= 0 else []

    def encode(self, ids: list[Any]) -> list[int]:
        kind = self.policy["items"]
        if kind is None:
            known: Any = range(self.policy["n_items"])
        else:
            known = self.labels("items", kind)
        numbers = {equal_to(one): number for number, one in enumerate(known)}
        return [numbers.get(equal_to(one), -1) for one in ids]

    def user(self, user: Any) -> tuple[int, ...]:
        """Codes of a user: by number, by labels, or of nobody known."""
        if isinstance(user, int):
            return self.rows("segments")[self.arrays["segment_of_user"][user]]
        given = user or {}
        known = self.policy["known"]["user_keys"] if "known" in self.policy else self.user_keys
        assert set(given) <= set(known), "a key that the problem did not have"
        codes = []
        for key, labels in zip(self.user_keys, self.user_labels, strict=True):
            label = equal_to(given.get(key))
            codes.append(next((code for code, one in enumerate(labels) if equal_to(one) == label), -1))
        return tuple(codes)

    def price(self, column: str | None, user: tuple[int, ...], item: int) -> float:
        """P of a column: terms in order, groups ascending."""
        total = 0.0
        for k, term in enumerate(self.policy["terms"]):
            if term["column"] != column:
                continue
            prices = dict(zip(self.rows(f"terms/{k}/groups"), self.arrays[f"terms/{k}/price"], strict=True))
            parts = [
                self.codes(self.item_keys.index(key), item)
                if key in self.item_keys
                else [user[self.user_keys.index(key)]]
                for key in term["keys"]
            ]
            for group in product(*parts):
                total = total + prices.get(group, 0.0)
        return total

    def scores(self, user: Any, items: list[int], columns: dict[str, list[float]]) -> list[float]:
        codes = self.user(user)
        columns = self.mapped(user, items, columns)
        weights = self.policy["weights"]
        measured = sorted({term["column"] for term in self.policy["terms"]} - {None})
        out = []
        for i, item in enumerate(items):
            if len(weights) == 1 and weights[0][1] == 1.0 and weights[0][0] is not None:
                v = columns[weights[0][0]][i]
            else:
                v = 0.0
                for column, weight in weights:
                    v = v + (weight if column is None else weight * columns[column][i])
            s = v - self.price(None, codes, item)
            for column in measured:
                s = s - self.price(column, codes, item) * columns[column][i]
            out.append(s)
        return out

    def mapped(self, user: Any, items: list[int], columns: dict[str, list[float]]) -> dict[str, list[float]]:
        """The columns of a request, calibrated."""
        out = dict(columns)
        for k, one in enumerate(self.policy.get("calibration", ())):
            x, y = self.arrays[f"calibration/{k}/x"], self.rows(f"calibration/{k}/y")
            row = {code: at for at, code in enumerate(self.arrays[f"calibration/{k}/codes"], 1)}
            made = []
            for item, value in zip(items, columns[one["column"]], strict=True):
                labels = [-1]
                if one["key"] in self.user_keys:
                    labels = [self.user(user)[self.user_keys.index(one["key"])]]
                elif one["key"] is not None:
                    labels = self.codes(self.item_keys.index(one["key"]), item) or [-1]
                of = y[row.get(labels[0], 0)]
                s = of[0]
                for j in range(len(x) - 1):
                    d = value - x[j]
                    d = d if d > 0.0 else 0.0
                    width = x[j + 1] - x[j]
                    d = d if d < width else width
                    s = s + (of[j + 1] - of[j]) / width * d
                made.append(s)
            out[one["column"]] = made
        return out

    def step(self, key: str, j: int, decrements: bool = True) -> float:
        """What the j-th item of one of a key's categories costs."""
        rule = self.policy["slate"]
        at_most = dict(rule["at_most"])
        if key in at_most and j >= at_most[key]:
            return math.inf
        for number, (name, slope) in enumerate(rule["diminishing"]):
            if name == key and decrements:
                steps = self.arrays[f"slate/diminishing/{number}"]
                last = len(steps) - 1
                return float(steps[min(j, last)] + slope * max(j - last, 0))
        return 0.0

    def slate(
        self, user: Any, items: list[int], columns: dict[str, list[float]], scores: list[float], k: int | None,
        pinned: list[int], exclude: list[int],
    ) -> list[int]:  # fmt: skip
        """Positions, best first."""
        columns = self.mapped(user, items, columns)
        selection = Selection(self, user, items, scores, k, pinned, exclude)
        if self.policy["slate"]["keep"] is None:
            return selection.greedy(scores)
        column, share = self.policy["slate"]["keep"]
        return selection.keeping(columns[column], share)


class Selection:
    """Slates of one request."""

    def __init__(
        self, snapshot: Snapshot, user: Any, items: list[int], scores: list[float], k: int | None, pinned: list[int],
        exclude: list[int],
    ) -> None:  # fmt: skip
        rule = snapshot.policy["slate"]
        keys = list(dict.fromkeys([*(key for key, _ in rule["at_most"]), *(key for key, _ in rule["diminishing"])]))
        size, least = rule["size"], rule["at_least"]
        if isinstance(user, int):
            size = snapshot.arrays["slate/size_by_user"][user] if rule["size_by_user"] else size
            least = min(snapshot.arrays["slate/at_least_by_user"][user] if rule["at_least_by_user"] else least, size)
        rank = snapshot.arrays["rank"] if snapshot.policy["rank"] else range(snapshot.policy["n_items"])
        self.snapshot, self.scores, self.pinned, self.exclude = snapshot, scores, pinned, set(exclude)
        self.k = min(size if k is None else k, len(items))
        self.least = min(least, self.k)
        self.rank = [rank[item] if item >= 0 else math.inf for item in items]
        self.categories = [
            [(key, code) for key in keys for code in snapshot.codes(snapshot.item_keys.index(key), item)]
            for item in items
        ]

    def marginal(self, i: int, slate: list[int], scores: list[float], decrements: bool = True) -> float:
        """Score less the steps that the candidate's categories are at."""
        m = scores[i]
        for key, code in self.categories[i]:
            m = m - self.snapshot.step(key, sum((key, code) in self.categories[j] for j in slate), decrements)
        return m

    def greedy(self, scores: list[float], decrements: bool = True) -> list[int]:
        out = list(self.pinned)
        while len(out) < self.k:
            free = [i for i in range(len(scores)) if i not in out and i not in self.exclude]
            worth = {i: self.marginal(i, out, scores, decrements) for i in free}
            best = min(free, key=lambda i: (-worth[i], self.rank[i], i), default=None)
            if best is None or worth[best] == -math.inf or (worth[best] <= 0.0 and len(out) >= self.least):
                break
            out.append(best)
        return out

    def worth(self, slate: list[int]) -> float:
        total = 0.0
        for j, i in enumerate(slate):
            total = total + self.marginal(i, slate[:j], self.scores)
        return total

    def keeping(self, column: list[float], share: float) -> list[int]:
        """The slate that keeps a share of a column."""

        def kept(slate: list[int]) -> float:
            total = 0.0
            for i in slate:
                total = total + column[i]
            return total

        high = self.greedy(column, decrements=False)
        target = kept(high) - (1.0 - share) * abs(kept(high))
        target = target - 1e-9 * abs(target)
        low = self.greedy(self.scores)
        if kept(low) >= target:
            return low
        for _ in range(50):
            nu = (self.worth(low) - self.worth(high)) / (kept(high) - kept(low))
            mid = self.greedy([s + nu * c for s, c in zip(self.scores, column, strict=True)])
            if kept(mid) >= target:
                if kept(mid) >= kept(high) and self.worth(mid) <= self.worth(high):
                    break
                high = mid
            else:
                if kept(mid) <= kept(low):
                    break
                low = mid

        def improve(slate: list[int], repair: bool) -> list[int] | None:
            for _ in range(2 * self.k + 1):
                best, better = -math.inf if repair else 1e-12, None
                for j in range(len(self.pinned), len(slate) + (len(slate) < self.k)):
                    rest, base, r = slate[:j] + slate[j + 1 :], 0.0, kept(slate)
                    if j < len(slate):
                        base, r = self.marginal(slate[j], rest, self.scores), r - column[slate[j]]
                        if not repair and len(slate) > self.least and r >= target and 0.0 - base > best:
                            best = 0.0 - base
                            better = [slate[-1] if place == j else slate[place] for place in range(len(slate) - 1)]
                    for i in range(len(column)):
                        if i in slate or i in self.exclude or not r + column[i] >= target:
                            continue
                        more = self.marginal(i, rest, self.scores) - base
                        if more > best:
                            best, better = more, [*slate[:j], i, *slate[j + 1 :]]
                if better is None:
                    break
                slate, repair = better, False
            return None if repair else slate

        chosen, repaired = improve(high, False), improve(low, True)
        assert chosen is not None
        if repaired is not None and self.worth(repaired) > self.worth(chosen):
            chosen = repaired
        self.exclude = set(range(len(column))) - set(chosen)
        self.k = self.least = len(chosen)
        return self.greedy(self.scores)
