"""Write docs/benchmarks.md, with its plot, and the timings of other pages from the JSON in benchmarks/runs.

    python -m benchmarks.page

Nothing is measured here: `all.py` runs what is missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cluster_model, pacing_tables, regions, shape_tables
from benchmarks.results import load, save_text
from benchmarks.shapes import FINER

RUNS = regions.RUNS
PAGE = regions.ROOT / "docs" / "benchmarks.md"
PLOT = "benchmarks.svg"
SECTIONS = (
    "peers", "large", "passes", "whole", "again", "shapes", "kinds", "first_call", "regret", "busy_day", "scenarios",
    "cluster",
)  # fmt: skip
Run = dict[str, Any]


def main(arguments: list[str] | None = None) -> None:
    """Write the page and the plot; the timings of README and docs too, where the page is theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the JSON files")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write; the plot goes next to it")
    options = parser.parse_args(arguments)
    from benchmarks.plot import draw

    runs = load_all(options.runs)
    save_text(options.page, text(runs))
    draw(runs["peers"], runs["large"], options.page.parent / PLOT)
    pacing_tables.draw(runs["regret"], options.page.parent / pacing_tables.PLOT)
    cluster_model.draw(runs["cluster"], options.page.parent / cluster_model.PLOT)
    print(f"{options.page} and {options.page.parent / PLOT} are written")
    if options.page.resolve() == PAGE:
        for changed in regions.write(options.runs):
            print(f"{changed} has new timings")


def load_all(folder: Path) -> dict[str, Run | None]:
    """The runs by section; None where there is none."""
    return {name: load(folder / f"{name}.json") for name in SECTIONS}


def text(runs: dict[str, Run | None]) -> str:
    """The whole page."""
    shown = {name: run for name in _BODIES if (run := runs.get(name)) is not None and run["rows"]}
    machines = list(dict.fromkeys(_machine(run) for run in shown.values()))
    parts = [_HEAD, *(machines if len(machines) == 1 else ())]
    for name, run in shown.items():
        title, says, body = _BODIES[name]
        where = _when(run) if len(machines) == 1 else f"{_when(run)} {_machine(run)}"
        parts += [f"## {title}", says, where, *body(run)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


_HEAD = f"""
# Benchmarks

Written by `python -m benchmarks.page` from the JSON in `benchmarks/runs`; `python -m benchmarks.all` regenerates it,
section by section. `benchmarks/README.md` says what is counted and how. Seconds are of the machine and the day that
each section names; ratios carry over better than seconds.

![Seconds against pairs, ours and other solvers]({PLOT})

An open triangle is a solver that had no answer within the limit of time at that size; those without one were not tried
further, since their own seconds or memory at smaller sizes said that they could not.
"""


def _machine(run: Run) -> str:
    """Machine and versions of a run."""
    about = run["about"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    where = f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}"
    return f"{where}; Python {about['python']}, {versions}."


def _when(run: Run) -> str:
    quick = "A quick run, at small sizes, only to see that all of it works: " if run["options"].get("quick") else ""
    about = run["about"]
    return f"{quick}{about['date'][:10]}, commit {about['commit'] or 'unknown'}, load {about['load']} at the start."


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = (0,)) -> str:
    """
    >>> print(_table(["a", "b"], [["x", "1"]]))
    | a | b |
    | --- | ---: |
    | x | 1 |
    """
    rule = ["---" if k in text else "---:" for k in range(len(heads))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rule, *rows])


def _show(row: Run, key: str, form: str, missing: str = "") -> str:
    return missing if row.get(key) is None else format(row[key], form)


def _peers(run: Run) -> list[str]:
    heads = ("solver", "stops at", "build s", "solve s", "x ours", "value", "bound", "gap", "violation", "peak MB", "")
    out = []
    for pairs in dict.fromkeys(row["pairs"] for row in run["rows"]):
        here = [row for row in run["rows"] if row["pairs"] == pairs]
        done = [r for r in here if r["solver"].startswith("ours") and r["outcome"] == "done"]
        best = min(done, key=lambda row: row["stops_at"], default=None)
        first = here[0]
        title = f"### {pairs:,} pairs: {first['users']:,} users x {first['degree']}, {first['campaigns']:,} budgets"
        out += [title, _table(heads, [_peer(row, best) for row in here], text=(0, 1, 10))]
    return out


def _peer(row: Run, best: Run | None) -> list[str]:
    told, limit = "solve_seconds" in row, row["outcome"] == "limit"
    times = ""
    if best is not None and row["outcome"] in ("done", "limit"):
        seconds = row["solve_seconds"] if told and not limit else row["limit"]
        times = f"{'> ' if limit else ''}{seconds / best['solve_seconds']:,.1f}"
    remarks = {"done": "", "limit": f"no answer in {row['limit']:g} s"}
    remark = remarks.get(row["outcome"], f"{row['outcome']}: {row.get('error') or row['reported']['status']}"[:70])
    verdict = row.get("verdict") or {}
    return [
        row["title"],
        "its default" if row["stops_at"] is None else f"{row['stops_at']:.0e}",
        _show(row, "build_seconds", ".2f"),
        _show(row, "solve_seconds", ".2f"),
        times,
        _show(verdict, "value", ".2f"),
        _show(verdict, "bound", ".2f"),
        _show(verdict, "gap", ".0e"),
        _show(verdict, "violation", ".0e"),
        f"{row['peak_mb']:,.0f}" if row["peak_mb"] else "",
        remark,
    ]


