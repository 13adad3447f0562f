"""The gate: exact work counters, then ratios to a frozen yardstick, against what `benchmarks/gate.json` keeps.

    python -m benchmarks.gate                                    # 1 if there is more work, or a part is slower
    python -m benchmarks.gate --accept "sorting by price saves two passes"
                                                                 # keeps what is measured now, and the reason

docs/benchmark-gate.md says what is compared with what, and what to do when it fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks.results import load, save_text
from benchmarks.tables import table

if TYPE_CHECKING:
    from benchmarks.ratios import Measured

_HERE = Path(__file__).resolve().parent
KEPT = _HERE / "gate.json"
ELSEWHERE = 1.5
"""What the ratios of other machines may be off by, on a machine that has none kept."""
_WORTH_KEEPING = 1.05  # a ratio that moved by less is left as it is when others are accepted
_COUNTINGS = 3  # the first may compile


def main(arguments: list[str] | None = None) -> int:
    """Compare, print, and return 1 where something is worse, or differs without a reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", metavar="REASON", help="keep what is measured now, for this reason")
    parser.add_argument("--only", choices=("counters", "ratios"), help="one layer")
    parser.add_argument("--kept", type=Path, default=KEPT, help="the file of what is kept")
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.count:
        print(json.dumps(_count()))
        return 0
    if options.accept is not None and len(options.accept.split()) < 3:
        parser.error("--accept takes a reason in words, for those who read the file later")
    kept = load(options.kept) or {"yardstick": yardstick(), "counters": {}, "ratios": {}, "accepted": []}
    differences: list[str] = []
    if options.only != "ratios":
        counters = count()
        differences += counted_differently(kept["counters"], counters)
        if options.accept is not None:
            kept["counters"] = counters
    if options.only != "counters":
        differences += _ratios(kept, options.accept is not None)
    if options.accept is not None:
        from benchmarks.machine import today

        differences = differences if kept["accepted"] else ["all of them are the first"]
        kept["yardstick"] = yardstick()
        kept["accepted"].append({"date": today(), "reason": options.accept, "changes": differences})
        save_text(options.kept, json.dumps(kept, indent=1) + "\n")
    title = "accepted" if options.accept is not None else "the gate is closed"
    print("\n".join([f"{title}:", *differences]) if differences else "the gate is open: nothing differs")
    return 1 if differences and options.accept is None else 0


def yardstick() -> str:
    """Hash of the yardstick's source: ratios to another one mean nothing."""
    return hashlib.sha256((_HERE / "yardstick.py").read_bytes()).hexdigest()[:16]


def machine() -> str:
    """What ratios depend on besides the code."""
    from benchmarks.machine import processor

    versions = (f"{name} {'.'.join(metadata.version(name).split('.')[:2])}" for name in ("numpy", "numba"))
    return ", ".join([processor(), *versions])


# Layer 0


def _count() -> dict[str, Any]:
    from benchmarks import counters

    return {"counters": counters.count(), "compiled": counters.compiled()}


def count() -> dict[str, Any]:
    """The counters of a fresh process that had nothing left to compile: callees that a caller compiles count too."""
    for _ in range(_COUNTINGS):
        command = [sys.executable, "-m", "benchmarks.gate", "--count"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        if not found["compiled"]:
            return dict(found["counters"])
    raise RuntimeError(
        f"kernels were compiled in each of {_COUNTINGS} processes, one after the other: is OASIS_ALLOC_CACHE off?"
    )


def counted_differently(kept: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """One line for every counter that differs, is new, or is gone.

    >>> counted_differently({"a": {"passes": 20.0}, "b": {"passes": 1.0}}, {"a": {"passes": 22.0}})
    ['a: passes was 20.0, is 22.0', 'b: passes was 1.0, is gone']
    """
    lines = []
    for name in [*kept, *(n for n in found if n not in kept)]:
        before, now = kept.get(name, {}), found.get(name, {})
        for counter in [*before, *(c for c in now if c not in before)]:
            was, is_now = before.get(counter, "not there"), now.get(counter, "gone")
            if was != is_now:
                lines.append(f"{name}: {counter} was {was}, is {is_now}")
    return lines


# Layer 1


def _ratios(kept: dict[str, Any], accept: bool) -> list[str]:
    """Measure, print a table, and say what is too slow; with `accept`, keep what moved."""
    from benchmarks.ratios import compare, parts, usual_ratio

    here = machine()
    stale = kept["yardstick"] != yardstick()
    if stale and not accept:
        return ["the yardstick is another one than the ratios were measured with: --accept measures them again"]
    if stale:
        kept["ratios"] = {}
    known = here in kept["ratios"]
    lines, rows = [], []
    with parts() as (yard, found):
        for name, part in found.items():
            limit = limit_of(kept["ratios"], here, name)
            measured, repeated = compare(part, yard, None if accept else limit)
            slow = slower(name, measured, limit)
            if accept:
                mine = kept["ratios"].setdefault(here, {})
                ratio, old = usual_ratio(part, yard), mine.get(name)
                if old is None or max(ratio / old, old / ratio) > _WORTH_KEEPING:
                    mine[name] = round(ratio, 4)
                    slow = [f"{name}: ratio was {old or 'not there'}, is {ratio:.4f}"]
            lines += slow
            rows.append(
                [name, f"{measured.seconds * 1e6:,.0f}", f"{measured.ratio:.4f}", f"{measured.spread:.2%}",
                 "-" if limit is None else f"{limit * measured.threshold:.4f}", "again" if repeated else ""]
            )  # fmt: skip
        if accept:
            kept["ratios"][here] = {name: r for name, r in kept["ratios"][here].items() if name in found}
        elif known:
            lines += [f"{name}: there is a ratio for it, but no such part" for name in kept["ratios"][here]
                      if name not in found]  # fmt: skip
    print(f"{here}{'' if known else f': no ratios are kept for it, those of others times {ELSEWHERE} are the limit'}")
    print(table(("part", "us", "ratio", "A/A", "limit", ""), rows, text=(0, 5)), flush=True)
    return lines


def limit_of(ratios: dict[str, dict[str, float]], here: str, part: str) -> float | None:
    """The ratio that is kept for this machine, or the largest of other machines with an allowance; None for a new part.

    >>> limit_of({"this": {"visit": 0.5}, "that": {"visit": 0.6}}, "this", "visit")
    0.5
    >>> round(limit_of({"this": {"visit": 0.5}, "that": {"visit": 0.6}}, "another", "visit"), 3)
    0.9
    """
    if part in ratios.get(here, {}):
        return ratios[here][part]
    others = [of[part] for of in ratios.values() if part in of]
    return max(others) * ELSEWHERE if others else None


def slower(name: str, measured: Measured, limit: float | None) -> list[str]:
    """A line where a part is slower than its limit lets it be, or where it has none; else nothing."""
    if limit is None:
        return [f"{name}: no ratio is kept for it"]
    if measured.ratio <= limit * measured.threshold:
        return []
    return [
        f"{name}: {measured.ratio:.4f} of the yardstick, {measured.ratio / limit:.2f} x the {limit:.4f} that is kept; "
        f"{measured.threshold:.2f} x is what noise may do ({measured.spread:.1%} between two measurements of one thing)"
    ]


if __name__ == "__main__":
    sys.exit(main())
