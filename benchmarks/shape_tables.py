"""Tables of every kind of program on the page of the benchmarks: next to caps alone, and next to other solvers."""

from __future__ import annotations

from typing import Any

from benchmarks.kinds import remark_of
from benchmarks.shapes import LATE

Run = dict[str, Any]
_FORMS = (
    ("times_caps", ".1f"), ("at_most", "g"), ("seconds", ".2f"), ("passes", ".1f"), ("gap", ".0e"),
    ("violation", ".0e"),
)  # fmt: skip


def shapes(run: Run) -> tuple[tuple[str, ...], list[list[str]]]:
    """(heads, cells): ratios to caps alone with their limits, and seconds to the second gap over those to the first."""
    heads = ("market", "program", "x caps alone", "limit", "CPU seconds", "passes", "gap", "violation", "status",
             "x, to the finer gap", "passes", "gap")  # fmt: skip
    rows, last = [], ""
    for row in run["rows"]:
        late = row["status"] in LATE
        finer = {} if late else row.get("finer") or {}
        times, *others = (_show(row, key, form) for key, form in _FORMS)
        rows.append(
            [
                row["market"] if row["market"] != last else "",
                row["program"],
                f"> {times}" if late else times,
                *others,
                row["status"],
                *(_show(finer, key, form) for key, form in (("times", ".1f"), ("passes", ".1f"))),
                _show(finer, "gap", ".0e")
                or (finer["status"] if finer.get("status", row["status"]) != row["status"] else ""),
            ]
        )
        last = row["market"]
    return heads, rows


def above(run: Run, finer: float) -> str:
    """A sentence for what is above its limit.

    >>> row = {"market": "usual", "program": "keep", "times_caps": 13.04, "at_most": 12.0, "status": "SOLVED"}
    >>> above({"rows": [row | {"finer": {"times": 2.0}}]}, 3.0)
    'Above its limit: keep on usual (13.0, not 12). Above 3 to the finer gap: nothing.'
    """
    coarse = [r for r in run["rows"] if r["at_most"] and r["times_caps"] > r["at_most"]]
    fine = [r for r in run["rows"] if r["status"] not in LATE and (r.get("finer") or {}).get("times", 0.0) > finer]
    said = [f"{r['program']} on {r['market']} ({r['times_caps']:.1f}, not {r['at_most']:g})" for r in coarse]
    more = [f"{r['program']} on {r['market']} ({r['finer']['times']:.1f})" for r in fine]
    return f"Above its limit: {_all(said)}. Above {finer:g} to the finer gap: {_all(more)}."


def _all(said: list[str]) -> str:
    return ", ".join(said) or "nothing"


def kinds(run: Run, pairs: int) -> tuple[tuple[str, ...], list[list[str]]]:
    """(heads, cells) of the runs at one size; memory is what a run adds to what its process had before."""
    heads = ("program", "solver", "stops at", "build s", "solve s", "x ours", "gap", "violation", "new MB", "")
    rows, last = [], ""
    for row in run["rows"]:
        if row["pairs"] != pairs:
            continue
        late = row["outcome"] == "limit"
        new = row["peak_mb"] - row.get("before_mb", 0.0)
        rows.append(
            [
                row["program"] if row["program"] != last else "",
                row["title"],
                "its default" if row["stops_at"] is None else f"{row['stops_at']:.0e}",
                _show(row, "build_seconds", ".2f"),
                _show(row, "solve_seconds", ".2f"),
                f"{'> ' if late else ''}{row['times_ours']:,.1f}" if row.get("times_ours") else "",
                _show(row, "gap", ".0e"),
                _show(row, "violation", ".0e"),
                f"{new:,.0f}" if row["outcome"] == "done" else "",
                remark_of(row),
            ]
        )
        last = row["program"]
    return heads, rows


def _show(row: Run, key: str, form: str) -> str:
    return "" if row.get(key) is None else format(row[key], form)
