"""The decision log of a service: what it costs requests, what the thread costs, and how many decisions it can write.

Requests with and without the log take turns, and percentiles are compared within a round, because a machine changes
while it is measured. A wait is a request that gave its processor away: for the interpreter, which the thread had, and
rarely for a lock of the memory. Waits are counted by the system, so they do not depend on what else runs.

python -m benchmarks.decision_log --seconds 3 --candidates 20
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from typing import Any, NamedTuple

import numpy as np

import oasis_alloc as oa

N_USERS, N_ITEMS, SLOTS = 500, 2_000, 10
_PERCENTS = (50, 99, 99.5, 99.9)


class Taken(NamedTuple):
    """Microseconds of each `select`, and with `record`; waits per 1,000 requests, and requests per second."""

    selected: Any
    both: Any
    waits: float
    rate: float


def market(candidates: int) -> tuple[oa.Policy, list[tuple[Any, dict[str, Any], dict[str, Any]]]]:
    """A policy with caps per market and campaign, and requests with their columns and labels."""
    rng = np.random.default_rng(3)
    item = np.concatenate([rng.choice(N_ITEMS, candidates, replace=False) for _ in range(N_USERS)])
    relevance, promotion = rng.random(item.size), rng.random(item.size) * (item % 3 == 0)
    markets = np.array(["SE", "DE", "US"])[np.arange(N_USERS) % 3]
    cands = oa.Candidates.from_arrays(
        np.arange(N_USERS + 1) * candidates,
        item,
        {"relevance": relevance, "promotion": promotion},
        users={"market": markets},
        items={"campaign": np.arange(N_ITEMS) % 40},
    )
    caps = (oa.exposure(by="campaign") <= 0.8 * N_USERS * SLOTS / 40).named("caps")
    objective = oa.total("relevance") + 0.4 * oa.total("promotion")
    policy = oa.solve(oa.Problem(cands, objective, caps, oa.Slate(SLOTS)), gap=1e-3).policy()
    requests = []
    for u in range(N_USERS):
        mine = slice(u * candidates, (u + 1) * candidates)
        columns = {"relevance": relevance[mine].copy(), "promotion": promotion[mine].copy()}
        requests.append((item[mine].astype(np.int64), columns, {"market": str(markets[u])}))
    return policy, requests


def serve(policy: oa.Policy, requests: list[Any], log: oa.DecisionLog | None, seconds: float, rate: float) -> Taken:
    """Select, and log, for some seconds; `rate` requests per second, or, with 0, one after the other."""
    selected, both, k, clock = [], [], 0, time.perf_counter_ns
    waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    start = due = clock()
    while clock() - start < seconds * 1e9:
        if rate:
            due += round(1e9 / rate)
            time.sleep(max(due - clock(), 0) / 1e9)
        items, columns, labels = requests[k % len(requests)]
        begun = clock()
        slate = policy.select(items, columns)
        after = clock()
        if log is not None:
            log.record(f"request-{k}", policy, items, columns, slate, labels=labels)
        both.append(clock() - begun)
        selected.append(after - begun)
        k += 1
    waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - waits
    return Taken(np.array(selected) / 1e3, np.array(both) / 1e3, (waits - (k if rate else 0)) / k * 1e3, k / seconds)


def record_only(policy: oa.Policy, requests: list[Any], log: oa.DecisionLog, count: int) -> list[float]:
    """What a service hands over and the thread writes: decisions per second with the end of the log; microseconds of
    processor time per decision of `record`, in the median and in the fastest of blocks of 1,000, and of the thread."""
    slates = [policy.select(items, columns) for items, columns, _ in requests]
    names = [f"request-{k}" for k in range(count)]
    begun, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    blocks, at = [], time.thread_time()
    for k, name in enumerate(names):
        items, columns, labels = requests[k % len(requests)]
        while not log.record(name, policy, items, columns, slates[k % len(requests)], labels=labels):
            time.sleep(0.001)  # the queue is full
        if k % 1_000 == 999:
            blocks.append((time.thread_time() - at) * 1e3)
            at = time.thread_time()
    mine = time.thread_time() - own
    log.close()
    thread = time.process_time() - cpu - mine
    return [count / (time.perf_counter() - begun), float(np.median(blocks)), min(blocks), thread / count * 1e6]


def growth(plain: list[Taken], logged: list[Taken]) -> str:
    """How much the percentiles grow, in microseconds: the median, over rounds, of the difference within a round."""
    lines = []
    for name, member in (("select", "selected"), ("select and record", "both")):
        without = np.array([np.percentile(one.selected, _PERCENTS) for one in plain])
        within = np.array([np.percentile(getattr(one, member), _PERCENTS) for one in logged])
        cells = [
            f"p{percent:g} {low:.1f} + {more:.1f}"
            for percent, low, more in zip(
                _PERCENTS, np.median(without, axis=0), np.median(within - without, axis=0), strict=True
            )
        ]
        lines.append(f"  {name:18}" + "   ".join(cells))
    waits, rate = (np.median([getattr(one, name) for one in logged]) for name in ("waits", "rate"))
    return "\n".join([*lines, f"  {waits:.2f} waits per 1,000 requests, {rate:,.0f} requests per second"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of plain and of logged requests, per round")
    parser.add_argument("--rounds", type=int, default=10, help="plain and logged requests take turns")
    parser.add_argument("--rates", type=float, nargs="*", default=[0.0, 2_000.0], help="per second; 0: full speed")
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--count", type=int, default=300_000, help="decisions that are only recorded")
    arguments = parser.parse_args()
    policy, requests = market(arguments.candidates)
    folder = tempfile.mkdtemp()
    try:
        for rate in arguments.rates:
            plain, logged = [], []
            # two files in each round: the thread works as much per decision as in a service
            log = oa.DecisionLog(folder, rows=10_000 if not rate else max(int(rate * arguments.seconds / 2), 1))
            serve(policy, requests, log, 0.5, 0.0)  # warm
            log.flush()
            for _ in range(arguments.rounds):
                plain.append(serve(policy, requests, None, arguments.seconds, rate))
                logged.append(serve(policy, requests, log, arguments.seconds, rate))
                log.flush()
            log.close()
            print(f"{rate:,.0f} per second" if rate else "full speed", log.stats())
            print(growth(plain, logged))
        log = oa.DecisionLog(folder)
        rate, median, best, thread = record_only(policy, requests, log, arguments.count)
        print(f"record and write  {rate:,.0f} decisions/s")
        print(f"processor time    record {median:.2f} us ({best:.2f} in the fastest block), thread {thread:.2f} us")
        print(log.stats())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
