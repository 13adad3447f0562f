"""Host threads: how many there may be, and a job for each of some numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor


def workers(threads: int | None, n_jobs: int) -> int:
    """How many threads to work with: `threads`, or one per core for None, and no more than there are jobs."""
    return max(1, min(threads or os.cpu_count() or 1, n_jobs))


def each(numbers: Sequence[int], job: Callable[[int], object], threads: int | None) -> None:
    """Call the job with every number, some at the same time; on this thread alone where there is one worker."""
    n = workers(threads, len(numbers))
    if n == 1:
        for number in numbers:
            job(number)
    else:
        with ThreadPoolExecutor(n, thread_name_prefix="oasis_alloc") as pool:
            list(pool.map(job, numbers))
