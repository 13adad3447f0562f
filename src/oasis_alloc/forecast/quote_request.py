"""What a quote is asked for: which impressions, of which users, how many."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.errors import ProblemError

if TYPE_CHECKING:
    from oasis_alloc.common.types import Table

When = str | dt.date | dt.datetime

_MAPPINGS = ("of", "where", "attributes")


@suggesting
@dataclass(frozen=True, eq=False, kw_only=True)
class QuoteRequest(ByFields):
    """The impressions that `oa.quote` is asked about, and how many more of them are wanted.

    Parameters
    ----------
    units
        Impressions on top of what the plan delivers now, 0 or more; with `supply`, weighted by it. None asks for the
        curve and the maximum alone.
    of
        Which items, by their keys: `{"campaign": "c17"}`. A list names several labels; several keys must all agree.
    items
        Which items, by their ids (by number where the candidates have no ids).
    pairs
        Candidates of new items: a frame or mapping with the columns `user` and `item` (named as in the candidates) and
        every column of the candidates, one row per pair. Cannot be combined with `of` and `items`.
    attributes
        Labels of the new items by key, for `pairs`: one label for all of them, or `{id: label}`. Keys that are left out
        have no label.
    where
        Which users, by their keys: `{"market": "DE", "hour": [18, 19]}`. None for all.
    starts, ends
        The flight, as ISO 8601 texts, dates or datetimes; both days count. An end in the past is refused.
    clock
        A key of the users whose labels are times, such as "hour"; it is then restricted to the flight.
    max_price
        A price per impression, in units of the objective; the quote says how many units cost at most that.
    name
        What the campaign is called in reports and in the accepted problem. None makes a name.

    Raises
    ------
    ProblemError
        For an argument of the wrong kind, negative or infinite units, and a flight that ends before it starts.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.QuoteRequest(of={"campaign": "c17"}, where={"market": "DE"}, units=50_000)
    QuoteRequest(units=50000, of={'campaign': 'c17'}, where={'market': 'DE'})
    """

    units: float | None = None
    of: Mapping[str, Any] | None = None
    items: Sequence[Any] | None = None
    pairs: Table | Mapping[str, Any] | None = None
    attributes: Mapping[str, Any] | None = None
    where: Mapping[str, Any] | None = None
    starts: When | None = None
    ends: When | None = None
    clock: str | None = None
    max_price: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("units", "max_price"):
            _check_amount(name, getattr(self, name))
        for name in _MAPPINGS:
            given = getattr(self, name)
            if given is not None and not isinstance(given, Mapping):
                raise ProblemError(f"quote: {name}={shown(given)}; expected {{key: label}}.")
        if self.items is not None and (isinstance(self.items, (str, bytes)) or not hasattr(self.items, "__len__")):
            raise ProblemError(f"quote: items={shown(self.items)}; expected a list of item ids.")
        given = [name for name in ("of", "items", "pairs") if getattr(self, name) is not None]
        if not given:
            raise ProblemError(
                "quote: it is not said which impressions; give of={key: label}, items=[...], or pairs=... for new "
                "items."
            )
        if "pairs" in given and len(given) > 1:
            raise ProblemError(f"quote: pairs= has new items, and {given[0]}= names known ones; ask two quotes.")
        if self.attributes is not None and self.pairs is None:
            raise ProblemError("quote: attributes= are those of new items, and there are none; give pairs= as well.")
        for name in ("name", "clock"):
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or not text):
                raise ProblemError(f"quote: {name}={shown(text)}; expected a text that is not empty.")
        first, last = self.flight
        if first is not None and last is not None and last < first:
            raise ProblemError(f"quote: the flight ends on {self.ends}, before it starts on {self.starts}.")
        if self.clock is not None and first is None and last is None:
            raise ProblemError("quote: clock= says which key has the times of a flight; give starts= or ends= as well.")

    @classmethod
    def of_fields(cls, given: Mapping[str, Any]) -> QuoteRequest:
        """A request from arguments of `quote`; unknown names are refused."""
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise ProblemError(f"quote() takes no argument {name!r}.{did_you_mean(name, known)}")
        return cls(**given)

    @property
    def flight(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """The first and the last moment of the flight in UTC, None where it is open."""
        return moment("starts", self.starts, last=False), moment("ends", self.ends, last=True)

    def check_dates(self, now: dt.datetime) -> None:
        """Refuse a flight that is over."""
        _, last = self.flight
        if last is not None and last < now:
            raise ProblemError(
                f"quote: the flight ends on {self.ends}, which is in the past (now is {now:%Y-%m-%d %H:%M} UTC). "
                "Nothing can be booked for it; give a later end, or now= if the clock of this machine is wrong."
            )

    def __repr__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        said = [f"{k}={shown(v) if k == 'pairs' else repr(v)}" for k, v in given.items() if v is not None]
        return f"QuoteRequest({', '.join(said)})"


def moment(name: str, given: object, last: bool) -> dt.datetime | None:
    """A date or time in UTC; a day without a time is its first or its last moment. Times without a zone are UTC."""
    if given is None:
        return None
    found: object = given
    if isinstance(given, str):
        try:
            found = dt.date.fromisoformat(given) if len(given) <= 10 else dt.datetime.fromisoformat(given)
        except ValueError:
            raise ProblemError(f"quote: {name}={given!r}; expected an ISO 8601 date or time.") from None
    if isinstance(found, dt.datetime):
        return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    if isinstance(found, dt.date):
        return dt.datetime.combine(found, dt.time.max if last else dt.time.min, dt.UTC)
    raise ProblemError(f"quote: {name}={shown(given)}; expected an ISO 8601 date or time.")


def _check_amount(name: str, given: object) -> None:
    if given is None:
        return
    number = as_real(given)
    if number is None or not math.isfinite(number):
        raise ProblemError(f"quote: {name}={shown(given)}; expected a finite number, or None.")
    if number < 0.0:
        hint = " To take units away from a campaign, lower its floor or its cap instead." if name == "units" else ""
        raise ProblemError(f"quote: {name}={number:g} is negative; expected 0 or more.{hint}")
