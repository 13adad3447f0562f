"""What a solve on a cluster costs at sizes that were not run: a model, and its plot next to what was measured.

    seconds of a pass  = pairs * processor seconds per pair / threads of all actors + a round
    seconds of a solve = passes * pairs * processor seconds per pair / threads + rounds * a round

All constants are of the run (`runs/cluster.json`): processor seconds per pair, passes and rounds of one actor (or of
the fewest that were run) at the largest size; and the round of the most actors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.plot import drawn

PLOT = "cluster.svg"
BYTES = 6  # of a pair: an item in 2 and a number in 4
SIZES = (1e9, 1e10, 1e11, 1e12)
THREADS = 16  # of an actor
SHORTEST = 0.015  # processor seconds of a pass: 7 of them are 10 ticks of the system's clock
PAIRS = 2.5e9  # in an actor: 15 GB
_COLORS = {"pass": "#0b5fa5", "solve": "#c0392b"}
_COLUMNS = (  # head, format and key of the table of what was run
    ("pass s", ".3f", "pass"), ("pass CPU ns per pair", ".1f", "ns"), ("round ms", ".1f", "round"),
    ("solve s", ".1f", "solve"), ("passes", ".1f", "passes"), ("rounds", "d", "rounds"), ("start s", ".1f", "start"),
    ("actors MB", ",.0f", "actors_megabytes"), ("own MB / pairs'", ".2f", "over_data"),
    ("this process MB", ",.0f", "driver_megabytes"),
)  # fmt: skip
Rows = list[dict[str, Any]]
Table = tuple[tuple[str, ...], list[list[str]]]


class Constants(NamedTuple):
    """What the model takes from a run."""

    per_pair: float  # processor seconds
    passes: float
    rounds: float
    round: float  # seconds

    def pass_(self, pairs: float, threads: float) -> float:
        """Seconds of a pass.

        >>> round(Constants(8e-9, 17.0, 66.0, 0.015).pass_(1e10, 64.0), 3)
        1.265
        """
        return pairs * self.per_pair / threads + self.round

    def solve(self, pairs: float, threads: float) -> float:
        """Seconds of a solve."""
        return self.passes * pairs * self.per_pair / threads + self.rounds * self.round


def constants(rows: Rows) -> Constants:
    """Read the constants from a run that has a row of actors.

    >>> rows = [{"way": "actors 2", "pairs": 100, "pass_cpu": 5e-7, "passes": 9.0, "rounds": 7, "round": 0.003}]
    >>> constants([{"way": "threads 1", "pairs": 100}, *rows])
    Constants(per_pair=5e-09, passes=9.0, rounds=7, round=0.003)
    """
    few = fewest(rows)[-1]
    most = max((row for row in rows if _actors(row)), key=lambda row: (_actors(row), row["pairs"]))
    return Constants(few["pass_cpu"] / few["pairs"], few["passes"], few["rounds"], most["round"])


def fewest(rows: Rows) -> Rows:
    """The rows of the fewest actors, by size; empty without actors."""
    least = min((_actors(row) for row in rows if _actors(row)), default=0)
    return sorted((row for row in rows if least and _actors(row) == least), key=lambda row: row["pairs"])


def _actors(row: dict[str, Any]) -> int:
    kind, _, number = row["way"].partition(" ")
    return int(number) if kind == "actors" else 0


def actors_for(pairs: float) -> int:
    """Actors whose memory holds the pairs.

    >>> [actors_for(pairs) for pairs in SIZES]
    [1, 4, 40, 400]
    """
    return max(1, round(pairs / PAIRS))


def measured(rows: Rows) -> Table:
    """The table of what was run."""
    columns = [(*column, key) for *column, key in _COLUMNS if key != "over_data" or any(key in row for row in rows)]
    body = []
    for row in rows:
        numbers = {**row, "round": 1e3 * row["round"]}
        if row["pass_cpu"] >= SHORTEST:
            numbers["ns"] = 1e9 * row["pass_cpu"] / row["pairs"]
        cells = [format(numbers[key], form) if key in numbers else "" for _, form, key in columns]
        body.append([f"{row['pairs']:,}", row["way"], *cells])
    return ("pairs", "way", *(head for head, *_ in columns)), body


def predicted(rows: Rows) -> Table:
    """The table of what was not run."""
    known, body = constants(rows), []
    for pairs in SIZES:
        actors = actors_for(pairs)
        threads = THREADS * actors
        numbers = [f"{known.pass_(pairs, threads):.2f}", f"{known.solve(pairs, threads):.0f}"]
        size = f"{pairs:.0e}".replace("e+0", "e").replace("e+", "e")
        body.append([size, str(actors), f"{BYTES * pairs / actors / 1e9:.0f}", *numbers])
    return ("pairs", f"actors of {THREADS} threads", "GB of pairs an actor", "a pass, s", "a solve, s"), body


def draw(run: dict[str, Any] | None, file: Path) -> None:
    """Write the plot as SVG, the same bytes for the same run: dots were measured, lines and rings are predicted."""
    if run is None or not run["rows"]:
        return
    rows, known = run["rows"], constants(run["rows"])
    with drawn(file, height=4.5) as axes:
        few = fewest(rows)
        small = [row["pairs"] for row in few]
        for name, of, cost in (("pass", known.pass_, "pass"), ("solve", known.solve, "solve")):
            color = _COLORS[name]
            said = f"a {name}, measured, {few[0]['way'].split()[1]} actor of 1 thread"
            axes.plot(small, [row[cost] for row in few], "o", color=color, markersize=6, label=said)
            near = [small[0], 2 * PAIRS / THREADS]
            axes.plot(near, [of(pairs, 1.0) for pairs in near], ":", color=color, linewidth=1.2)
            far = [of(pairs, THREADS * actors_for(pairs)) for pairs in SIZES]
            said = f"a {name}, predicted, actors of {THREADS} threads"
            axes.plot(SIZES, far, "--o", color=color, fillstyle="none", markersize=7, linewidth=1.2, label=said)
        for pairs in SIZES:
            n = actors_for(pairs)
            words = f"{n} actor{'s'[: n > 1]}"
            axes.annotate(
                words, (pairs, known.solve(pairs, THREADS * n)), (0, 9), textcoords="offset points", ha="center"
            )
        axes.axvspan(max(small), 2e12, color="#f2f2f2", zorder=0)
        axes.text(max(small) * 1.3, 0.012, "nothing to the right of here was measured", fontsize=9)
        axes.set(xscale="log", yscale="log", xlabel="pairs", ylabel="seconds", xlim=(small[0] / 2, 2e12))
