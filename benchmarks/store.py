"""Threads that score while another one swaps snapshots: is every answer wholly of one policy, and how fast is it.

    python -m benchmarks.store --seconds 60       # eight threads, as the page on serving reports

Every thread asks the store for its policy, scores a request and compares all scores, bit for bit, with what that policy
gave before anything was swapped. Then the throughput of two threads, and of two processes, beside that of one thread.
Threads gain where calls are long enough: docs/decisions/0007-threads-of-a-host.md says why.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from oasis_alloc.hosting.stats import Latency
from oasis_alloc.markets import month

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
    policies: list[oa.Policy],
    requests: list[Request],
    threads: int,
    seconds: float,
    pause: float = 0.01,
    least_swaps: int = 0,
) -> Outcome:
    """Score on some threads, swap on one more: for so long, and until there were so many swaps (at most a minute)."""
    expected = {
        (policy.policy_id, k): policy.score(items, columns, user=user).tobytes()
        for policy in policies
        for k, (items, columns, user) in enumerate(requests)
    }
    outcome, lock, stop = Outcome(), threading.Lock(), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.safetensors"
        policies[0].save(path)
        store = oa.PolicyStore(path, refresh=None, history=2)

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
        end = time.monotonic() + 60.0
        while outcome.swaps < least_swaps and not outcome.errors and time.monotonic() < end:
            time.sleep(0.05)
        stop.set()
        for worker in workers:
            worker.join()
        assert store.stats()["decisions"] == outcome.answers or outcome.errors
    return outcome


def throughput(work: Callable[[int], Callable[[], int]], threads: int, seconds: float) -> float:
    """Pairs a second on so many threads; `work(number)` makes what thread `number` does, which returns its pairs."""
    done, ready = [0] * threads, threading.Barrier(threads + 1)

    def repeat(number: int) -> None:
        call = work(number)
        call()
        ready.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            done[number] += call()

    workers = [threading.Thread(target=repeat, args=(k,)) for k in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - begun)


def batches(policy: oa.Policy, cands: oa.Candidates) -> Callable[[int], Callable[[], int]]:
    """`score_batch` of all candidates, into a buffer of the thread's own."""
    users = np.arange(cands.n_users)

    def work(_number: int) -> Callable[[], int]:
        out = np.empty(cands.n_pairs)

        def call() -> int:
            return int(policy.score_batch(cands.indptr, cands.item, cands.columns, users, out).size)

        return call

    return work


def throughput_of_processes(work: Callable[[int], Callable[[], int]], processes: int, seconds: float) -> float:
    """As `throughput`, on forks of this process that run one thread each."""
    context = multiprocessing.get_context("fork")
    done, ready = context.Array("d", processes), context.Barrier(processes)

    def repeat(number: int) -> None:
        call = work(number)
        call()
        ready.wait()
        begun, pairs = time.perf_counter(), 0
        while time.perf_counter() < begun + seconds:
            pairs += call()
        done[number] = pairs / (time.perf_counter() - begun)

    workers = [context.Process(target=repeat, args=(k,)) for k in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return float(sum(done[:]))


def prepared(policy: oa.Policy, candidates: int) -> Callable[[int], Callable[[], int]]:
    """The slate of one request of so many candidates, by the shortest path."""

    def work(number: int) -> Callable[[], int]:
        rng, user = np.random.default_rng(number), policy.user()
        hot = policy.prepare(max_candidates=candidates)
        hot.items[:] = rng.integers(0, policy.data.n_items, candidates)
        hot.columns[:] = rng.random(hot.columns.shape)

        def call() -> int:
            hot.select(candidates, user)
            return candidates

        return call

    return work


def micro_batches(policy: oa.Policy, users: int, candidates: int) -> Callable[[int], Callable[[], int]]:
    """The slates of so many requests put together, by the shortest path."""

    def work(number: int) -> Callable[[], int]:
        rng, user = np.random.default_rng(number), policy.user()
        hot = policy.prepare_batch(users=users, max_candidates=users * candidates)
        for _ in range(users):
            hot.add(candidates, user)
        hot.items[:] = rng.integers(0, policy.data.n_items, hot.items.size)
        hot.columns[:] = rng.random(hot.columns.shape)

        def call() -> int:
            hot.select()
            return users * candidates

        return call

    return work


def solved(users: int) -> tuple[oa.Policy, oa.Candidates, list[Request]]:
    """The policy of a month's market, its candidates, and requests of its first users."""
    problem = month(users=users, degree=100, campaigns=40).problem()
    policy, cands = oa.solve(problem, gap=1e-3).policy(), problem.candidates
    requests = []
    for u, (a, b) in enumerate(pairwise(cands.indptr[:21].tolist())):
        columns = {name: cands.columns[name][a:b].astype(np.float64) for name in policy.columns}
        requests.append((cands.item[a:b].astype(np.int64), columns, u))
    return policy, cands, requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=8)
    given = parser.parse_args()
    logging.getLogger("oasis_alloc.serving").setLevel(logging.ERROR)  # it rolls back on purpose
    policy, cands, requests = solved(20_000)
    policy.warmup()
    if given.seconds:
        outcome = swap_under_load(variants(policy), requests, given.threads, given.seconds)
        times = outcome.latency.summary()
        print(f"{given.threads} threads, {given.seconds:g} s: {outcome.answers:,} answers, {outcome.swaps:,} swaps")
        print(f"torn: {outcome.torn}, errors: {outcome.errors}, policies seen: {len(outcome.seen)}")
        microseconds = {name: 1e6 * float(times[name] or 0.0) for name in ("p50", "p99", "p999", "max")}
        print("microseconds: " + ", ".join(f"{name} {value:,.0f}" for name, value in microseconds.items()))
    print("million pairs a second, the best of nine blocks that take turns")
    for name, work in {
        "score_batch, 2,000,000 pairs": batches(policy, cands),
        "prepared select from 20,000": prepared(policy, 20_000),
        "prepared select from 1,000": prepared(policy, 1000),
        "prepared select from 100": prepared(policy, 100),
        "prepared batch of 32 x 100": micro_batches(policy, 32, 100),
        "prepared batch of 128 x 100": micro_batches(policy, 128, 100),
        "prepared batch of 512 x 100": micro_batches(policy, 512, 100),
    }.items():
        ways = (partial(throughput, work, 1), partial(throughput, work, 2), partial(throughput_of_processes, work, 2))
        one, two, forked = np.max([[way(0.25) / 1e6 for way in ways] for _ in range(9)], axis=0)
        print(
            f"{name:<30} one thread {one:>6,.0f}, two {two:>6,.0f}: {two / one:.2f} x, "
            f"two processes {forked / one:.2f} x",
            flush=True,
        )


if __name__ == "__main__":
    main()
