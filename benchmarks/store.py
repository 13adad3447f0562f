"""Threads that score while another one swaps snapshots: is every answer wholly of one policy, and how fast is it.

    python benchmarks/store.py --seconds 60       # eight threads, as the page on serving reports

Every thread asks the store for its policy, scores a request and compares all scores, bit for bit, with what that policy
gave before anything was swapped. Then the throughput of two threads beside that of one, in blocks that take turns.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from oasis_alloc.markets import month
from oasis_alloc.serving.stats import Latency

Request = tuple[Any, dict[str, Any], Any]  # items, columns, user


@dataclass
class Outcome:
    """What happened while snapshots were swapped."""

    answers: int = 0
    torn: int = 0
    swaps: int = 0
    seen: set[str] = field(default_factory=set)  # ids of policies that answered
    errors: list[BaseException] = field(default_factory=list)
    latency: Latency = field(default_factory=Latency)


def variants(policy: oa.Policy, n: int = 5) -> list[oa.Policy]:
    """Policies of other prices, so that a score says which one it is of."""
    return [policy.decayed(1.0 - k / (4 * n)) for k in range(n)]


def swap_under_load(
    policies: list[oa.Policy], requests: list[Request], threads: int, seconds: float, pause: float = 0.01
) -> Outcome:
    """Score on some threads, swap on one more, for so long."""
    expected = {
        (policy.policy_id, k): policy.score(items, columns, user=user).tobytes()
        for policy in policies
        for k, (items, columns, user) in enumerate(requests)
    }
    outcome, lock, stop = Outcome(), threading.Lock(), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.safetensors"
        policies[0].save(path)
        store = oa.PolicyStore(path, refresh=None, keep=2)

        def score(number: int) -> None:
            own = Outcome()
            try:
                while not stop.is_set():
                    k = (own.answers + number) % len(requests)
                    items, columns, user = requests[k]
                    begun = time.perf_counter()
                    with store.decide() as decision:
                        scores = decision.policy.score(items, columns, user=user)
                    own.latency.add(time.perf_counter() - begun)
                    own.answers += 1
                    name = decision.policy.policy_id.partition("/")[0]
                    own.torn += scores.tobytes() != expected[name, k]
                    own.seen.add(name)
            except BaseException as error:
                own.errors.append(error)
            with lock:
                outcome.answers += own.answers
                outcome.torn += own.torn
                outcome.seen |= own.seen
                outcome.errors += own.errors
                outcome.latency.merge(own.latency)

        def swap() -> None:
            try:
                while not stop.is_set():
                    number = outcome.swaps + 1
                    data = policies[number % len(policies)].data
                    name = f"{data.policy_id}/{number}"  # the part before the slash says what it answers
                    oa.Policy(replace(data, policy_id=name, created=time.time(), valid_until=None)).save(path)
                    outcome.swaps += store.refresh()
                    if number % 7 == 6:
                        store.rollback()
                    time.sleep(pause)
            except BaseException as error:
                outcome.errors.append(error)

        workers = [threading.Thread(target=score, args=(k,)) for k in range(threads)]
        workers.append(threading.Thread(target=swap))
        for worker in workers:
            worker.start()
        time.sleep(seconds)
        stop.set()
        for worker in workers:
            worker.join()
        assert store.stats()["decisions"] == outcome.answers or outcome.errors
    return outcome


def throughput(policy: oa.Policy, batch: dict[str, Any], threads: int, seconds: float) -> float:
    """Pairs a second of `score_batch` on so many threads, each with a buffer of its own."""
    n_pairs = int(batch["indptr"][-1])
    done = [0] * threads
    barrier, end = threading.Barrier(threads + 1), [0.0]

    def work(number: int) -> None:
        out = np.empty(n_pairs)
        policy.score_batch(**batch, out=out)
        barrier.wait()
        while time.perf_counter() < end[0]:
            policy.score_batch(**batch, out=out)
            done[number] += n_pairs

    workers = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    for worker in workers:
        worker.start()
    end[0] = time.perf_counter() + 1e9
    while barrier.n_waiting < threads:
        time.sleep(0.001)
    begun = time.perf_counter()
    end[0] = begun + seconds
    barrier.wait()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - begun)


def solved(users: int) -> tuple[oa.Policy, list[Request], dict[str, Any]]:
    """The policy of a month's market, requests of its users, and all of them as a batch."""
    market = month(users=users, degree=100, campaigns=40)
    problem = market.problem()
    policy = oa.solve(problem, gap=1e-3).policy()
    cands = problem.candidates
    columns = {name: np.asarray(cands.columns[name], np.float64) for name in policy.columns}
    requests = []
    for u in range(20):
        a, b = cands.indptr[u], cands.indptr[u + 1]
        requests.append((cands.item[a:b].astype(np.int64), {name: c[a:b] for name, c in columns.items()}, u))
    batch = {"indptr": cands.indptr, "items": cands.item, "columns": columns, "users": np.arange(users)}
    return policy, requests, batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=8)
    given = parser.parse_args()
    policy, requests, batch = solved(20_000)
    outcome = swap_under_load(variants(policy), requests, given.threads, given.seconds)
    times = outcome.latency.summary()
    print(f"{given.threads} threads, {given.seconds:g} s: {outcome.answers:,} answers, {outcome.swaps:,} swaps")
    print(f"torn: {outcome.torn}, errors: {outcome.errors}, policies seen: {len(outcome.seen)}")
    microseconds = {name: 1e6 * float(times[name] or 0.0) for name in ("p50", "p99", "p999", "max")}
    print("microseconds: " + ", ".join(f"{name} {value:,.0f}" for name, value in microseconds.items()))
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(5):
        for threads, found in rates.items():
            found.append(throughput(policy, batch, threads, 1.0))
    one, two = (max(found) for found in rates.values())
    print(f"million pairs a second: one thread {one / 1e6:,.0f}, two {two / 1e6:,.0f}: {two / one:.2f} x")


if __name__ == "__main__":
    main()
