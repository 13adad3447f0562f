"""Events per second into a ledger.

    python -m benchmarks.ledger                          # SQLite in a temporary folder, ids in order of time
    python -m benchmarks.ledger --ids random --events 2000000
    python -m benchmarks.ledger --store redis://localhost:6379/0

A batch is made before the clock starts; what is timed is `record_columns`, from lists of Python to the commit on disk
(`synchronous=FULL`). Both the time that has passed and the processor's time of this process are printed: on a machine
that others use, the second is the one that says something. At the end, the totals are compared with what was sent.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import uuid
from pathlib import Path

import oasis_alloc as oa

CAMPAIGNS = [f"campaign {k}" for k in range(100)]


def ids(number: int, size: int, kind: str) -> list[str]:
    """Ids of a batch: like UUIDs of version 7, which begin with the time, or random ones."""
    if kind == "random":
        return [uuid.UUID(int=random.getrandbits(128)).hex for _ in range(size)]
    return [f"{number:012x}-7{k:07x}-{k * 2654435761 % 2**32:08x}" for k in range(size)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--ids", choices=["time", "random"], default="time")
    parser.add_argument("--store", help="an address; without one, a SQLite file in a temporary folder")
    given = parser.parse_args()
    now = time.time()
    with tempfile.TemporaryDirectory() as folder:
        address = given.store or str(Path(folder) / "ledger.db")
        ledger = oa.Ledger(address, name=f"bench_{uuid.uuid4().hex[:8]}")
        wall = processor = 0.0
        best = float("inf")
        batches = given.events // given.batch
        for number in range(batches):
            keys = [CAMPAIGNS[k % len(CAMPAIGNS)] for k in range(given.batch)]
            times = [now - 7200 + (number * given.batch + k) * 1e-3 for k in range(given.batch)]
            names = ids(number, given.batch, given.ids)
            began, used = time.perf_counter(), time.process_time()
            receipt = ledger.record_columns(names, keys, times)
            lasted = time.perf_counter() - began
            wall, processor, best = wall + lasted, processor + time.process_time() - used, min(best, lasted)
            assert receipt.counted == given.batch
        assert sum(ledger.delivered().values()) == batches * given.batch
        n = batches * given.batch
        print(
            f"{n:,} events in batches of {given.batch:,}: {n / wall:,.0f} per second; {n / processor:,.0f} per second "
            f"of processor time; {given.batch / best:,.0f} per second in the fastest batch"
        )
        ledger.close()


if __name__ == "__main__":
    main()
