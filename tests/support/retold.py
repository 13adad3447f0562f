"""The same random program told in another way: other units, another order, limits that cannot bind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from random_programs import KEYS, USER_KEYS, Array, Gain, Limits, RandomProgram, Sum, Term


def in_units(program: RandomProgram, units: dict[str, float], scale: float = 1.0) -> RandomProgram:
    """Columns in these units, with the weights and limits of their totals; arithmetic between totals in the first's."""

    def told(measure: Sum) -> Sum:
        column = measure.terms[0].column
        return replace(measure, unit=1.0 if column is None else units.get(column, 1.0))

    return replace(
        program,
        units=units,
        single=program.single - set(units),
        scale=scale,
        limits=tuple(replace(limit, measure=told(limit.measure)) for limit in program.limits),
        gains=tuple(replace(gain, measure=told(gain.measure)) for gain in program.gains),
    )


def with_a_loose_cap(rng: np.random.Generator, program: RandomProgram, huge: float) -> RandomProgram:
    """One more constraint, the last, all of whose limits are beyond what any total can reach; or a floor below."""
    measure = Sum(
        (
            Term(
                1.0,
                str(rng.choice(["relevance", "cost"])) if rng.random() < 0.5 else None,
                KEYS[rng.integers(len(KEYS))],
            ),
        )
    )
    n = len(program.groups(measure.by))
    sign = 1.0 if rng.random() < 0.7 else -1.0
    numbers = np.full(n, sign * np.inf)
    cap = Limits(measure, "<=" if sign > 0 else ">=", numbers, huge=dict.fromkeys(range(n), sign * huge))
    return replace(program, limits=(*program.limits, cap))


def with_loose_limits(rng: np.random.Generator, program: RandomProgram, huge: float) -> RandomProgram:
    """Groups that have no limit in a constraint are given one that they cannot reach."""

    def loosened(limit: Limits) -> Limits:
        free = np.flatnonzero(np.isnan(limit.numbers))
        free = free[rng.random(free.size) < 0.7]
        if limit.sense == "==" or limit.form != "mapping" or not free.size:
            return limit
        sign = 1.0 if limit.sense == "<=" else -1.0
        numbers = limit.numbers.copy()
        numbers[free] = sign * np.inf
        return replace(limit, numbers=numbers, huge=dict.fromkeys(free.tolist(), sign * huge) | limit.huge)

    return replace(program, limits=tuple(loosened(limit) for limit in program.limits))


class Order:
    """A new order of users, of every user's pairs, of items, columns and constraints, and of the labels of keys."""

    def __init__(self, rng: np.random.Generator, program: RandomProgram) -> None:
        self.users = rng.permutation(program.n_users)  # old numbers in the new order
        self.items = rng.permutation(program.n_items)
        of = np.array(program.user, np.int64)
        self.pairs = np.concatenate([[], *(rng.permutation(np.flatnonzero(of == u)) for u in self.users)]).astype(int)
        self.limits = rng.permutation(len(program.limits))
        self.columns = rng.permutation(list(program.columns)).tolist()
        self.reverse = {key: bool(rng.random() < 0.5) for key in program.labels}

    def of(self, program: RandomProgram) -> RandomProgram:
        """The program in the new order."""
        new_user, new_item = np.argsort(self.users), np.argsort(self.items)
        labels = {}
        for key, old in program.labels.items():
            told = [self._label(key, label) for label in old]
            labels[key] = [told[k] for k in (self.users if key in USER_KEYS else self.items)]
        slate = dict(program.slate)
        if isinstance(slate["size"], np.ndarray):
            slate["size"] = slate["size"][self.users]
        moved = replace(
            program,
            user=[int(new_user[program.user[p]]) for p in self.pairs],
            item=[int(new_item[program.item[p]]) for p in self.pairs],
            columns={name: program.columns[name][self.pairs] for name in self.columns},
            labels=labels,
            supply=None if program.supply is None else program.supply[self.users],
            slate={
                k: v[self.users] if isinstance(v, np.ndarray) and k == "size" else v for k, v in program.slate.items()
            },
        )
        return replace(
            moved,
            limits=tuple(self._limit(program, moved, program.limits[k]) for k in self.limits),
            gains=tuple(self._gain(program, moved, gain) for gain in program.gains),
        )

    def back(self, x: Array) -> Array:
        """Numbers of the new order's pairs in the old order."""
        out = np.empty_like(x)
        out[self.pairs] = x
        return out

    def label(self, by: tuple[str, ...], label: Any) -> Any:
        """What a group is called in the new order."""
        if not by:
            return label
        parts = label if len(by) > 1 else (label,)
        told = tuple(self._label(key, part) for key, part in zip(by, parts, strict=True))
        return told if len(by) > 1 else told[0]

    def _label(self, key: str, label: Any) -> Any:
        """Labels that sort the other way round."""
        if label in (None, -1) or not self.reverse[key]:
            return label
        if isinstance(label, list):
            return sorted(self._label(key, part) for part in label)
        return 100 - label if isinstance(label, int) else chr(ord("z") - ord(label[-1]) % 26) + label

    def _groups(self, before: RandomProgram, after: RandomProgram, by: tuple[str, ...]) -> list[int]:
        """Which old group each new one is."""
        new = after.groups(by)
        at = {label: g for g, label in enumerate(new)}
        out = [0] * len(new)
        for g, label in enumerate(before.groups(by)):
            out[at[self.label(by, label)]] = g
        return out

    def _limit(self, before: RandomProgram, after: RandomProgram, limit: Limits) -> Limits:
        old = self._groups(before, after, limit.measure.by)
        delivered = None if limit.delivered is None else limit.delivered[old]
        huge = {g: limit.huge[k] for g, k in enumerate(old) if k in limit.huge}
        return replace(limit, numbers=limit.numbers[old], delivered=delivered, huge=huge)

    def _gain(self, before: RandomProgram, after: RandomProgram, gain: Gain) -> Gain:
        old = self._groups(before, after, gain.measure.by)
        numbers = {k: v[old] if k in ("targets", "shares") else v for k, v in gain.numbers.items()}
        return replace(gain, numbers=numbers, delivered=None if gain.delivered is None else gain.delivered[old])
