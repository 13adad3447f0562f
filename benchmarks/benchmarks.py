"""What `python benchmarks/whole.py` finds instead of the package: it says how to run a benchmark.

A file that Python runs by its path has its own folder first on the path, where the name `benchmarks` is this module.
`python -m benchmarks.whole`, from the root of the repository, finds the package and never comes here.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "benchmarks":  # not `benchmarks.benchmarks`, as pytest imports it
    _ran = Path(sys.argv[0])
    sys.exit(
        f"{_ran.name} is a module of the package `benchmarks` and cannot run by its path. "
        f"In {Path(__file__).resolve().parents[1]}, run: python -m benchmarks.{_ran.stem} ..."
    )
