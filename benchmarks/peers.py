"""Time oasis_alloc next to other solvers on the same linear programs, and judge all answers alike.

    python -m benchmarks.peers                                  # 1e6 and 1e7 pairs, all peers, two threads each
    python -m benchmarks.peers --sizes 1e4 1e5 1e6 1e7 1e8 --limit 240 --json peers.json
                                                                # each peer as far as it gets
    python -m benchmarks.peers --sizes 1e5 --peers pdlp highs --limit 60

Every solver runs in a process of its own, one after the other; README.md says what is counted. A peer is not tried at a
size that by its own times and memory at smaller ones it cannot do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import psutil

from benchmarks.contestants import NAMES, peer_named
from benchmarks.instances import shape_of
from benchmarks.machine import description, heading
from benchmarks.reach import Reached
from benchmarks.results import save
from benchmarks.tables import table
from benchmarks.worker import Job, watch

_FEASIBLE = 1e-6
_COLUMNS = (
    "solver",
    "stops at",
    "build s",
    "solve s",
    "value",
    "bound",
    "gap",
    "gap, scaled",
    "violation",
    "worst slate",
    "peak MB",
    "of it new",
    "",
)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; 1 if one of our own answers is not what was asked for."""
    options = _options(arguments)
    about = description()
    print(heading(about), flush=True)
    if about["load"] > 0.3:
        print("others use this machine now: ratios of single runs can be off by a factor of two", flush=True)
    rows: list[dict[str, Any]] = []
    reached: dict[str, Reached] = {}
    for pairs in sorted(options.sizes):
        rows += _compare(pairs, options, reached)
        if options.json is not None:  # after every size: a long run that is broken off has not been for nothing
            save(options.json, about, vars(options), rows)
    bad = [row["title"] for row in rows if row["solver"].startswith("ours") and not _proven(row)]
    for title in bad:
        print(f"{title}: the judge does not confirm the gap or the violation", file=sys.stderr)
    return 1 if bad else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=_pairs, default=[1_000_000, 10_000_000], help="pairs: 1e6 1e7")
    parser.add_argument("--gaps", nargs="+", type=float, default=[1e-3, 1e-6], help="gaps asked of ours")
    parser.add_argument(
        "--peers", nargs="*", type=_peer, default=list(NAMES[1:]),
        help=f"of {', '.join(NAMES[1:])}; pdlp:1e-6 sets the tolerance",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, help="threads of every solver")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for building and solving, each run")
    parser.add_argument("--repeat", type=int, default=3, help="runs of ours; the fastest counts")
    parser.add_argument("--peer-repeat", type=int, default=1, help="runs of each peer; the fastest counts")
    parser.add_argument("--seed", type=int, default=0, help="of the generated markets")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    for name in ("threads", "limit", "repeat", "peer_repeat"):
        if not getattr(options, name) > 0:
            parser.error(f"--{name.replace('_', '-')} must be positive")
    return options


def _pairs(text: str) -> int:
    pairs = float(text)
    if not (pairs >= 10_000 and pairs % 100 == 0):
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of 100 of at least 10,000 pairs")
    return int(pairs)


