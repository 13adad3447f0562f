"""Events as they are given, checked and brought into the form in which stores keep them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import as_listed, is_none, same, shown, storable
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.instants import EXPECTED, LATEST, seconds_array, seconds_of

STATES = ("served", "lost", "confirmed")  # the later ones prevail
UNITS = 1_000_000  # amounts are whole millionths, so that sums are exact in every store and every order
MOST = 1e9  # of one event: 2**53 millionths are exact in a double, which is what scripts in Redis compute with
LONGEST_ID = 200


class Event(NamedTuple):
    """Something that happened to one delivery: it was served, confirmed or lost.

    `id` and `time` belong to the delivery. Every event about it repeats them: a confirmation has the time of serving.
    `docs/ledger.md` says what each field may be, and how states add up.

    >>> import oasis_alloc as oa
    >>> oa.Event("imp-17", "summer campaign", 1_782_864_000.0).amount
    1.0
    """

    id: str
    key: Any
    time: float | dt.datetime
    amount: float = 1.0
    state: str = "served"


class Rejected(NamedTuple):
    """An event that was refused: its position in what was given, its id, why in a word or two, and in full.

    >>> import oasis_alloc as oa
    >>> receipt = oa.Ledger().record([oa.Event("imp-1", None, 1_782_864_000.0)], on_bad="skip")
    >>> receipt.rejected[0][:3]
    (0, 'imp-1', 'key')
    """

    position: int
    id: Any
    reason: str
    message: str


@dataclass(slots=True)
class Batch:
    """Events that are valid by themselves, by column, and those that are not."""

    positions: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[int] = field(default_factory=list)  # microseconds since 1970 UTC
    amounts: list[int] = field(default_factory=list)  # millionths
    states: list[int] = field(default_factory=list)  # numbers in STATES
    rejected: list[Rejected] = field(default_factory=list)


def label_text(label: Any, n_keys: int) -> str:
    """A label as stores have it, the same text for labels that are equal; `InputError` for what cannot be one.

    >>> label_text(np.int64(3), 1), label_text(3.0, 1), label_text(("SE", "a"), 2)
    ('3', '3', '["SE","a"]')
    """
    if n_keys == 1 and type(label) in (str, int):  # the usual ones, and mostly the same ones again
        return _simple_text(label)
    return _label_text(label, n_keys)


@lru_cache(1 << 14, typed=True)
def _simple_text(label: str | int) -> str:
    return _label_text(label, 1)


def _label_text(label: Any, n_keys: int) -> str:
    parts: tuple[Any, ...] = (label,)
    if n_keys > 1:
        if not isinstance(label, (tuple, list)) or len(label) != n_keys:
            raise InputError(f"the key is {shown(label)}; expected a tuple of {n_keys} labels.")
        parts = tuple(label)
    if any(is_none(part) for part in parts):
        raise InputError(f"the key is {shown(label)}; expected a label: every delivery belongs to one.")
    kept = [_plain(part) for part in storable(parts)]
    if any(not isinstance(part, (str, int, float)) for part in kept):
        raise InputError(f"the key is {shown(label)}; expected texts, numbers, booleans, dates or times.")
    text = json.dumps(kept if n_keys > 1 else kept[0], ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"the key is {shown(label)}; expected a text without NUL characters and unpaired surrogates.")
    return text


def _plain(part: Any) -> Any:
    return int(part) if type(part) is float and part.is_integer() else part


@lru_cache(1 << 14)
def label_of(text: str) -> Any:
    """The label of a text.

    >>> label_of('["SE","a"]'), label_of("3")
    (('SE', 'a'), 3)
    """
    label = json.loads(text)
    return tuple(label) if isinstance(label, list) else label


class Reader:
    """Reads events for groups of `by`, of which only `groups` may occur where they are given."""

    def __init__(self, by: tuple[str, ...], groups: Iterable[Any] | None) -> None:
        self.by = by
        self._texts: dict[Hashable, str] = {}  # of labels that have been seen
        self.groups: dict[str, Any] | None = None
        if groups is not None:
            self.groups = {}
            self.add(groups)

    def add(self, groups: Iterable[Any]) -> None:
        """Take these groups too."""
        new = {label_text(label, len(self.by)): label for label in as_listed(groups)}
        self.groups = {**(self.groups or {}), **new}

    def columns(
        self, ids: Any, keys: Any, times: Any, amounts: Any, states: Any, *, latest: float, now: float
    ) -> Batch:
        """Check events by column; times after `latest` are in the future. Numbers and states may be one for all."""
        given_ids, given_keys = as_listed(ids), as_listed(keys)
        n = len(given_ids)
        bad: dict[int, Rejected] = {}
        columns = {"keys": given_keys}
        for name, given in (("times", times), ("amounts", amounts), ("states", states)):
            one = isinstance(given, (str, dt.datetime)) or as_real(given) is not None
            columns[name] = [given] * n if one else as_listed(given)
        for name, column in columns.items():
            if len(column) != n:
                raise InputError(f"{name} has {len(column):,} entries and ids has {n:,}; expected one per event.")

        def refuse(k: int, reason: str, message: str) -> None:
            if k not in bad:
                bad[k] = Rejected(k, given_ids[k], reason, f"event {k:,} (id {shown(given_ids[k])}): {message}")

        _check_ids(given_ids, refuse)
        texts = self._keys(given_keys, refuse)
        amount = _amounts(columns["amounts"], refuse)
        time = _times(columns["times"], latest, now, refuse)
        state = _states(columns["states"], refuse)
        if not bad:
            return Batch(list(range(n)), given_ids, texts, time, amount, state)
        good = [k for k in range(n) if k not in bad]
        return Batch(
            good,
            [given_ids[k] for k in good],
            [texts[k] for k in good],
            [time[k] for k in good],
            [amount[k] for k in good],
            [state[k] for k in good],
            [bad[k] for k in sorted(bad)],
        )

    def _keys(self, keys: Sequence[Any], refuse: Any) -> list[str]:
        if set(map(type, keys)) <= {str} and len(self.by) == 1:  # equal only to themselves
            try:
                return [self._texts[key] for key in keys]
            except KeyError:
                pass
        out = []
        for k, key in enumerate(keys):
            try:
                looked_up = same(key)
                text = self._texts.get(looked_up)
                if text is None:
                    text = label_text(key, len(self.by))
                    if self.groups is not None and text not in self.groups:
                        known = list(self.groups.values())
                        hint = did_you_mean(key, known) if known else ""
                        refuse(k, "unknown group", f"{shown(key)} is not among the {len(known):,} groups.{hint}")
                    else:
                        self._texts[looked_up] = text
            except InputError as error:
                refuse(k, "key", str(error))
                text = ""
            out.append(text)
        return out


def _check_ids(ids: list[Any], refuse: Any) -> None:
    def wrong(one: Any) -> bool:
        if type(one) is not str or not 0 < len(one) <= LONGEST_ID or "\0" in one:
            return True
        return not one.isascii() and any("\ud800" <= letter <= "\udfff" for letter in one)

    if set(map(type, ids)) <= {str} and ids:
        all_of_them = "".join(ids)
        if (
            all_of_them.isascii()
            and "\0" not in all_of_them
            and min(map(len, ids))
            and max(map(len, ids)) <= LONGEST_ID
        ):
            return
    for k, one in enumerate(ids):
        if wrong(one):
            refuse(
                k,
                "id",
                f"expected a text of 1 to {LONGEST_ID} characters, without NUL characters and unpaired surrogates.",
            )


def _amounts(amounts: list[Any], refuse: Any) -> list[int]:
    if set(map(type, amounts)) <= {float, int}:
        try:
            numbers = np.array(amounts, np.float64)
        except OverflowError:
            numbers = np.array([min(amount, 2 * MOST) for amount in amounts], np.float64)
    else:
        numbers = np.array([np.nan if (one := as_real(value)) is None else one for value in amounts], np.float64)
    for k in np.flatnonzero(~((numbers >= 0) & (numbers <= MOST))).tolist():
        refuse(k, "amount", f"the amount is {shown(amounts[k])}; expected a number from 0 to {MOST:g}.")
        numbers[k] = 0.0
    whole: NDArray[np.int64] = np.rint(numbers * UNITS).astype(np.int64)
    return whole.tolist()  # type: ignore[no-any-return]


def _times(times: list[Any], latest: float, now: float, refuse: Any) -> list[int]:
    seconds = seconds_array(times)
    for k in np.flatnonzero(~((seconds >= 0) & (seconds <= min(latest, LATEST)))).tolist():
        if seconds[k] > latest:
            ahead = f"{seconds[k] - now:,.0f} s after the clock of this machine"
            refuse(k, "in the future", f"the time {shown(times[k])} is {ahead}; expected the time of serving.")
        else:
            naive = seconds_of(times[k], dt.UTC) is not None and seconds_of(times[k]) is None
            refuse(k, "time", f"the time is {shown(times[k])}{', without a time zone' * naive}; expected {EXPECTED}.")
        seconds[k] = 0.0
    micro: NDArray[np.int64] = np.rint(seconds * 1e6).astype(np.int64)
    return micro.tolist()  # type: ignore[no-any-return]


def _states(states: list[Any], refuse: Any) -> list[int]:
    known = {state: k for k, state in enumerate(STATES)}
    try:
        return [known[state] for state in states]
    except (KeyError, TypeError):
        pass
    out = []
    for k, state in enumerate(states):
        if not isinstance(state, str) or state not in known:
            refuse(k, "state", f"the state is {shown(state)}; expected 'served', 'confirmed' or 'lost'.")
        out.append(known.get(state, 0) if isinstance(state, str) else 0)
    return out
