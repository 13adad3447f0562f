"""Time what a new user waits for: the import, and the first solve with and without compiled kernels on disk.

    python -m benchmarks.first_call --sizes 1e4 1e6 --json first.json

Every number comes from a process of its own. "Cold" has an empty `OASIS_ALLOC_CACHE`; "warm" finds what the cold one
left there. Candidates are part of the first call: their checks are compiled too. Making the market is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.tables import table

_YARDSTICK = "numpy, scipy.sparse"
_IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=lambda s: int(float(s)), default=[10_000, 1_000_000], help="pairs")
    parser.add_argument("--imports", type=int, default=9, help="interleaved imports of each; the fastest counts")
    parser.add_argument("--gap", type=float, default=1e-6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        print(json.dumps(_first_solve(options.child, options.gap, options.threads)))
        return 0
    from benchmarks.machine import description, heading
    from benchmarks.results import save

    about = description()
    print(heading(about), flush=True)
    imports = _imports(options.imports)
    print(
        f"\nimport oasis_alloc: {imports['oasis_alloc']:.3f} s, {imports['ratio']:.2f} x "
        f"`import {_YARDSTICK}` ({imports['yardstick']:.3f} s)\n",
        flush=True,
    )
    calls = []
    for pairs in options.sizes:
        with tempfile.TemporaryDirectory(prefix="oasis-alloc-kernels-") as folder:
            calls += [{"cache": cache, **_in_a_process(pairs, folder, options)} for cache in ("cold", "warm")]
    heads = ("pairs", "cache", "import s", "candidates s", "first solve s", "all s", "second time s", "kernels")
    names = ("import", "candidates", "solve", "all", "again")
    rows = [[f"{c['pairs']:,}", c["cache"], *(f"{c[n]:.3f}" for n in names), str(c["kernels"])] for c in calls]
    print(table(heads, rows, text=(1,)))
    if options.json is not None:
        save(options.json, about, vars(options), [{"cache": "import", **imports}, *calls])
    return 0


def _imports(times: int) -> dict[str, float]:
    """Minima of interleaved imports, so that a busy moment hits both."""
    ours, theirs = [], []
    for _ in range(max(1, times)):
        ours.append(float(_run([sys.executable, "-c", _IMPORT.format("oasis_alloc")])))
        theirs.append(float(_run([sys.executable, "-c", _IMPORT.format(_YARDSTICK)])))
    return {"oasis_alloc": min(ours), "yardstick": min(theirs), "ratio": min(ours) / min(theirs)}


def _in_a_process(pairs: int, folder: str, options: argparse.Namespace) -> dict[str, Any]:
    """The first solve in a fresh interpreter; `kernels` is how many compiled kernels it leaves in the folder."""
    # A directory below, which the package makes itself, private to the user.
    environment = os.environ | {"OASIS_ALLOC_CACHE": str(Path(folder) / "kernels")}
    command = [sys.executable, "-m", "benchmarks.first_call", "--child", str(pairs)]
    command += ["--gap", str(options.gap), "--threads", str(options.threads)]
    result: dict[str, Any] = json.loads(_run(command, environment))
    result["kernels"] = len(list(Path(folder).rglob("*.nbc")))
    return result


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"a measured process failed:\n{done.stderr}")
    return done.stdout.strip().splitlines()[-1]


def _first_solve(pairs: int, gap: float, threads: int) -> dict[str, Any]:
    """In the measured process: import, candidates, first solve, and all of it but the import a second time."""
    start = time.perf_counter()
    import oasis_alloc

    imported = time.perf_counter() - start
    from benchmarks.instances import generate
    from benchmarks.runners import ours

    instance = generate(pairs)
    first, second = (ours(instance, gap, threads, 600.0) for _ in range(2))
    if not first.done:
        raise RuntimeError(f"{oasis_alloc.__name__} ended with {first.reported['status']!r}")
    return {
        "pairs": pairs,
        "import": imported,
        "candidates": first.build_seconds,
        "solve": first.solve_seconds,
        "all": imported + first.build_seconds + first.solve_seconds,
        "again": second.build_seconds + second.solve_seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