def _large(run: Run) -> list[str]:
    heads = (
        "pairs", "threads", "to gap", "solve s", "sum s", "solve / sum", "passes", "gap", "violation", "judged gap",
        "peak MB", "peak / data", "new / data", "status",
    )  # fmt: skip
    forms = (
        ("pairs", ","), ("threads", "d"), ("asked", ".0e"), ("seconds", ".2f"), ("sum_seconds", ".3f"),
        ("ratio", ".0f"), ("passes", ".1f"), ("gap", ".1e"), ("violation", ".0e"), ("judged_gap", ".1e"),
        ("peak_mb", ",.0f"), ("peak_over_data", ".2f"), ("new_over_data", ".2f"), ("status", ""),
    )  # fmt: skip
    rows = [[_show(row, key, form) for key, form in forms] for row in run["rows"]]
    return [_table(heads, rows, text=(13,)), *_speed_ups(run)]


def _speed_ups(run: Run) -> list[str]:
    """What a second thread brings, where both were run."""
    seconds = {(r["pairs"], r["asked"], r["threads"]): r["seconds"] for r in run["rows"] if r.get("seconds")}
    said = [
        f"{seconds[pairs, gap, 1] / seconds[pairs, gap, 2]:.2f} x at {pairs:,} pairs to {gap:.0e}"
        for pairs, gap, threads in seconds
        if threads == 2 and (pairs, gap, 1) in seconds
    ]
    return [f"Two threads over one: {', '.join(said)}."] if said else []


def _passes(run: Run) -> list[str]:
    gaps = run["options"]["gaps"]
    heads = ["market", "users", "degree", "budgets", "tightness", "threads", "sum ns", "visit ns", "visit / sum"]
    heads += [f"{gap:.0e}" for gap in gaps]
    rows = []
    for row in run["rows"]:
        solves = [
            f"{s['passes']:.0f} ({s['seconds']:.2f})" + ("" if s["status"] == "SOLVED" else f" {s['status'].lower()}")
            for s in row["solves"]
        ]
        forms = ((k, ",") for k in ("users", "degree", "budgets"))
        costs = (("sum_ns", ".2f"), ("visit_ns", ".2f"), ("visit_over_sum", ".1f"))
        rows.append(
            [row["market"], *(_show(row, k, f) for k, f in forms), f"{row['tightness']:g}", str(row["threads"]),
             *(_show(row, k, f) for k, f in costs), *solves]
        )  # fmt: skip
    return [_table(heads, rows)]


def _whole(run: Run) -> list[str]:
    heads = ("pairs", "problem", "solver", "seconds", "x caps alone", "passes", "gap", "violation", "status")
    forms = (
        ("pairs", ","), ("problem", ""), ("solver", ""), ("seconds", ".2f"), ("times_caps_alone", ".1f"),
        ("passes", ".1f"), ("gap", ".0e"), ("violation", ".0e"), ("status", ""),
    )  # fmt: skip
    return [_table(heads, [[_show(r, key, form) for key, form in forms] for r in run["rows"]], text=(1, 2, 8))]


def _again(run: Run) -> list[str]:
    heads = (
        "program",
        "pairs",
        "change",
        "passes",
        "CPU s",
        "passes from nothing",
        "CPU s",
        "gap",
        "violation",
        "status",
    )
    forms = (
        ("program", ""), ("pairs", ","), ("change", ""), ("again_passes", ".1f"), ("again_seconds", ".2f"),
        ("cold_passes", ".1f"), ("cold_seconds", ".2f"), ("gap", ".0e"), ("violation", ".0e"), ("status", ""),
    )  # fmt: skip
    return [_table(heads, [[_show(r, key, form) for key, form in forms] for r in run["rows"]], text=(0, 2, 9))]


def _shapes(run: Run) -> list[str]:
    return [*_note(run), _table(*shape_tables.shapes(run), text=(0, 1, 8)), shape_tables.above(run, FINER)]


def _kinds(run: Run) -> list[str]:
    out = _note(run)
    for pairs in dict.fromkeys(row["pairs"] for row in run["rows"]):
        out += [f"### {pairs:,} pairs", _table(*shape_tables.kinds(run, pairs), text=(0, 1, 2, 9))]
    return out


def _note(run: Run) -> list[str]:
    note = run["options"].get("note")
    return [f"{note}."] if note else []


def _cluster(run: Run) -> list[str]:
    tables = [_table(*cluster_model.measured(run["rows"]), text=(1,)), _table(*cluster_model.predicted(run["rows"]))]
    known = cluster_model.constants(run["rows"])
    said = (
        f"Nothing in the next table was run. It is a model with {1e9 * known.per_pair:.1f} processor ns per pair, "
        f"{known.passes:.0f} passes and {known.rounds:.0f} rounds of {1e3 * known.round:.0f} ms, all of the table "
        "above; storage, network and the driver are not in it ([cluster.md](cluster.md)). The dotted lines of the plot "
        "are the same model for one thread: dots are above them as far as other programs took the processor."
    )
    return [*_note(run), tables[0], said, tables[1]]


