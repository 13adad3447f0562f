"""The timings that README and docs show, made from the JSON in benchmarks/runs.

A page has them between `<!-- timings: name -->` and `<!-- end of timings -->`; `python -m benchmarks.page` writes what
is between. `runs/pages.json` keeps the tables of benchmarks that print and keep no JSON of their own, cell by cell,
each with its date, machine, commit and command.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import pacing_tables
from benchmarks.results import load, save_text

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "benchmarks" / "runs"
REGION = re.compile(r"(<!-- timings: ([\w-]+) -->\n\n)(.*?)(\n\n<!-- end of timings -->)", re.DOTALL)
_ROUNDING = 1e-15  # gaps and violations below are of the judge's own sums
_FASTEST_PEERS = 3
Run = dict[str, Any]


def pages() -> list[Path]:
    """The pages that may have timings."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def write(runs: Path = RUNS) -> list[Path]:
    """Put today's JSON into the pages; the pages that changed."""
    made, changed = texts(runs), []
    for page in pages():
        old = page.read_text(encoding="utf-8")
        new = filled(old, made)
        if new != old:
            save_text(page, new)
            changed.append(page)
    return changed


def filled(page: str, made: dict[str, str]) -> str:
    """A page with its regions written; one that no run is there for stays.

    >>> filled("<!-- timings: a -->\\n\\nold\\n\\n<!-- end of timings -->", {"a": "new"})
    '<!-- timings: a -->\\n\\nnew\\n\\n<!-- end of timings -->'
    """
    return REGION.sub(lambda found: found[1] + made.get(found[2], found[3]) + found[4], page)


def texts(runs: Path = RUNS) -> dict[str, str]:
    """What every region says, by name."""
    kept = {path.stem: run for path in sorted(runs.glob("*.json")) if (run := load(path)) is not None}
    out = {name: _kept_table(one) for name, one in kept.get("pages", {"tables": {}})["tables"].items()}
    for name, (needs, body) in _OF_RUNS.items():
        if all(need in kept for need in needs):
            out[name] = body(kept)
    return out


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """
    >>> print(markdown(["a", "b"], [["x", "1"]]))
    | a | b |
    | --- | --- |
    | x | 1 |
    """
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, ["---"] * len(heads), *rows])


def where(about: Run) -> str:
    """Date, commit and machine of a run."""
    memory = f", {about['memory_gib']} GiB" if about.get("memory_gib") else ""
    return f"{about['date'][:10]}, commit {about['commit']}, {about['cores']} cores of {about['processor']}{memory}"


def _kept_table(kept: Run) -> str:
    about = kept["about"]
    said = f"{about['date']}, commit {about['commit']}, {about['machine']}"
    note = f"; {about['note']}" if about.get("note") else ""
    command = f"`{about['command']}`, " if about.get("command") else ""
    return markdown(kept["heads"], kept["rows"]) + "\n\n" + _lines(f"({command}{said}{note}.)")


def _lines(said: str) -> str:
    indent = "  " if said.startswith("- ") else ""
    return "\n".join(textwrap.wrap(said, 120, subsequent_indent=indent, break_on_hyphens=False))


def _small(number: float) -> str:
    """
    >>> _small(0.0), _small(3.48e-07), _small(1e-17)
    ('0', '3e-7', '< 1e-15')
    """
    if number and abs(number) < _ROUNDING:
        return "< 1e-15"
    return f"{number:.0e}".replace("e-0", "e-") if number else "0"


def _seconds(number: float) -> str:
    """
    >>> _seconds(0.1602), _seconds(3.829), _seconds(82.86)
    ('0.16', '3.8', '83')
    """
    return f"{number:.2f}" if number < 1 else f"{number:.1f}" if number < 50 else f"{number:.0f}"


def _size(pairs: int, budgets: int) -> str:
    return f"1e{len(str(pairs)) - 1}, {budgets:,}"


