"""Processes that record are killed with SIGKILL at random moments: what was acknowledged is there, and counts once."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledgers import DAY, NOW, Writer, batches, totals_of

import oasis_alloc as oa


def expected(numbers: dict[int, int]) -> list[Any]:
    """Totals after so many batches of every writer."""
    model = oa.Ledger(clock=lambda: NOW, retention_days=30)
    for writer, n in numbers.items():
        for events in islice(batches(writer), n):
            model.record(events)
    return totals_of(model)


def kill_and_compare(address: str, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    writers = [Writer(address, name, k) for k in range(1 + seed % 2)]
    counts = {}
    for writer in writers:
        writer.acknowledged(3)
    time.sleep(float(rng.uniform(0, 0.3)))
    for writer in writers:
        counts[writer.writer] = 3 + writer.kill()
    with oa.Ledger(address, name=name, clock=lambda: NOW, retention_days=30) as ledger:
        found = totals_of(ledger)
        # The batch that was not acknowledged is there as a whole, or not at all.
        possible = [{}]
        for writer, n in counts.items():
            possible = [{**one, writer: m} for one in possible for m in (n, n + 1)]
        assert found in [expected(one) for one in possible]
        more = {writer: n + 1 for writer, n in counts.items()}
        for writer, n in more.items():
            for events in islice(batches(writer), n):
                ledger.record(events)
        assert totals_of(ledger) == expected(more), "everything sent again counts once"


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1))
def test_acknowledged_events_survive_kill_9(tmp_path: Path, seed: int) -> None:
    kill_and_compare(str(tmp_path / "ledger.db"), "ledger", seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1, 100))
def test_acknowledged_events_survive_kill_9_at_a_hundred_moments(tmp_path: Path, seed: int) -> None:
    kill_and_compare(str(tmp_path / "ledger.db"), "ledger", seed)


@pytest.mark.full
@pytest.mark.parametrize("server", ["postgres", "redis"])
def test_servers_keep_what_they_acknowledged_to_a_process_that_is_killed(
    request: pytest.FixtureRequest, server: str
) -> None:
    for seed in range(2):
        kill_and_compare(request.getfixturevalue(server), f"crash_{seed}", seed)


def test_compaction_that_is_interrupted_is_finished_by_the_next_one(tmp_path: Path) -> None:
    """The days are closed first, so ids that are still there, and ids that are gone, count nothing again."""
    ledger = oa.Ledger(tmp_path / "ledger.db", clock=lambda: NOW)
    events = [event for events in islice(batches(0), 30) for event in events]
    early = oa.Ledger(tmp_path / "ledger.db", clock=lambda: NOW, retention_days=30)
    early.record([event for event in events if event.time < NOW - DAY])
    ledger.record([event for event in events if event.time >= NOW - DAY])
    before, ids = totals_of(ledger), ledger.stats()["ids"]
    removed = ledger.compact(limit=50)
    assert 0 < removed <= 50
    again = ledger.record(events)
    assert again.counted == 0
    assert again.late == sum(event.time < NOW - DAY for event in events)
    assert totals_of(ledger) == before
    assert removed + ledger.compact() == ids - ledger.stats()["ids"]
    assert totals_of(ledger) == before
    ledger.close()
    early.close()
