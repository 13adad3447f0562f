"""The account of a budget and the leases of replicas, as the store has them; and how large a replica's part is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FRACTION = 0.5
"""Of an equal part of what is left: what a replica holds, unless it is told otherwise."""

PARTS = 1000
"""Of a cap that is not counted in showings: what is granted at least is one of so many."""


@dataclass(slots=True)
class Account:
    """By group, in millionths: the cap, and what was granted and has not come back. By replica: how often it synced."""

    caps: dict[str, int] = field(default_factory=dict)
    granted: dict[str, int] = field(default_factory=dict)
    beats: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Account:
        return cls(**json.loads(text)) if text else cls()

    def text(self) -> str:
        return _json({"caps": self.caps, "granted": self.granted, "beats": self.beats})

    def free(self, key: str) -> int:
        """What can be granted; below 0 where a cap was lowered, or a store has lost grants."""
        return self.caps[key] - self.granted.get(key, 0)

    def grant(self, key: str, more: int) -> None:
        self.granted[key] = self.granted.get(key, 0) + more

    def beat(self, replica: str) -> None:
        self.beats[replica] = self.beats.get(replica, 0) + 1


@dataclass(slots=True)
class Lease:
    """What one replica was granted, of which it has reported a part as spent."""

    granted: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Lease:
        return cls(**json.loads(text)) if text else cls()

    def text(self) -> str:
        return _json({name: {k: v for k, v in of.items() if v} for name, of in
                      (("granted", self.granted), ("spent", self.spent))})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parts:
    """How much of what is left a replica holds: a fraction of an equal part, in whole steps."""

    fraction: float
    step: int

    def granted(
        self, free: int, leased: int, spent: int, live: int, wanted: Mapping[str, int] | None, key: str,
        step: int | None = None,
    ) -> int:  # fmt: skip
        """What the lease of a replica shall be, given what it is and what the replica has spent.

        At least what was spent: that is gone, whatever the lease says. At most the lease plus what is free. `step` is
        that of the key, where it has one of its own; where 0 is `wanted`, nothing is held.

        >>> Parts(0.5, 1).granted(free=100, leased=0, spent=0, live=5, wanted=None, key="a")
        10
        >>> Parts(0.5, 1).granted(free=0, leased=40, spent=30, live=5, wanted=None, key="a")
        31
        >>> Parts(0.5, 1).granted(free=-5, leased=0, spent=7, live=1, wanted=None, key="a")
        7
        """
        free = max(free, 0)
        one = self.step if step is None else step
        part = _in_steps(int(self.fraction * (free + max(leased - spent, 0)) / live), one)
        if wanted is not None and key in wanted:
            part = min(part, _in_steps(wanted[key], one)) if wanted[key] > 0 else 0
        return max(spent, min(spent + part, leased + free))


def _in_steps(amount: int, step: int) -> int:
    return max(-(-amount // step), 1) * step


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