def _peers(kept: dict[str, Run]) -> str:
    """Ours and the fastest peers from a million pairs on, then ours alone at sizes that no peer was tried at."""
    rows: list[list[str]] = []
    done = [row for row in kept["peers"]["rows"] if row["outcome"] == "done" and row["pairs"] >= 10**6]
    for pairs in dict.fromkeys(row["pairs"] for row in done):
        here = [row for row in done if row["pairs"] == pairs]
        ours = min((row for row in here if row["solver"].startswith("ours")), key=lambda row: row["stops_at"])
        others = sorted((r for r in here if not r["solver"].startswith("ours")), key=lambda r: r["solve_seconds"])
        rows.append([_size(pairs, ours["campaigns"]), *_peer(ours, None)])
        rows += [["", *_peer(row, ours)] for row in others[:_FASTEST_PEERS]]
    tried = {row["pairs"] for row in done}
    seen: set[int] = set()
    for row in kept["large"]["rows"]:
        if row["threads"] != kept["peers"]["options"]["threads"] or row["pairs"] in tried:
            continue
        size = "" if row["pairs"] in seen else _size(row["pairs"], row["campaigns"])
        seen.add(row["pairs"])
        name = f"**oasis_alloc**, gap {_small(row['asked'])}"
        rows.append(
            [size, name, f"**{_seconds(row['seconds'])}**", _small(row["judged_gap"]), _small(row["violation"]),
             f"{row['peak_mb']:,.0f} MB"]
        )  # fmt: skip
    heads = ("pairs, budgets", "solver", "seconds", "gap", "violation", "peak memory")
    about = kept["peers"]["about"]
    versions = ", ".join(f"{name} {about['versions'][name]}" for name in ("numba", "highspy", "ortools"))
    said = _lines(f"({where(about)}; Python {about['python']}, {versions}.)")
    return f"{markdown(heads, rows)}\n\n{said}"


def _peer(row: Run, ours: Run | None) -> list[str]:
    seconds, judged = row["solve_seconds"], row["verdict"]
    stops = "" if row["stops_at"] is None else f", {'gap ' if ours is None else ''}{_small(row['stops_at'])}"
    name, time = row["title"], _seconds(seconds)
    if ours is None:
        name, time = f"**{name}**", f"**{time}**"
    else:
        time += f" ({seconds / ours['solve_seconds']:,.0f} x)"
    return [name + stops, time, _small(judged["gap"]), _small(judged["violation"]), f"{row['peak_mb']:,.0f} MB"]


def _in_words(kept: dict[str, Run]) -> str:
    """What the README says of the largest solve, the whole program and the first call."""
    large = max(kept["large"]["rows"], key=lambda row: (row["pairs"], row["threads"], row["asked"]))
    pairs = max(row["pairs"] for row in kept["whole"]["rows"] if row["solver"] == "dual")
    whole = {row["problem"]: row for row in kept["whole"]["rows"] if row["pairs"] == pairs and row["solver"] == "dual"}
    imports, *calls = kept["first_call"]["rows"]
    cold, warm = (next(row for row in calls if row["cache"] == cache) for cache in ("cold", "warm"))
    lines = [
        f"- {large['pairs']:,} pairs to {_small(large['asked'])}: {large['passes']:.0f} passes, "
        f"{large['ratio']:.0f} times as long as adding up the same arrays once.",
        f"- Everything at once (floors, licensors' shares, log fairness, diminishing genres, 60 % of everyone's "
        f"relevance kept) at {pairs:,} pairs to a gap of {_small(whole['whole']['asked'])}: "
        f"{_seconds(whole['whole']['seconds'])} s, where caps alone take {_seconds(whole['caps alone']['seconds'])} s.",
        f"- The first call of a process, import and first solve together, at {cold['pairs']:,} pairs: "
        f"{_seconds(cold['all'])} s with an empty cache of compiled kernels, {_seconds(warm['all'])} s with a warm "
        f"one. `import oasis_alloc` takes {imports['ratio']:.1f} times as long as `import numpy, scipy.sparse`.",
    ]
    return "\n".join(map(_lines, lines))


def _pacing(name: str) -> Callable[[dict[str, Run]], str]:
    """The text of a region about pacing."""
    run, table = pacing_tables.TABLES[name]

    def text(runs: dict[str, Run]) -> str:
        found = runs[run]
        heads, rows = table(found)
        command = f"`python -m benchmarks.{run}`"
        return markdown(heads, rows) + "\n\n" + _lines(f"({command}, {where(found['about'])}.)")

    return text


_OF_RUNS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Run]], str]]] = {
    "peers": (("peers", "large"), _peers),
    "in-words": (("large", "whole", "first_call"), _in_words),
    **{name: ((run,), _pacing(name)) for name, (run, _) in pacing_tables.TABLES.items()},
}
