"""One market under nine functions: the numbers and the plots of `docs/choosing-functions.md`.

    python docs/scripts/choosing_functions.py

solves the market again, puts the table into the page and draws the plots. The market comes from a fixed seed, and the
weights are such that the fairness functions cost about 2 % of the relevance each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from oasis_alloc.markets import month

DOCS = Path(__file__).resolve().parents[1]
PAGE = DOCS / "choosing-functions.md"
TABLE = re.compile(r"(<!-- numbers -->\n)(.*?)(<!-- end of numbers -->)", re.DOTALL)

USERS, SLOTS = 2_000, 5
TIMES = 50.0  # exposures up to which reach counts an artist
FLOOR, PENALTY = 700.0, 0.15  # of the soft floor

MARKET = month(users=USERS, degree=30, campaigns=8, size=SLOTS, seed=7)
CANDIDATES = MARKET.candidates()
GENRES = CANDIDATES.groups("genre")
RELEVANCE, GENRE, ARTIST = oa.total("relevance"), oa.exposure(by="genre"), oa.exposure(by="artist")


def _codes(key: str) -> Any:
    return CANDIDATES.items[key].codes[np.asarray(CANDIDATES.item)]


GENRE_OF, ARTIST_OF = _codes("genre"), _codes("artist")
POOL = np.bincount(GENRE_OF) / len(GENRE_OF)  # the genres' shares of all candidates
SHARES = {genre: float(share) for genre, share in zip(GENRES, POOL, strict=True)}
TARGETS = {genre: USERS * SLOTS * share for genre, share in SHARES.items()}

# What is maximized, and what it is called on the page and in the plots.
FUNCTIONS: dict[str, Any] = {
    "relevance alone": RELEVANCE,
    "log": RELEVANCE + 180 * oa.log(GENRE).named("f"),
    "alpha_fair, alpha 2": RELEVANCE + 66_000 * oa.alpha_fair(GENRE, alpha=2, offset=1.0).named("f"),
    "entropy": RELEVANCE + 2_200 * oa.entropy(GENRE).named("f"),
    "gini_welfare": RELEVANCE + 1.67 * oa.gini_welfare(GENRE).named("f"),
    "worst_off": RELEVANCE + 0.77 * oa.worst_off(GENRE).named("f"),
    "soft floor of 700": RELEVANCE,  # with a soft constraint, see problem()
    "reach, artists, 50 times": RELEVANCE + 0.24 * oa.reach(ARTIST, times=TIMES).named("f"),
    "kl": RELEVANCE - 4_000 * oa.kl(GENRE, SHARES).named("f"),
    "square_deviation": RELEVANCE - 0.0008 * oa.square_deviation(GENRE, TARGETS).named("f"),
}


@dataclass(frozen=True)
class Row:
    """What one function makes of the market."""

    name: str
    relevance: float  # total
    genres: Any  # exposures, (n_genres,)
    artists: Any  # exposures, (n_artists,)
    prices: Any  # of the function's groups, or None

    @property
    def gini(self) -> float:
        """The Gini coefficient of the genres' exposures: 0 where all are equal."""
        ordered = np.sort(self.genres)
        n = len(ordered)
        return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


def problem(name: str) -> oa.Problem:
    """The market with one of the functions."""
    limits = [oa.soft(GENRE >= FLOOR, penalty=PENALTY).named("f")] if name.startswith("soft") else []
    return oa.Problem(CANDIDATES, FUNCTIONS[name], limits, oa.Slate(SLOTS))


def row(name: str) -> Row:
    """Solve the market with one of the functions, to a gap of 1e-5."""
    solution = oa.solve(problem(name), gap=1e-5)
    assert solution.status is oa.Status.SOLVED, (name, solution.status)
    x = solution.allocation
    relevance = float(np.asarray(CANDIDATES.columns["relevance"][:], dtype=np.float64) @ x)
    genres = np.bincount(GENRE_OF, x, len(GENRES))
    return Row(name, relevance, genres, np.bincount(ARTIST_OF, x), solution.prices.get("f"))


def table(rows: list[Row]) -> str:
    """The table of the page."""
    lines = [
        "| function | relevance | smallest genre | largest genre | Gini | artists with 50 | bonus |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for found in rows:
        bonus = "" if found.prices is None else f"{0 - found.prices.max():.2f} to {0 - found.prices.min():.2f}"
        numbers = [
            f"{100 * found.relevance / rows[0].relevance:.1f} %",
            f"{found.genres.min():,.0f}",
            f"{found.genres.max():,.0f}",
            f"{found.gini:.2f}",
            f"{(found.artists > TIMES - 0.5).sum()}",
            bonus,
        ]
        lines.append("| " + " | ".join([f"`{found.name}`" if found is not rows[0] else found.name, *numbers]) + " |")
    return "\n".join(lines) + "\n"


def draw(rows: list[Row]) -> None:
    """The plots of the page, as SVG files without dates and random ids."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "oasis_alloc", "svg.fonttype": "path", "font.size": 9})
    import matplotlib.pyplot as plt

    by_name = {found.name: found for found in rows}
    order = np.argsort(-rows[0].genres)
    place = np.arange(len(order))

    def panel(axes: Any, name: str, marks: Any, what: str) -> None:
        axes.bar(place, by_name[name].genres[order], color="#459db9", width=0.75)
        axes.plot(place, marks[order], "_", color="#c0392b", markersize=9, markeredgewidth=1.6, label=what)
        axes.set_title(name, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xticks(place, [GENRES[k] for k in order], rotation=90)

    def figure(names: list[str], marks: Any, what: str, file: str, columns: int) -> None:
        lines = -(-len(names) // columns)
        shape = {"figsize": (3.1 * columns, 2.1 * lines + 0.7), "sharex": True, "sharey": True}
        made, axes = plt.subplots(lines, columns, layout="constrained", **shape)
        for some, name in zip(np.ravel(axes), names, strict=True):
            panel(some, name, marks, what)
        made.supylabel("exposures")
        np.ravel(axes)[0].legend(frameon=False)
        save(made, file)

    def save(made: Any, file: str) -> None:
        made.savefig(DOCS / "plots" / file, metadata={"Date": None})
        plt.close(made)

    fair = ["log", "alpha_fair, alpha 2", "entropy", "gini_welfare", "worst_off", "soft floor of 700"]
    figure(fair, rows[0].genres, "relevance alone", "fairness.svg", 3)
    figure(["relevance alone", "kl", "square_deviation"], USERS * SLOTS * POOL, "target", "targets.svg", 3)
    made, axes = plt.subplots(figsize=(6.2, 3.0), layout="constrained")
    for name, color in (("relevance alone", "#999999"), ("log", "#459db9"), ("reach, artists, 50 times", "#c0392b")):
        axes.plot(np.sort(by_name[name].artists)[::-1], label=name, color=color)
    axes.axhline(TIMES, color="#555555", linewidth=0.8, linestyle=":")
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set(ylim=(0, None), xlabel="artists, from the most shown", ylabel="exposures")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save(made, "reach.svg")


def main() -> None:
    rows = [row(name) for name in FUNCTIONS]
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda found: found[1] + table(rows) + found[3], text), encoding="utf-8")
    draw(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
