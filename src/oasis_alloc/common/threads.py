"""Jobs on host threads: one at a time per worker; the caller is a worker if possible."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event


def workers(threads: int | None, n_jobs: int) -> int:
    """How many threads to work with: `threads`, or one per core for None, and no more than there are jobs."""
    return max(1, min(threads or os.cpu_count() or 1, n_jobs))


def each(numbers: Sequence[int], job: Callable[[int], object], threads: int | None) -> None:
    """Call the job with every number, some at the same time; only on this thread if there is one worker."""
    n = workers(threads, len(numbers))
    if n == 1:
        for number in numbers:
            job(number)
    else:
        with ThreadPoolExecutor(n - 1, thread_name_prefix="oasis_alloc") as pool:
            share(pool, n, lambda k: job(numbers[k]), len(numbers))


def share(pool: ThreadPoolExecutor, workers: int, job: Callable[[int], object], n: int) -> None:
    """Call the job with 0, 1 ... n - 1, each once: the caller takes a share of the jobs, to reduce waiting."""
    left = iter(range(n))

    def drain() -> None:
        for number in left:  # the iterator never gives the same number to two threads
            job(number)

    running = [pool.submit(drain) for _ in range(min(workers, n) - 1)]
    try:
        drain()
        for each in running:
            each.result()
    except BaseException:
        for _ in left:  # no thread begins another one
            pass
        wait(running)
        raise


def run_all(pool: ThreadPoolExecutor, jobs: Sequence[Callable[[], object]], stop: Event | None = None) -> None:
    """Run jobs at the same time and wait for all of them, also if one fails or the caller is interrupted."""
    running = [pool.submit(job) for job in jobs]
    try:
        for each in running:
            each.result()
    except BaseException:
        if stop is not None:
            stop.set()
        for each in running:
            each.cancel()
        wait(running)
        raise
