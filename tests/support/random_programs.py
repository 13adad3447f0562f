"""Random programs of all features: plain numbers of size 1, and the units in which the package is told of them.

A `RandomProgram` is what the judge of `fuzz_judge.py` knows. Its numbers have no units; `presented.py` states the same
program to the package with every column in a unit of its own, so that no judgment depends on units.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ITEM_KEYS, USER_KEYS = ("campaign", "artist", "licensor", "genre"), ("market", "hour")
COLUMNS = ("relevance", "promotion", "streams", "cost", "margin")
NONNEGATIVE = COLUMNS[:4]
KEYS: tuple[tuple[str, ...], ...] = (
    (), ("campaign",), ("campaign",), ("artist",), ("licensor",), ("genre",), ("market",), ("hour",),
    ("market", "campaign"), ("hour", "artist"), ("campaign", "artist"), ("market", "hour"), ("market", "genre"),
    ("market", "hour", "campaign"),
)  # fmt: skip
NESTING = (["artist"], ["licensor"], ["artist", "licensor"])
CROSSING = (["campaign", "artist"], ["genre"], ["genre", "licensor"])
HUGE = (1e3, 1e6, 1e9, 1e12, 1e15, 1e19, 1e20, 1e30, 1e300, float(np.finfo(float).max), np.inf)
"""Limits that nothing can reach, as people write them."""


@dataclass(frozen=True)
class Term:
    """One summand of a measure; no column is exposure."""

    coefficient: float
    column: str | None
    by: tuple[str, ...]


@dataclass(frozen=True)
class Sum:
    """A measure: terms, the widest first; its totals are told to the package in multiples of `unit`."""

    terms: tuple[Term, ...]
    unit: float = 1.0

    @property
    def by(self) -> tuple[str, ...]:
        return self.terms[0].by


@dataclass(frozen=True, eq=False)
class Limits:
    """`measure sense numbers`, NaN for a group without a limit; a finite penalty makes it soft.

    `huge` has what is said where no limit can bind, in the package's own units: the numbers there are infinite.
    """

    measure: Sum
    sense: str
    numbers: Array
    form: str = "array"
    penalty: float = float(np.inf)
    delivered: Array | None = None
    huge: dict[int, float] = field(default_factory=dict)
    weight: float = 1.0  # of a missed unit in a relaxation

    @property
    def hard(self) -> bool:
        return not np.isfinite(self.penalty)


@dataclass(frozen=True, eq=False)
class Gain:
    """A function of the objective: `weight` times `kind` of a measure, with its own numbers."""

    kind: str
    measure: Sum
    weight: float
    numbers: dict[str, Any] = field(default_factory=dict)
    delivered: Array | None = None


@dataclass(frozen=True, eq=False)
class RandomProgram:
    """Everything about a program, without units; `units` of columns and `scale` of the objective are apart."""

    seed: int
    user: list[int]  # of every pair
    item: list[int]
    columns: dict[str, Array]
    labels: dict[str, list[Any]]
    n_users: int
    n_items: int
    slate: dict[str, Any]
    linear: tuple[Term, ...] = ()
    gains: tuple[Gain, ...] = ()
    limits: tuple[Limits, ...] = ()
    supply: Array | None = None
    steady: float = 0.0  # weight of staying close to slates chosen by relevance alone
    single: frozenset[str] = frozenset()  # columns in 32 bits, whose unit is 1
    units: dict[str, float] = field(default_factory=dict)
    scale: float = 1.0
    gap: float = 1e-4
    relax: bool = False
    weighted: bool = True  # missed units are weighted so that the least total has no units

    @property
    def n_pairs(self) -> int:
        return len(self.user)

    def unit(self, column: str | None) -> float:
        """What a column is multiplied by before the package sees it."""
        return 1.0 if column is None else self.units.get(column, 1.0)

    def without_units(self) -> RandomProgram:
        """The same program told in numbers of size 1."""
        return replace(
            self,
            units={},
            scale=1.0,
            limits=tuple(replace(limit, measure=replace(limit.measure, unit=1.0)) for limit in self.limits),
            gains=tuple(replace(gain, measure=replace(gain.measure, unit=1.0)) for gain in self.gains),
        )

    def labels_of(self, key: str, pair: int) -> list[Any]:
        """All labels of a pair by a key: none, one or several."""
        label = self.labels[key][self.user[pair] if key in USER_KEYS else self.item[pair]]
        return [] if label in (None, -1) else label if isinstance(label, list) else [label]

    def groups(self, by: tuple[str, ...]) -> list[Any]:
        """Sorted labels of a key, whether or not a candidate has them; of several keys, the tuples that occur."""
        if not by:
            return [None]
        sides = {key in USER_KEYS for key in by}
        if len(sides) == 2:
            rows = [[self.labels_of(key, pair) for key in by] for pair in range(self.n_pairs)]
        else:
            rows = [
                [[] if x in (None, -1) else x if isinstance(x, list) else [x] for x in row]
                for row in zip(*(self.labels[key] for key in by), strict=True)
            ]
        found = sorted({label for row in rows for label in _product(row)})
        return found if len(by) > 1 else [label[0] for label in found]

    def matrix(self, measure: Sum) -> Array:
        """(n_groups, n_pairs): what each pair adds to each group's total, per unit of its probability and supply."""
        labels = self.groups(measure.by)
        out = np.zeros((len(labels), self.n_pairs))
        for term in measure.terms:
            worth = np.ones(self.n_pairs) if term.column is None else self.columns[term.column]
            place = [measure.by.index(key) for key in term.by]
            rows: dict[tuple[Any, ...], list[int]] = {}
            for g, label in enumerate(labels):
                parts = label if len(measure.by) > 1 else (label,)
                rows.setdefault(tuple(parts[k] for k in place), []).append(g)
            for pair in range(self.n_pairs):
                for label in _product([self.labels_of(key, pair) for key in term.by]):
                    for g in rows.get(label, ()):
                        out[g, pair] += term.coefficient * worth[pair]
        return out


