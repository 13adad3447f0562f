"""One solver on one instance in a process of its own: what the process does, and how it is watched.

The process generates the instance from its seed (not counted), solves it, and sends JSON lines; whatever a solver
prints goes to its error stream. Who watches ends it when it is past its limit, and asks the system for its peak of
memory until then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import psutil

from benchmarks.contestants import peer_named
from benchmarks.instances import generate, judge
from benchmarks.machine import forget_peak, peak, resident
from benchmarks.runners import Answer

_GRACE_SECONDS = 5.0  # on top of a tenth of the limit: solvers look at the clock between two steps of theirs
_SHARE_OF_MEMORY = 0.85  # of what is free
_OTHER_SECONDS = 900.0  # most that generating, or judging, may take


@dataclass(frozen=True)
class Job:
    """A solver (`name` or `name:tolerance`), an instance by its size and seed, and how long to try how often.

    `warm` solves once before anything is counted, so that compiled code is ready; of `repeat` runs the fastest counts.
    """

    solver: str
    pairs: int
    seed: int
    threads: int
    limit: float
    repeat: int = 1
    warm: bool = False


def work(job: Job, send: TextIO) -> None:
    """Do the job in this process."""

    def tell(event: str, **more: Any) -> None:
        send.write(json.dumps({"event": event, **more}) + "\n")
        send.flush()

    _leave_memory_to_others()
    peer = peer_named(job.solver)
    instance = generate(job.pairs, job.seed)
    forget_peak()
    before = resident()
    first_seconds = None
    if job.warm:
        tell("run", before=before)
        cold = peer.run(instance, peer.tolerance, job.threads, job.limit)
        first_seconds = cold.build_seconds + cold.solve_seconds
        del cold
        forget_peak()
    best: Answer | None = None
    runs = []
    for _ in range(job.repeat):
        tell("run", before=before)
        answer = peer.run(instance, peer.tolerance, job.threads, job.limit)
        runs.append((answer.build_seconds, answer.solve_seconds))
        if best is None or sum(runs[-1]) < best.build_seconds + best.solve_seconds:
            best = answer
        del answer
    assert best is not None  # repeat is at least 1
    most = peak()
    tell("judge")
    verdict = None
    if best.x is not None and best.prices is not None:
        verdict = asdict(judge(instance, best.x, best.prices))
    tell(
        "result",
        done=best.done,
        build_seconds=best.build_seconds,
        solve_seconds=best.solve_seconds,
        runs=runs,
        first_seconds=first_seconds,
        before_mb=before,
        peak_mb=most,
        verdict=verdict,
        reported=best.reported,
    )


def _leave_memory_to_others() -> None:
    """Make a solver that asks for more memory than there is fail by itself, where the system can (Unix)."""
    try:
        import resource
    except ImportError:
        return
    most = int(_SHARE_OF_MEMORY * psutil.virtual_memory().available)
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def watch(job: Job) -> dict[str, Any]:
    """Do the job in a process of its own; never raises for what happens there.

    The result has `outcome`: "done", "limit" (no answer in time), "stopped" (the solver gave up, or broke down: then
    `error`, or `reported`, says more); the times and the verdict where there are any; `before_mb` and `peak_mb`.
    """
    environment = os.environ | {
        name: str(job.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    command = [sys.executable, "-m", "benchmarks.worker", "--job", json.dumps(asdict(job))]
    result: dict[str, Any] = {"outcome": "stopped", "peak_mb": 0.0}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
        allowed = _OTHER_SECONDS
        deadline = time.monotonic() + allowed
        running = False
        for line in _lines(process):
            if line is None:
                if running:
                    with contextlib.suppress(psutil.Error):
                        result["peak_mb"] = max(result["peak_mb"], peak(process.pid))
                if time.monotonic() > deadline:
                    if running:
                        result["outcome"] = "limit"
                    else:
                        result["error"] = f"generating or judging took more than {_OTHER_SECONDS:g} s"
                    break
                continue
            message = json.loads(line)
            running = message.pop("event") == "run"
            result.update({key: value for key, value in message.items() if key != "before"})
            if "before" in message:
                result["before_mb"] = message["before"]
            allowed = 1.1 * job.limit + _GRACE_SECONDS if running else _OTHER_SECONDS
            deadline = time.monotonic() + allowed
        process.kill()
        process.wait()
        if "done" not in result:
            if result["outcome"] != "limit" and "error" not in result:
                errors.seek(0)
                said = [line.strip() for line in errors if line.strip()]
                result["error"] = said[-1] if said else f"ended with code {process.returncode}"
            return result
    seconds = result["build_seconds"] + result["solve_seconds"]
    result["outcome"] = "done" if result["done"] else ("limit" if seconds >= 0.98 * job.limit else "stopped")
    return result


def _lines(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """Lines that the process writes, until it ends; None about ten times a second meanwhile."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=0.1)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def main() -> None:
    """Do the job that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True, help="the fields of Job, as JSON")
    job = Job(**json.loads(parser.parse_args().job))
    send = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what solvers print from C goes to the error stream
    work(job, send)


if __name__ == "__main__":
    main()
