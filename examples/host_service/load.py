"""An open-loop load test of the host service while its snapshots are swapped.

    python examples/host_service/load.py --rate 300 --seconds 20 --swaps 2

Starts the service in a process of its own. Requests come at random times (Poisson), whether or not earlier ones have
been answered, and a latency is counted from when the request was due, so that a stall is seen by all whom it would have
kept waiting. Meanwhile the snapshot file is replaced; every answer has to be, to the last bit, that of the policy it
names.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from service import demonstration

import oasis_alloc as oa

SERVICE = Path(__file__).with_name("service.py")


@dataclass
class Outcome:
    """Latencies in seconds, and what was wrong."""

    latencies: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    policies: set[str] = field(default_factory=set)
    swaps: int = 0
    metrics: str = ""

    def summary(self) -> str:
        """One line of quantiles, one of what else happened."""
        ms = 1000 * np.quantile(self.latencies, [0.5, 0.99, 0.999, 1.0])
        return (
            f"{len(self.latencies):,} answers; milliseconds: p50 {ms[0]:.2f}, p99 {ms[1]:.2f}, p99.9 {ms[2]:.2f}, "
            f"most {ms[3]:.2f}\n{self.swaps} swaps, {len(self.policies)} policies answered, {len(self.wrong)} wrong"
        )


class Connections:
    """A pool of kept connections; more are opened where all are busy."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """(status, body) of one request over HTTP/1.1."""
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        answer = await reader.readexactly(length)
        self._free.append((reader, writer))
        return int(lines[0].split()[1]), answer

    async def close(self) -> None:
        for _, writer in self._free:
            writer.close()
            await writer.wait_closed()


class Publisher:
    """Replaces the snapshot by policies of other prices, and knows what each of them answers."""

    def __init__(self, path: Path, n: int) -> None:
        """Makes the policies and their files beforehand: they should not take time from what is measured."""
        self._path = path
        base = oa.Policy.load(path)
        self.policies = {base.policy_id: base}
        self._next: list[Path] = []
        for k in range(n):
            data = base.decayed(1.0 - 0.01 * (k % 50)).data
            name = f"{data.policy_id}/{k}"
            self.policies[name] = oa.Policy(replace(data, policy_id=name, created=time.time()))
            self._next.append(path.with_name(f"{path.name}.{k}"))
            self.policies[name].save(self._next[-1])

    def publish(self) -> None:
        self._next.pop(0).replace(self._path)

    def check(self, request: dict[str, Any], answer: dict[str, Any]) -> str:
        """What is wrong with an answer; nothing where it is that of the policy that it names."""
        policy = self.policies.get(answer["policy_id"])
        if policy is None:
            return f"policy {answer['policy_id']} was never published"
        items = policy.encode(request["ids"])
        columns = {name: np.array(column) for name, column in request["columns"].items()}
        scores = policy.score(items, columns, user=request["user"])
        slate = policy.select(items, columns, user=request["user"], k=request["k"])
        right = scores.tolist() == answer["scores"] and [request["ids"][i] for i in slate] == answer["slate"]
        return "" if right else f"not the answer of policy {answer['policy_id']}"


def requests(policy: oa.Policy, n: int, candidates: int, seed: int = 0) -> list[dict[str, Any]]:
    """Requests of listeners from the policy's markets, one item in fifty never seen."""
    rng = np.random.default_rng(seed)
    known = list(policy.data.items or range(policy.data.n_items))
    out = []
    for _ in range(n):
        ids = [known[i] for i in rng.choice(len(known), min(candidates, len(known)), replace=False)]
        ids = [one if rng.random() > 0.02 else f"new-{one}" for one in ids]
        columns = {name: rng.random(len(ids)).tolist() for name in policy.data.columns}
        user = {key: labels[rng.integers(len(labels))] for key, labels in policy.data.user_keys.items()}
        out.append({"ids": ids, "columns": columns, "user": user, "k": 10})
    return out


async def until_ready(connections: Connections, process: subprocess.Popen[bytes], limit: float = 120.0) -> float:
    """Seconds until /ready says yes; /health has to answer long before."""
    begun, alive = time.monotonic(), False
    while time.monotonic() - begun < limit:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with code {process.returncode}")
        try:
            alive = alive or (await connections.ask("GET", "/health"))[0] == 200
            if (await connections.ask("GET", "/ready"))[0] == 200:
                return time.monotonic() - begun
        except OSError:
            pass
        await asyncio.sleep(0.05)
    raise TimeoutError(f"not ready after {limit:g} seconds")


async def load(
    connections: Connections, publisher: Publisher, rate: float, seconds: float, swaps: float, candidates: int
) -> Outcome:
    """Ask at random times, swap at regular ones, and check the answers at the end."""
    outcome, rng = Outcome(), np.random.default_rng(1)
    asked = requests(next(iter(publisher.policies.values())), 64, candidates)
    bodies = [json.dumps(request).encode() for request in asked]
    due = np.cumsum(rng.exponential(1.0 / rate, int(rate * seconds)))
    answers: list[tuple[int, int, bytes]] = []
    gc.collect()
    gc.disable()  # a full collection would keep this process, not the service, for a tenth of a second
    begun = time.perf_counter()

    async def one(number: int, at: float) -> None:
        k = number % len(bodies)
        try:
            status, answer = await connections.ask("POST", "/rank", bodies[k])
            outcome.latencies.append(time.perf_counter() - begun - at)
            answers.append((k, status, answer))
        except (OSError, asyncio.IncompleteReadError) as error:
            outcome.wrong.append(f"no answer: {error!r}")

    async def swap() -> None:
        for _ in range(int(seconds * swaps)):
            await asyncio.sleep(1.0 / swaps)
            publisher.publish()
            outcome.swaps += 1

    swapping = asyncio.create_task(swap())
    tasks = []
    for number, at in enumerate(due.tolist()):
        wait = at - (time.perf_counter() - begun)
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(number, at)))
    await asyncio.gather(*tasks)
    swapping.cancel()
    gc.enable()
    for k, status, answer in answers:
        if status != 200:
            outcome.wrong.append(f"status {status}: {answer.decode()}")
            continue
        found = json.loads(answer)
        outcome.policies.add(found["policy_id"])
        if wrong := publisher.check(asked[k], found):
            outcome.wrong.append(wrong)
    outcome.metrics = (await connections.ask("GET", "/metrics"))[1].decode()
    return outcome


async def run(snapshot: Path, rate: float, seconds: float, swaps: float, candidates: int) -> Outcome:
    """Start the service on a free port, wait until it is ready, load it, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(SERVICE), "--snapshot", str(snapshot), "--port", str(port), "--refresh", "0.1"]
    process = subprocess.Popen(command, env=os.environ.copy())
    connections = Connections(port)
    try:
        print(f"ready after {await until_ready(connections, process):.1f} s", flush=True)
        publisher = Publisher(snapshot, int(seconds * swaps))
        return await load(connections, publisher, rate, seconds, swaps, candidates)
    finally:
        await connections.close()
        process.terminate()
        process.wait(timeout=30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--swaps", type=float, default=2.0, help="new snapshots a second")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--snapshot", type=Path, help="a snapshot to start from; it is replaced")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        snapshot = given.snapshot or demonstration(Path(folder))
        outcome = asyncio.run(run(snapshot, given.rate, given.seconds, given.swaps, given.candidates))
    print(outcome.summary())
    for what in outcome.wrong[:5]:
        print(what)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
