"""The decision log of a service: what `record` costs a request, what the thread costs, and how many it can write.

python -m benchmarks.decision_log --seconds 3 --candidates 20
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from typing import Any

import numpy as np

import oasis_alloc as oa

N_USERS, N_ITEMS, SLOTS = 500, 2_000, 10


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


def serve(policy: oa.Policy, requests: list[Any], log: oa.DecisionLog | None, until: float, first: int) -> list[int]:
    """Select, and log, until a time; nanoseconds of each request."""
    taken, k, clock = [], first, time.perf_counter_ns
    while time.perf_counter() < until:
        items, columns, labels = requests[k % len(requests)]
        begun = clock()
        slate = policy.select(items, columns)
        if log is not None:
            log.record(f"request-{k}", policy, items, columns, slate, labels=labels)
        taken.append(clock() - begun)
        k += 1
    return taken


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


def percentiles(taken: list[int]) -> str:
    """In microseconds."""
    p50, p99, p999 = np.percentile(np.array(taken) / 1e3, [50, 99, 99.9])
    return f"p50 {p50:6.2f}  p99 {p99:6.2f}  p99.9 {p999:8.2f} us  {1e6 / np.mean(np.array(taken) / 1e3):9,.0f}/s"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each kind of requests")
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--count", type=int, default=300_000, help="decisions that are only recorded")
    parser.add_argument("--rounds", type=int, default=6, help="plain and logged requests take turns")
    arguments = parser.parse_args()
    policy, requests = market(arguments.candidates)
    folder = tempfile.mkdtemp()
    try:
        plain: list[int] = []
        logged: list[int] = []
        log = oa.DecisionLog(folder)
        serve(policy, requests, log, time.perf_counter() + 0.5, 0)  # warm
        for _ in range(arguments.rounds):
            plain += serve(policy, requests, None, time.perf_counter() + arguments.seconds / arguments.rounds, 0)
            logged += serve(policy, requests, log, time.perf_counter() + arguments.seconds / arguments.rounds, 0)
        log.close()
        print(f"select            {percentiles(plain)}")
        print(f"select and record {percentiles(logged)}")
        print(log.stats())
        log = oa.DecisionLog(folder)
        rate, median, best, thread = record_only(policy, requests, log, arguments.count)
        print(f"record and write  {rate:,.0f} decisions/s")
        print(f"processor time    record {median:.2f} us ({best:.2f} in the fastest block), thread {thread:.2f} us")
        print(log.stats())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