def _product(parts: list[list[Any]]) -> list[tuple[Any, ...]]:
    out: list[tuple[Any, ...]] = [()]
    for part in parts:
        out = [(*before, label) for before in out for label in part]
    return out


def random_market(rng: np.random.Generator, seed: int, generic: bool = False) -> RandomProgram:
    """Users of no, one and many candidates, numbers that tie or not, labels that are missing, one or several."""
    n_items = int(rng.integers(1, 15))
    n_users = int(rng.integers(1, 41) if rng.random() < 0.5 else rng.integers(1, 9))
    user: list[int] = []
    item: list[int] = []
    density = rng.uniform(0.2, 1.0)
    for u in range(n_users):
        mine = rng.permutation(n_items)[: rng.binomial(n_items, density)] if rng.random() > 0.08 else []
        user += [u] * len(mine)
        item += [int(i) for i in mine]
    n = len(user)
    columns = {name: _numbers(rng, n, name) + (rng.uniform(0.01, 0.02, n) if generic else 0.0) for name in COLUMNS}
    single = frozenset(name for name in COLUMNS if rng.random() < 0.1 and not generic)
    columns |= {name: columns[name].astype(np.float32).astype(float) for name in single}
    artist = rng.integers(0, max(1, n_items // 2), n_items)
    labels: dict[str, list[Any]] = {
        "campaign": [int(c) for c in rng.choice([-1, 3, 5, 8, 13], n_items)],
        "artist": [None if rng.random() < 0.1 else f"artist {a}" for a in artist],
        "licensor": [f"licensor {a % 3}" for a in artist],  # every artist has one: the keys nest
        "genre": [sorted(rng.permutation(["folk", "jazz", "pop"])[: rng.integers(0, 3)].tolist()) for _ in artist],
        "market": [None if rng.random() < 0.1 else str(m) for m in rng.choice(["de", "jp", "se"], n_users)],
        "hour": [int(h) for h in rng.choice([-1, 0, 7, 19], n_users, p=[0.1, 0.3, 0.3, 0.3])],
    }  # fmt: skip
    return RandomProgram(seed, user, item, columns, labels, n_users, n_items, _slate(rng, n_users), single=single)


def _numbers(rng: np.random.Generator, n: int, name: str) -> Array:
    kind = rng.choice(["uniform", "uniform", "quarters", "same", "wide", "sparse"])
    if kind == "quarters":
        out = rng.integers(0, 9, n) / 4
    elif kind == "same":
        out = np.full(n, rng.integers(0, 5) / 2)
    elif kind == "wide":
        out = np.exp(rng.normal(0.0, 1.5, n))
    elif kind == "sparse":
        out = rng.uniform(0.2, 1.0, n) * (rng.random(n) < 0.4)
    else:
        out = rng.uniform(0.0, 1.0, n)
    return out * rng.choice([-1.0, 1.0], n, p=[0.3, 0.7]) if name not in NONNEGATIVE else out


def _slate(rng: np.random.Generator, n_users: int) -> dict[str, Any]:
    """The rules of slates: half of all programs have none but a size."""
    size: Any = int(rng.integers(1, 6))
    if rng.random() < 0.5:
        return {"size": size}
    out: dict[str, Any] = {"size": size}
    nest = bool(rng.random() < 0.6)
    chosen = (NESTING if nest else CROSSING)[rng.integers(3)]
    if rng.random() < 0.6:
        out["at_most"] = {key: int(rng.integers(1, 4)) for key in chosen}
    if rng.random() < 0.35:
        steps: Any = float(rng.choice([0.05, 0.2, 1.0]))
        if rng.random() < 0.3:
            steps = np.sort(rng.choice([0.0, 0.1, 0.3], 3))
        out["diminishing"] = {chosen[0]: steps}
    if rng.random() < 0.35:
        out["keep"] = {str(rng.choice(NONNEGATIVE)): float(rng.choice([0.5, 0.9, 0.95, 1.0]))}
    if nest and rng.random() < 0.25:
        out["at_least"] = int(rng.integers(1, size + 1))
    if nest and rng.random() < 0.2:
        weights = np.sort(rng.choice([1.0, 0.8, 0.5, 0.2], size))[::-1]
        out["slot_weights"] = weights
    elif rng.random() < 0.25:
        out["size"] = np.maximum(rng.integers(0, size + 1, n_users), int(out.get("at_least", 0)))
    return out