def _of(table: Callable[[Run], tuple[tuple[str, ...], list[list[str]]]]) -> Callable[[Run], list[str]]:
    return lambda run: [_table(*table(run))]


def _first_call(run: Run) -> list[str]:
    imports, *calls = run["rows"]
    heads = ("pairs", "cache", "import s", "candidates s", "first solve s", "all s", "the second time s")
    names = ("import", "candidates", "solve", "all", "again")
    rows = [[f"{c['pairs']:,}", c["cache"], *(f"{c[name]:.2f}" for name in names)] for c in calls]
    said = (
        f"`import oasis_alloc` takes {imports['oasis_alloc']:.2f} s, {imports['ratio']:.2f} x `import numpy, "
        f"scipy.sparse` ({imports['yardstick']:.2f} s)."
    )
    return [said, _table(heads, rows, text=(1,))]


_BODIES = {
    "peers": (
        "Next to other solvers",
        "The same linear programs for all, each solver in a process of its own, value, bound and violation by one "
        "judge. A gap below 0 is of an answer that breaks limits. \"x ours\" is of seconds to solve, over ours to the "
        "smallest gap.",
        _peers,
    ),
    "large": (
        "Up to a billion pairs",
        "Users x 100 candidates, 10,000 budgets from 1e8 pairs on, 3 slots, in memory. \"sum\" adds up the same arrays "
        "once; \"peak / data\" is the peak of resident memory over the bytes of the arrays, the interpreter and its "
        "compiled libraries (0.2 GB) included; \"new / data\" is what the solve adds to what was there before.",
        _large,
    ),
    "passes": (
        "Passes, and what one costs",
        "A visit near the optimum and a plain sum over the same arrays, nanoseconds a pair; then passes (and seconds) "
        "to each gap.",
        _passes,
    ),
    "whole": (
        "The whole program",
        "Floors, licensors' shares, log fairness, diminishing genres and kept relevance, next to caps alone on the "
        "same market.",
        _whole,
    ),
    "again": (
        "Solving again",
        "From an earlier solution, next to a solve from nothing; processor seconds of one thread, gaps of 1e-4 (whole "
        "program: 1e-3). Limits: 1 % of the caps up or down by a fifth. Values: 5 % of them by about a tenth. Hour: "
        "all values by about 5 %, and 2 % of the campaigns are others. See [solving again](solving-again.md).",
        _again,
    ),
    "shapes": (
        "Every kind of program",
        "One cap per campaign and something else, slates of 10, 1e6 pairs of each market; processor seconds of one "
        "thread, warm. Usual: 20,000 users x 50 candidates, 250 slots per campaign, relevance close to value. Long "
        "lists: 10,000 x 100, 25 slots per campaign, five requests per person, popular items that most lists have. Few "
        "campaigns: 50,000 x 20, 12,500 slots per campaign, 40 levels of values, relevance that falls with them.",
        _shapes,
    ),
    "kinds": (
        "Every kind of program, next to other solvers",
        "The usual market of the table above; each run in a process of its own, one thread, processor seconds. Value "
        "and violation are computed from the allocations that the solvers return, gaps are to the bound that ours "
        "proves with 1e-6; below 0 is an answer that breaks limits. Making the matrix is not counted; \"new MB\" is "
        "memory on top of it. For the others slot weights are ten copies of the pairs. Only Clarabel has logarithms.",
        _kinds,
    ),
    "first_call": (
        "The first call",
        "Import and first solve, each row in a process of its own: with nothing compiled on disk, and after that.",
        _first_call,
    ),
    "regret": (
        "Regret of pacers",
        "Eight campaigns with caps, two of them with floors, prices first solved from 400 requests; regret against the "
        f"proven bound of hindsight, means of the seeds. ![Regret against requests]({pacing_tables.PLOT})",
        _of(pacing_tables.regret),
    ),
    "busy_day": (
        "A busy day of pacers",
        "55 campaigns, 8 replicas that synchronize every 10 seconds, two peaks, 1,750,000 requests of 20 candidates.",
        _of(pacing_tables.busy_day),
    ),
    "scenarios": (
        "All scenarios of pacers",
        "55 campaigns, 20,000 requests a day, floors at nine tenths of the caps, 20 seeds; values are shares of the "
        "bound of hindsight.",
        _of(pacing_tables.scenarios),
    ),
    "cluster": (
        "On a cluster",
        "Caps of campaigns, 3 slots, pairs of 6 bytes in memory, to a gap of 1e-3; each way in processes of its own, "
        "all on one machine. A pass is a median of 7, a round of 50; processor seconds below 0.015 are left out. "
        f"![Seconds against pairs, measured and predicted]({cluster_model.PLOT})",
        _cluster,
    ),
}  # fmt: skip

if __name__ == "__main__":
    main()
