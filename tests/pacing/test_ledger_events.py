"""Events that cannot be counted are refused by name, with their position, and change nothing."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import NOW

import oasis_alloc as oa
from oasis_alloc.pacing.ledger_events import label_of, label_text

GOOD = oa.Event("good", "one", NOW)


def ledger(**options: Any) -> oa.Ledger:
    return oa.Ledger(**{"clock": lambda: NOW, "groups": ["one", "two"], **options})


BAD = {
    "an empty id": (GOOD._replace(id=""), "id", "expected a text of 1 to 200 characters"),
    "a number as id": (GOOD._replace(id=7), "id", "id 7"),
    "a long id": (GOOD._replace(id="x" * 201), "id", "200 characters"),
    "NUL": (GOOD._replace(id="a\0b"), "id", "without NUL"),
    "half a surrogate pair": (GOOD._replace(id="a\ud800"), "id", "unpaired surrogates"),
    "no key": (GOOD._replace(key=None), "key", "expected a label"),
    "NaN as key": (GOOD._replace(key=float("nan")), "key", "expected a label"),
    "a list as key": (GOOD._replace(key=["one"]), "key", "cannot be a label"),
    "bytes as key": (GOOD._replace(key=b"one"), "key", "expected texts, numbers"),
    "an unknown campaign": (GOOD._replace(key="onee"), "unknown group", r"'onee' is not among the 2 groups.*'one'"),
    "a negative amount": (GOOD._replace(amount=-1), "amount", r"the amount is -1; expected a number from 0 to 1e\+09"),
    "NaN as amount": (GOOD._replace(amount=float("nan")), "amount", "nan"),
    "an infinite amount": (GOOD._replace(amount=float("inf")), "amount", "inf"),
    "a huge amount": (GOOD._replace(amount=10**400), "amount", "1e"),
    "a boolean amount": (GOOD._replace(amount=True), "amount", "True"),
    "an amount as text": (GOOD._replace(amount="1"), "amount", "'1'"),
    "the future": (GOOD._replace(time=NOW + 61), "in the future", "61 s after the clock of this machine"),
    "before 1970": (GOOD._replace(time=-1.0), "time", "seconds since 1970 UTC"),
    "NaN as time": (GOOD._replace(time=float("nan")), "time", "nan"),
    "no time": (GOOD._replace(time=None), "time", "None"),
    "no zone": (GOOD._replace(time=dt.datetime(2026, 1, 1)), "time", "without a time zone"),
    "milliseconds": (GOOD._replace(time=NOW * 1000), "in the future", "after the clock"),
    "another state": (GOOD._replace(state="shown"), "state", "'shown'; expected 'served', 'confirmed' or 'lost'"),
    "no state": (GOOD._replace(state=None), "state", "None"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_named_and_the_others_can_be_kept(name: str) -> None:
    bad, reason, message = BAD[name]
    one = ledger()
    with pytest.raises(oa.InputError, match=message) as raised:
        one.record([GOOD, bad])
    assert "event 1 (id " in str(raised.value)
    assert "Nothing of the batch was stored" in str(raised.value)
    assert one.totals() == []
    receipt = one.record([bad, GOOD], on_bad="skip")
    assert (receipt.counted, len(receipt.rejected)) == (1, 1)
    assert (receipt.rejected[0].position, receipt.rejected[0].reason) == (0, reason)
    assert one.delivered() == {"one": 1.0, "two": 0.0}
    assert one.stats()["rejected"] == 1


def test_an_event_with_several_faults_is_refused_once() -> None:
    receipt = ledger().record([oa.Event("", None, NOW + 1e6, -1.0, "?")], on_bad="skip")  # type: ignore[arg-type]
    assert [bad.reason for bad in receipt.rejected] == ["id"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "two"}, "for 'two', and before for 'one'"),
        ({"time": NOW - 1}, "at 1782899999.0, and before at 1782900000.0"),
        ({"amount": 2.0}, "served with 2, and before with 1"),
    ],
)
@pytest.mark.parametrize("state", ["served", "confirmed"])
def test_one_id_with_different_content_is_a_conflict(change: dict[str, Any], message: str, state: str) -> None:
    if state == "confirmed" and "amount" in change:
        return  # what was expected and what was confirmed may differ
    one = ledger()
    other = GOOD._replace(state=state, **change)
    for events in ([GOOD, other], [other]):  # within a batch, and between two
        with pytest.raises(oa.InputError, match=message):
            one.record(events)
        one.record([GOOD])
    assert one.record([other], on_bad="skip").rejected[0].reason == "conflict"
    assert one.delivered() == {"one": 1.0, "two": 0.0}


def test_what_was_confirmed_counts_with_its_own_amount() -> None:
    one = ledger()
    one.record([GOOD._replace(amount=0.8), oa.Event("x", "two", NOW, 0.5)])
    one.record([GOOD._replace(amount=1.0, state="confirmed"), oa.Event("x", "two", NOW, 0.5, "lost")])
    assert one.delivered() == one.delivered(pending=False) == {"one": 1.0, "two": 0.0}
    assert [(row.group, row.lost) for row in one.totals()] == [("one", 0.0), ("two", 0.5)]
    one.record([oa.Event("x", "two", NOW, 0.5, "confirmed")])
    assert one.delivered() == {"one": 1.0, "two": 0.5}, "a confirmation after the loss is evidence"


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["served", "lost", "confirmed"])), max_size=30), st.data())
def test_neither_order_nor_repetition_nor_batches_matter(given_events: list[tuple[int, str]], data: Any) -> None:
    events = [oa.Event(f"id {k}", k % 2, NOW - 3600 * k, (k + len(state)) / 3, state) for k, state in given_events]
    shuffled = data.draw(st.permutations(events + events[::2]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    one, other = oa.Ledger(clock=lambda: NOW), oa.Ledger(clock=lambda: NOW)
    one.record(events)
    for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        other.record(shuffled[a:b])
    assert one.totals() == other.totals()
    # Counted by hand: the last of served, lost, confirmed that has arrived.
    seen = {(event.id, event.state): event for event in events}
    for kept, states in (("confirmed", ["confirmed"]), ("lost", ["lost"]), ("pending", ["served"])):
        above = {"confirmed": [], "lost": ["confirmed"], "pending": ["confirmed", "lost"]}[kept]
        amounts = [round(e.amount * 1e6) for (one_id, state), e in seen.items() if state in states
                   and not any((one_id, better) in seen for better in above)]  # fmt: skip
        assert round(sum(getattr(row, kept) for row in one.totals()) * 1e6) == sum(amounts)


def test_equal_labels_are_one_group() -> None:
    one = oa.Ledger(clock=lambda: NOW)
    labels = [3, 3.0, np.int64(3), Decimal("3"), "3", dt.date(2026, 1, 2), "2026-01-02"]
    one.record([oa.Event(f"{k}", label, NOW) for k, label in enumerate(labels)])
    assert one.delivered() == {3: 4.0, "3": 1.0, "2026-01-02": 2.0}


@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.booleans(),
                 st.integers(-2**70, 2**70), st.floats(allow_nan=False, allow_infinity=False)))  # fmt: skip
def test_labels_come_back_from_their_texts(label: Any) -> None:
    found = label_of(label_text(label, 1))
    assert found == label
    assert isinstance(found, bool) == isinstance(label, bool)
    assert label_of(label_text(("SE", label), 2)) == ("SE", label)


def test_keys_of_a_pair() -> None:
    one = oa.Ledger(by=("market", "campaign"), clock=lambda: NOW)
    with pytest.raises(oa.InputError, match="expected a tuple of 2 labels"):
        one.record([GOOD])
    one.record_columns(["a", "b", "c"], [("SE", 1), ("DE", 1), ("DE", 2)], NOW, [1.0, 2.0, 4.0])
    assert one.delivered(by="campaign") == {1: 3.0, 2: 4.0}
    assert one.delivered(by=("campaign", "market")) == {(1, "SE"): 1.0, (1, "DE"): 2.0, (2, "DE"): 4.0}
    assert one.delivered(by="market", among=["SE", "NO"]) == {"SE": 1.0, "NO": 0.0}
    with pytest.raises(oa.InputError, match="'artist' is not a key of this ledger"):
        one.delivered(by="artist")


def test_columns_of_tables_are_taken() -> None:
    frame = pd.DataFrame({
        "id": ["a", "b"], "campaign": ["one", "two"], "amount": [1, 2],
        "at": pd.to_datetime(["2026-06-30T10:00:00+02:00", "2026-06-30T11:00:00+02:00"]),
    })  # fmt: skip
    one = ledger()
    receipt = one.record_columns(frame["id"], frame["campaign"], frame["at"], frame["amount"])
    assert receipt.counted == 2
    assert [row.start for row in one.totals()] == [1_782_806_400.0, 1_782_810_000.0]
    with pytest.raises(oa.InputError, match="keys has 1 entries and ids has 2"):
        one.record_columns(["a", "b"], ["one"], NOW)


def test_edges_of_slices() -> None:
    one = ledger(slice_seconds=900)
    one.record([oa.Event("a", "one", NOW), oa.Event("b", "one", NOW - 900)])
    assert one.delivered(since=NOW) == one.delivered(until=NOW) == {"one": 1.0, "two": 0.0}
    assert one.delivered(since=dt.datetime(2026, 7, 1, tzinfo=dt.UTC)) == {"one": 2.0, "two": 0.0}
    with pytest.raises(oa.InputError, match=r"since is 1782900001\.0; expected an edge of a slice of 900 s"):
        one.delivered(since=NOW + 1)
    with pytest.raises(oa.InputError, match="It has no time zone"):
        one.delivered(until=dt.datetime(2026, 7, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": ()}, "by is"), ({"by": ("a", "a")}, "every key once"), ({"name": "a-b"}, "name='a-b'"),
        ({"slice_seconds": 7}, "divide a day"), ({"slice_seconds": 0}, "slice_seconds=0"),
        ({"retention_days": 0}, "retention_days=0"), ({"skew": -1}, "skew=-1"), ({"clock": 3}, "clock=3"),
        ({"store": "mysql://db"}, "postgresql:// or redis://"), ({"store": 3}, "the path of a SQLite file"),
    ],
)  # fmt: skip
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        oa.Ledger(**options)


def test_other_arguments_are_checked() -> None:
    one = ledger()
    with pytest.raises(oa.InputError, match=r"event 0 is 'a'; expected an oasis_alloc\.Event"):
        one.record(["a"])  # type: ignore[list-item]
    for wrong in (None, GOOD, "events", {"id": "a"}, 7):
        with pytest.raises(oa.InputError, match=r"expected a list of oasis_alloc\.Event"):
            one.record(wrong)  # type: ignore[arg-type]
    with pytest.raises(oa.InputError, match="limit is 0; expected a whole number of ids"):
        one.compact(limit=0)
    with pytest.raises(oa.InputError, match=r"the time is .*2026-07-01.* without a time zone"):
        one.record_columns(["a"], ["one"], np.array(["2026-07-01"], "M8[s]"))
    with pytest.raises(oa.InputError, match="on_bad is 'ignore'"):
        one.record([GOOD], on_bad="ignore")
    with pytest.raises(oa.InputError, match="unconfirmed is 'gone'"):
        one.compact(unconfirmed="gone")
    with pytest.raises(oa.InputError, match="returned no finite number"):
        oa.Ledger(clock=lambda: float("nan")).record([GOOD])
    with pytest.raises(TypeError, match=r"a Ledger is of one process.*Ledger\(store, \.\.\.\) in each"):
        pickle.dumps(one)


def test_delivered_is_what_a_statement_takes() -> None:
    one = ledger()
    one.record([oa.Event("a", "one", NOW, 71.0), oa.Event("b", "two", NOW, 12.0)])
    items = {"campaign": ["one", "three"]}
    rest = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.1, 0.9, 0.1]}, items=items)
    had = one.delivered(among=rest.groups("campaign"))
    assert had == {"one": 71.0, "three": 0.0}
    cap = (oa.exposure(by="campaign").delivered_so_far(had) <= 72.0).named("cap")
    solution = oa.solve(oa.Problem(rest, oa.total("r"), cap, oa.Slate(1)))
    assert solution.totals["cap"] == pytest.approx([1.0, 1.0], abs=1e-6)
