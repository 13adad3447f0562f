"""What a ranking costs in the host in Java, and the same requests through Python's prepared buffers.

    python -m benchmarks.jvm                     # builds examples/jvm-host, and needs a JDK 17
    python -m benchmarks.jvm --seconds 5 --requests 64

Both answer the same requests of the same policies (those of benchmarks/serving.py), one thread, warm. The slates are
compared before anything is timed. Rankings are per second of CPU time; percentiles are of the clock, which also runs
while another process has the core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.serving import policy

HOST = Path(__file__).parents[1] / "examples" / "jvm-host"
_ITEMS = 20_000


def cases() -> dict[str, oa.Policy]:
    """The policies by what their slates have to keep."""
    return {"plain": policy(), "rules": policy(rules=True), "keep": policy(keep=0.8)}


def requests(served: oa.Policy, n: int, count: int) -> list[Any]:
    """Requests of n candidates, each with the slate that Python takes."""
    rng = np.random.default_rng(n)
    out = []
    for _ in range(count):
        items = rng.choice(_ITEMS, n, replace=False)
        columns = {name: rng.random(n) for name in served.schema.columns}
        out.append((items, columns, served.select(items, columns)))
    return out


def written(folder: Path, name: str, served: oa.Policy, asked: list[Any]) -> Path:
    """The snapshot and the requests as files, of which the host in Java reads the second."""
    snapshot = folder / f"{name}.safetensors"
    served.save(snapshot)
    path = folder / f"{name}-{len(asked[0][0])}.json"
    found = [
        {
            "ids": items.tolist(), "columns": {key: column.tolist() for key, column in columns.items()},
            "slate": slate.tolist(),
        }
        for items, columns, slate in asked
    ]  # fmt: skip
    path.write_text(json.dumps({"name": name, "snapshot": snapshot.name, "requests": found}), encoding="utf-8")
    return path


def python(name: str, served: oa.Policy, asked: list[Any], seconds: float) -> str:
    """One line of times of prepared buffers that hold the requests already."""
    user, hots = served.user(), []
    for items, columns, slate in asked:
        hot = served.prepare(len(items))
        hot.items[:] = items
        for row, key in zip(hot.columns, hot.names, strict=True):
            row[:] = columns[key]
        assert hot.positions[: hot.select(len(items), user)].tolist() == slate.tolist()
        hots.append((hot, len(items)))
    times, end, clock = [], time.perf_counter() + seconds, time.perf_counter
    used = time.thread_time()
    while clock() < end:
        for hot, n in hots:
            begun = clock()
            hot.select(n, user)
            times.append(clock() - begun)
    rate = len(times) / (time.thread_time() - used)
    p50, p99 = 1e6 * np.quantile(times, [0.5, 0.99])
    return f"{name + ', Python':<24} {len(asked[0][0]):>10} {p50:>8.2f} {p99:>8.2f} {rate:>12.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of every line")
    parser.add_argument("--requests", type=int, default=64, help="of every policy and number of candidates")
    given = parser.parse_args()
    subprocess.run(["sh", str(HOST / "build.sh"), "test"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        files, lines = [], []
        for n in (100, 1_000):
            for name, served in cases().items():
                asked = requests(served, n, given.requests)
                files.append(written(Path(folder), name, served, asked))
                lines.append(python(name, served, asked, given.seconds))
        classes = f"{HOST / 'target' / 'classes'}:{HOST / 'target' / 'test-classes'}"
        command = ["java", "-XX:+UseSerialGC", "-cp", classes, "oasisalloc.Benchmark", str(given.seconds)]
        subprocess.run([*command, *map(str, files)], check=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
