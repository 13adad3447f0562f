"""Every store does the same with the same events: what is counted, what is refused, what is kept, what is removed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from ledgers import NOW, SHARED, STORES

import oasis_alloc as oa

each_store = pytest.mark.parametrize("address", STORES, indirect=True)
shared_store = pytest.mark.parametrize("address", SHARED, indirect=True)
Open = Callable[..., oa.Ledger]
HOUR, DAY = 3600.0, 86_400.0


def some_events(rng: np.random.Generator, n: int) -> list[oa.Event]:
    """Events of few ids, in any order, with repetitions, conflicts and late ones."""
    out = []
    for _ in range(n):
        k = int(rng.integers(0, n // 2))
        key = f"campaign {k % 3}" if rng.random() < 0.95 else "another"
        state = str(rng.choice(["served", "lost", "confirmed"]))
        amount = float(rng.choice([k % 5 / 4, 1.0], p=[0.95, 0.05]))
        out.append(oa.Event(f"id-{k}", key, NOW - k % 7 * DAY / 2, amount, state))
    return out


@each_store
def test_all_stores_agree_with_memory(open_ledger: Open) -> None:
    ledger, model = open_ledger(), oa.Ledger(clock=lambda: NOW)
    rng = np.random.default_rng(3)
    for step in range(12):
        events = some_events(rng, 60)
        assert ledger.record(events, on_bad="skip") == model.record(events, on_bad="skip")
        assert ledger.totals() == model.totals()
        if step == 6:
            assert ledger.compact(unconfirmed="lost") == model.compact(unconfirmed="lost") > 0
    assert ledger.stats() == model.stats()
    assert model.stats()["late"] > 10
    assert model.stats()["repeated"] > 10
    assert model.stats()["rejected"] > 10
    since, until = NOW // DAY * DAY - 2 * DAY, NOW // DAY * DAY
    assert ledger.totals(since=since, until=until) == model.totals(since=since, until=until) != []
    assert ledger.delivered(since=since) == model.delivered(since=since)


@each_store
def test_what_raises_stores_nothing(open_ledger: Open) -> None:
    ledger = open_ledger()
    ledger.record([oa.Event("a", "one", NOW)])
    before = ledger.totals(), ledger.store.n_ids()
    with pytest.raises(oa.InputError, match=r"event 1 \(id 'a'\): it is served with 2, and before with 1"):
        ledger.record([oa.Event("b", "one", NOW), oa.Event("a", "one", NOW, 2.0)])
    assert (ledger.totals(), ledger.store.n_ids()) == before
    assert ledger.record([oa.Event("b", "one", NOW)]).counted == 1


@each_store
def test_labels_of_all_kinds_come_back(open_ledger: Open) -> None:
    ledger = open_ledger(by=("market", "campaign"))
    labels = [("SE", 1), ("åäö 🎵", "x'; DROP TABLE"), (True, 0.5), ('tab\t"quote"', "\\")]
    ledger.record([oa.Event(f"id '{k}' é", label, NOW) for k, label in enumerate(labels)])
    assert ledger.delivered() == dict.fromkeys(labels, 1.0)


@each_store
def test_closed_days_count_nothing_again(open_ledger: Open) -> None:
    """Everything is sent again after compaction: what is closed is late, what is open is known."""
    clock = [NOW]
    ledger = open_ledger(clock=lambda: clock[0], retention_days=1)
    events = [oa.Event(f"id-{k}", "one", NOW + k * HOUR) for k in range(100)]
    clock[0] = NOW + 100 * HOUR
    assert ledger.record(events).counted == 100
    removed = ledger.compact()
    assert removed == sum(event.time < NOW // DAY * DAY + 3 * DAY for event in events) > 50
    assert ledger.stats()["ids"] == 100 - removed
    assert ledger.delivered() == {"one": 100.0}
    assert ledger.record(events) == oa.Receipt(0, 100 - removed, removed)
    assert ledger.delivered() == {"one": 100.0}
    assert ledger.compact() == 0


@each_store
def test_a_clock_that_runs_ahead_closes_nothing(open_ledger: Open) -> None:
    clock = [NOW]
    ledger = open_ledger(clock=lambda: clock[0])
    ledger.record([oa.Event("a", "one", NOW)])
    clock[0] = NOW + 400 * DAY
    assert ledger.compact() == 0
    assert ledger.record([oa.Event("a", "one", NOW)]).repeated == 1
    clock[0] = NOW - 30 * DAY  # and one that steps back lowers no watermark
    watermark = ledger.stats()["watermark"]
    assert ledger.compact() == 0
    assert ledger.stats()["watermark"] == watermark


@each_store
def test_documents_are_swapped_together_or_not_at_all(open_ledger: Open) -> None:
    store = open_ledger().store
    assert {name: document.version for name, document in store.read(["a", "b"]).items()} == {"a": 0, "b": 0}
    assert store.swap({"a": 0, "b": 0}, {"a": "1", "b": "ü"})
    assert not store.swap({"a": 1, "b": 0}, {"a": "2", "b": "2"})
    assert [tuple(document) for document in store.read(["a", "b"]).values()] == [(1, "1"), (1, "ü")]
    assert store.swap({"a": 1}, {"a": "3", "b": None})
    assert [tuple(document) for document in store.read(["a", "b"]).values()] == [(2, "3"), (0, "")]


@shared_store
def test_writers_at_the_same_time_count_every_event_once(open_ledger: Open) -> None:
    """Threads with connections of their own send the same events, in other orders and batches."""
    ledgers = [open_ledger() for _ in range(4)]
    events = [oa.Event(f"id-{k}", f"campaign {k % 3}", NOW - k, state=state) for k in range(300)
              for state in ("served", "confirmed")]  # fmt: skip
    problems: list[BaseException] = []

    def send(seed: int) -> None:
        try:
            order = np.random.default_rng(seed).permutation(len(events))
            for part in np.array_split(order, 7 + seed):
                ledgers[seed].record([events[k] for k in part])
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=send, args=(seed,)) for seed in range(len(ledgers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert ledgers[0].delivered(pending=False) == dict.fromkeys(("campaign 0", "campaign 1", "campaign 2"), 100.0)
    assert sum(ledger.stats()["counted"] for ledger in ledgers) == len(events)


@shared_store
def test_a_ledger_is_opened_as_it_was_created(open_ledger: Open) -> None:
    open_ledger(slice_seconds=900)
    with pytest.raises(oa.InputError, match=r"slice_seconds = 900, and not 3600"):
        open_ledger()
    with pytest.raises(oa.InputError, match=r"by = \['campaign'\], and not \['artist'\]"):
        open_ledger(by="artist", slice_seconds=900)
    assert open_ledger(slice_seconds=900, name="another").totals() == []


@each_store
def test_a_batch_of_nothing_is_stored(open_ledger: Open) -> None:
    ledger = open_ledger()
    assert ledger.record([]) == oa.Receipt(0, 0, 0)
    assert ledger.delivered() == {}