def _peer(text: str) -> str:
    try:
        peer_named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _compare(pairs: int, options: argparse.Namespace, reached: dict[str, Reached]) -> list[dict[str, Any]]:
    """Run everybody on the instance with this many pairs, and print its tables."""
    users, degree, campaigns = shape_of(pairs)
    print(
        f"\n{pairs:,} pairs: {users:,} users x {degree}, {campaigns:,} budgets, 3 slots, seed {options.seed}; "
        f"{options.threads} threads; limit {options.limit:g} s"
    )
    results: list[dict[str, Any]] = []
    for solver in [*(f"ours:{gap:g}" for gap in options.gaps), *options.peers]:
        own = solver.startswith("ours")
        peer = peer_named(solver)
        if sys.stderr.isatty():
            print(f"{solver} ... ", end="\r", file=sys.stderr, flush=True)
        history = reached.setdefault(solver, Reached())
        free = psutil.virtual_memory().available / 1e6
        beyond = "" if own else history.beyond(pairs, options.limit, free)
        if beyond:
            result: dict[str, Any] = {"outcome": "skipped", "peak_mb": 0.0, "error": beyond}
        else:
            repeat = options.repeat if own else options.peer_repeat
            result = watch(Job(solver, pairs, options.seed, options.threads, options.limit, repeat, warm=own))
            history.note(pairs, result)
        about = {"pairs": pairs, "users": users, "degree": degree, "campaigns": campaigns, "limit": options.limit}
        results.append({**about, "solver": solver, "title": peer.title, "stops_at": peer.tolerance, **result})
    print(table(_COLUMNS, [_row(result) for result in results], text=(0, 1, 12)), flush=True)
    ratios = ratios_of(results)
    if ratios:
        columns = list(dict.fromkeys(r["ours"] for r in ratios))
        names = list(dict.fromkeys(r["peer"] for r in ratios))
        rows = []
        for name in names:
            mine = {r["ours"]: r for r in ratios if r["peer"] == name}
            rows.append([name, *(_times(mine[c], kind) for kind in ("solve", "all") for c in columns)])
        heads = [f"{kind}, to {c.partition(':')[2]}" for kind in ("solve", "build + solve") for c in columns]
        print("\nseconds as a multiple of ours")
        print(table(("solver", *heads), rows, text=(0,)), flush=True)
    return results


def _stops(result: dict[str, Any]) -> list[str]:
    return [] if result["stops_at"] is None else [f"{result['stops_at']:.0e}"]


def _times(ratio: dict[str, Any], kind: str) -> str:
    if ratio[kind] is None:
        return "-"
    return f"{'>' if ratio['at_least'] else ''}{ratio[kind]:.1f}"


def _row(result: dict[str, Any]) -> list[str]:
    runs = [solve for _, solve in result.get("runs", ())]
    remark = f"{len(runs)} runs, {min(runs):.3f} to {max(runs):.3f} s" if len(runs) > 1 else ""
    if result["outcome"] == "limit":
        remark = f"no answer in {result['limit']:g} s"
    elif result["outcome"] in ("stopped", "skipped"):
        remark = f"{result['outcome']}: " + str(result.get("error") or result["reported"]["status"])[:80]
    verdict = result.get("verdict")
    peak, before = result["peak_mb"], result.get("before_mb", 0.0)
    return [
        result["title"],
        "".join(_stops(result)) or "default",
        *(f"{result[k]:.3f}" if k in result else "-" for k in ("build_seconds", "solve_seconds")),
        *(f"{verdict[k]:.4f}" if verdict else "-" for k in ("value", "bound")),
        *(f"{verdict[k]:.1e}" if verdict else "-" for k in ("gap", "feasible_gap", "violation", "worst_slate")),
        *(f"{megabytes:.0f}" if peak else "-" for megabytes in (peak, peak - before)),
        remark,
    ]


def ratios_of(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds of every peer over ours; of a peer without an answer, the least that it can be."""
    mine = [r for r in results if r["solver"].startswith("ours") and r["outcome"] == "done"]
    others = [r for r in results if not r["solver"].startswith("ours") and r["outcome"] in ("done", "limit")]
    out = []
    for other in others:
        for our in mine:
            ours = our["build_seconds"] + our["solve_seconds"]
            told = "build_seconds" in other  # not if it was ended: then its model's share is unknown
            theirs = other["build_seconds"] + other["solve_seconds"] if told else other["limit"]
            out.append(
                {
                    "peer": " ".join([other["title"], *_stops(other)]),
                    "ours": our["solver"],
                    "solve": other["solve_seconds"] / our["solve_seconds"] if told else None,
                    "all": theirs / ours,
                    "at_least": other["outcome"] == "limit",
                }
            )
    return out


def _proven(result: dict[str, Any]) -> bool:
    """Whether the judge finds what was asked for; a millionth of the gap is left to rounding."""
    verdict = result.get("verdict")
    if result["outcome"] != "done" or verdict is None:
        return False
    return bool(
        verdict["gap"] <= result["stops_at"] * (1 + 1e-6) + 1e-12
        and max(verdict["violation"], verdict["worst_slate"]) <= _FEASIBLE
    )


if __name__ == "__main__":
    sys.exit(main())
