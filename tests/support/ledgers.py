"""What tests of ledgers share: the moment at which they run, the stores, and a process that records and is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

NOW = 1_782_900_000.0  # 2026-07-01 10:00:00 UTC
# each takes a second or two to start
SERVERS = tuple(pytest.param(name, marks=pytest.mark.full) for name in ("postgres", "redis"))
STORES = ("memory", "sqlite", *SERVERS)
SHARED = STORES[1:]  # that processes can share
DAY = 86_400.0

BATCH = 40
CAMPAIGNS = 5


def batch(writer: int, number: int) -> list[oa.Event]:
    """A batch that is the same whenever it is made: deliveries of its own, and news of those of earlier batches."""
    rng = np.random.default_rng((writer, number))
    out = [event(writer, number, k, "served") for k in range(BATCH)]
    for back in range(1, 1 + min(number, 3)):
        for k in rng.choice(BATCH, 8, replace=False).tolist():
            out.append(event(writer, number - back, k, str(rng.choice(["confirmed", "lost", "served"]))))
    return [out[k] for k in rng.permutation(len(out))]


def event(writer: int, number: int, k: int, state: str) -> oa.Event:
    """What happened to delivery k of a batch. A quarter of the batches are of days ago."""
    time = NOW - (number % 4 == 3) * 4 * DAY - k
    amount = (1 + k % 7) / 4 + 0.1 * (state == "confirmed")
    return oa.Event(f"{writer}-{number}-{k}", f"campaign {(number + k) % CAMPAIGNS}", time, amount, state)


def batches(writer: int) -> Iterator[list[oa.Event]]:
    number = 0
    while True:
        yield batch(writer, number)
        number += 1


class Writer:
    """A process that records batches of `batch` and says so on its standard output, after each of them."""

    def __init__(self, address: str, name: str, writer: int) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([_source(), str(Path(__file__).parent)])}
        self.writer = writer
        self.process = subprocess.Popen(
            [sys.executable, __file__, address, name, str(writer)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            bufsize=0,  # what is read ahead into a buffer is not in what `communicate` returns
        )  # fmt: skip

    def acknowledged(self, at_least: int) -> None:
        """Wait until so many batches are stored."""
        assert self.process.stdout is not None
        for _ in range(at_least):
            line = self.process.stdout.readline()
            assert line, self.process.stderr and self.process.stderr.read().decode()

    def kill(self) -> int:
        """Kill it with SIGKILL; return how many more batches it had said to be stored."""
        self.process.kill()
        out, error = self.process.communicate()
        assert not error, error.decode()
        return out.count(b"\n")


def _source() -> str:
    return str(Path(oasis_alloc_file()).parents[1])


def oasis_alloc_file() -> str:
    assert oa.__file__ is not None
    return oa.__file__


def totals_of(ledger: oa.Ledger) -> list[Any]:
    return [row for row in ledger.totals() if row.confirmed or row.pending or row.lost]


def main() -> None:
    address, name, writer = sys.argv[1:]
    ledger = oa.Ledger(address, name=name, clock=lambda: NOW, retention_days=30)
    for number, events in enumerate(batches(int(writer))):
        ledger.record(events)
        os.write(1, b"%d\n" % number)  # not through a buffer, which would be lost


if __name__ == "__main__":
    main()
