"""Run all benchmarks one after the other, then write docs/benchmarks.md from what they found.

python -m benchmarks.all                  # some 25 minutes on two idle cores, without the billion
python -m benchmarks.all --billion        # 1e9 pairs too: 12 GiB
python -m benchmarks.all --quick          # small sizes, two minutes: does it all work?
python -m benchmarks.all --resume         # go on with the sections that the last run did not finish
python -m benchmarks.all --only peers     # one section, the others as they are
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import page
from benchmarks.results import load, save

FULL = {
    "first_call": ["--sizes", "1e4", "1e6"],
    "whole": ["--sizes", "1e6", "1e7", "--conic", "1e4"],
    "again": ["--pairs", "1e7"],
    "shapes": ["--pairs", "1e6"],
    "kinds": ["--pairs", "1e5", "1e6"],
    "passes": ["--pairs", "1e7", "--limit", "20"],
    "large": ["--sizes", "1e6", "1e7", "1e8", "--gap", "1e-3", "1e-4"],
    "peers": ["--sizes", "1e4", "1e5", "1e6", "1e7", "--limit", "150"],
}
QUICK = {
    "first_call": ["--sizes", "1e4", "--imports", "3"],
    "whole": ["--sizes", "1e5", "--conic", "1e4", "--repeat", "1"],
    "again": ["--pairs", "1e5"],
    "shapes": ["--pairs", "2e4", "--limit", "10", "--repeat", "1", "--gaps", "1e-4"],
    "kinds": ["--pairs", "2e4", "--limit", "10", "--solvers", "ours:1e-4", "ours:1e-6", "highs", "pdlp"],
    "passes": ["--pairs", "1e6", "--kinds", "usual", "tight", "10,000 budgets"],
    "large": ["--sizes", "1e5", "1e6", "--gap", "1e-3"],
    "peers": ["--sizes", "1e4", "1e5", "--limit", "10", "--repeat", "1"],
}


def main(arguments: list[str] | None = None) -> int:
    """Run, say which sections failed, write the page; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--billion", action="store_true", help="1e9 pairs too")
    parser.add_argument("--resume", action="store_true", help="leave out what the last run has finished")
    parser.add_argument("--only", nargs="+", choices=tuple(FULL), help="some sections")
    parser.add_argument("--runs", type=Path, default=page.RUNS, help="folder of the JSON files")
    parser.add_argument("--page", type=Path, default=page.PAGE, help="file to write")
    options = parser.parse_args(arguments)
    options.runs.mkdir(parents=True, exist_ok=True)
    sections = dict(QUICK if options.quick else FULL)
    if options.billion:
        at = sections["large"].index("--gap")
        sections["large"] = [*sections["large"][:at], "1e9", *sections["large"][at:]]
    failed = []
    for name in options.only or sections:
        finished = options.runs / f".{name}-finished"
        if options.resume and finished.exists():
            print(f"== {name}: finished before", flush=True)
            continue
        finished.unlink(missing_ok=True)
        started = time.monotonic()
        print(f"== {name}", flush=True)
        file = options.runs / f"{name}.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", *sections[name], "--json", str(file)]
        code = subprocess.run(command, check=False).returncode
        run = load(file)
        if run is not None and options.quick:  # which the page then says
            save(file, run["about"], run["options"] | {"quick": True}, run["rows"])
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
        if code:
            failed.append(f"{name} ended with code {code}")
        else:
            finished.touch()
    page.main(["--runs", str(options.runs), "--page", str(options.page)])
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
