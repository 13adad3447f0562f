"""Ratios over the traffic of all processes: a document in the store of a ledger has the totals and the requests.

A ledger counts amounts by label. A share or a guard is an amount per request, may be below 0, and may be of a measure
that the ledger does not have. So each process adds what it has seen, in numbered batches, to one document.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.errors import LedgerUnavailableError
from oasis_alloc.pacing.goal import Goal
from oasis_alloc.pacing.ledger_events import UNITS
from oasis_alloc.pacing.ledger_stores import Store
from oasis_alloc.pacing.rows import Rows

_NAME = "ratios:pacer"
_TRIES = 200
_KEPT = 7 * 86400.0  # seconds for which a process that is silent, and a goal that has ended, are kept

Found = tuple[float, Floats, Floats]
"""(requests of all processes, what the goals have (n,), how many requests there were when each began (n,))"""


class Ratios:
    """What this process has to add to the totals of goals per request; callers hold the lock, except for `exchange`."""

    def __init__(self, store: Store, rows: Rows) -> None:
        self._store, self.rows = store, np.flatnonzero(rows.per_request)
        self._keys = {row: _key(rows.goals[row]) for row in self.rows.tolist()}
        self._ends = {self._keys[row]: float(rows.end[row]) for row in self._keys}
        self._queue: Floats = np.zeros(rows.n)
        self._batches: list[tuple[str, int, int, dict[str, int]]] = []  # writer, number, requests, millionths by goal
        self._writer, self._process, self._number = secrets.token_hex(8), os.getpid(), 0
        self.reported = 0  # requests of this process that are in batches

    def note(self, change: Floats) -> None:
        """Deliveries that came with ids have changed what goals have by so much (n,)."""
        self._queue[self.rows] += change[self.rows]

    def take(self, local: Floats, requests: int) -> None:
        """Make a batch of all that is new: `local` (n,) counted without ids, and `requests` of this process so far."""
        if self._process != os.getpid():  # what was not in a batch at a fork is of the parent
            self._writer, self._process, self._number = secrets.token_hex(8), os.getpid(), 0
            self._queue[:], self.reported = 0.0, requests
        self.note(local)
        amounts = {self._keys[row]: round(float(self._queue[row]) * UNITS) for row in self.rows.tolist()}
        self._queue[self.rows] -= [amounts[self._keys[row]] / UNITS for row in self.rows.tolist()]
        if requests > self.reported or any(amounts.values()):
            self._number += 1
            self._batches.append((self._writer, self._number, max(requests - self.reported, 0), amounts))
        self.reported = requests

    def exchange(self, now: float) -> Found:
        """Add the batches, each of which counts once, and read the totals."""
        for _ in range(_TRIES):
            batches = list(self._batches)
            document = self._store.read([_NAME])[_NAME]
            content = _read(document.text)
            goals, writers = content["goals"], content["writers"]
            is_new = False
            for writer, number, requests, amounts in batches:
                if writers.get(writer, (0, 0.0))[0] >= number:
                    continue  # it was added, and the answer was lost
                writers[writer], is_new = [number, now], True
                content["requests"] += requests
                for key, amount in amounts.items():
                    end = self._ends.get(key, now)
                    goals.setdefault(key, [0, content["requests"] - requests, end])[0] += amount
            for key, end in self._ends.items():
                if key not in goals:
                    goals[key], is_new = [0, content["requests"], end], True
            if not is_new or self._store.swap({_NAME: document.version}, {_NAME: _text(content, now)}):
                self._batches = self._batches[len(batches) :]
                return self._found(content)
            time.sleep(random.uniform(0.0, 0.01))
        raise LedgerUnavailableError("the totals of ratios: other processes write all the time; call sync() again.")

    def _found(self, content: dict[str, Any]) -> Found:
        amounts, began = np.zeros((2, self._queue.size))
        for row, key in self._keys.items():
            amounts[row], began[row] = content["goals"][key][0] / UNITS, content["goals"][key][1]
        return float(content["requests"]), amounts, began

    def take_over(self, other: Ratios) -> None:
        """Add what another one had to add; it has nothing left."""
        self._batches, other._batches = [*other._batches, *self._batches], []
        self.reported = other.reported

    def state(self, requests: int) -> dict[str, Any]:
        """Plain lists and numbers; all of it in batches, so that it counts once even if it is restored twice."""
        self.take(np.zeros_like(self._queue), requests)
        return {"batches": [list(batch) for batch in self._batches], "reported": self.reported}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`; batches keep their numbers, so those that were added already count once."""
        self._batches = [(writer, number, requests, amounts) for writer, number, requests, amounts in state["batches"]]
        self._queue[:], self.reported = 0.0, state["reported"]


def _key(goal: Goal) -> str:
    terms = [[column, list(keys), coefficient] for column, keys, coefficient in goal.terms]
    return json.dumps([terms, repr(goal.label), goal.start], separators=(",", ":"))


def _read(text: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text) if text else {"requests": 0, "goals": {}, "writers": {}}
    return content


def _text(content: dict[str, Any], now: float) -> str:
    """The document, without goals and processes that are gone."""
    goals = {key: one for key, one in content["goals"].items() if one[2] > now - _KEPT}
    writers = {key: one for key, one in content["writers"].items() if one[1] > now - _KEPT}
    kept = {"requests": content["requests"], "goals": goals, "writers": writers}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
