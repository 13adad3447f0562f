"""What the examples on real data share: candidates in rows, best first, and how good a slate is for its user.

Everything is a matrix (n_users, n_candidates), each row by falling relevance; `x` is the chance of being shown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from data_sets import folder_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def best(scores: Floats, count: int) -> Ints:
    """The columns with the largest scores in each row, best first; equal scores in order of column."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def whole(chosen: Ints, n_candidates: int) -> Floats:
    """x of slates that are known by the columns they hold, (n_users, slots)."""
    x = np.zeros((len(chosen), n_candidates))
    np.put_along_axis(x, chosen, 1.0, axis=1)
    return x


def ndcg(x: Floats, liked: Floats, n_liked: Ints, slots: int) -> float:
    """Mean nDCG over users who have anything held out, the shown candidates by falling relevance.

    A candidate's rank is the expected number of candidates before it, so that a mixture of slates counts too.
    """
    rank = np.cumsum(x, axis=1) - x
    gained = (x * liked / np.log2(2 + rank)).sum(axis=1)
    ideal = np.append(0.0, np.cumsum(1 / np.log2(2 + np.arange(slots))))[np.minimum(n_liked, slots)]
    asked = n_liked > 0
    return float((gained[asked] / ideal[asked]).mean())


def hit_rate(x: Floats, liked: Floats, n_liked: Ints) -> float:
    """Expected share of what was held out that users are shown."""
    return float((x * liked).sum() / n_liked.sum())


def drawn(x: Floats, rng: np.random.Generator) -> Floats:
    """Whole slates with the chances x: systematic sampling, one uniform number per user (Madow, 1949)."""
    steps = np.cumsum(x, axis=1) + rng.random((len(x), 1))
    return np.diff(np.floor(steps + 1e-9), axis=1, prepend=0.0)


def print_table(heads: list[str], rows: list[list[Any]], forms: list[str]) -> None:
    """Print rows under their heads; the first column is text, None is no number."""
    cells = [["-" if v is None else format(v, form) for v, form in zip(row, forms, strict=True)] for row in rows]
    widths = [max(len(line[k]) for line in (heads, *cells)) for k in range(len(heads))]
    for line in (heads, *cells):
        print(f"{line[0]:<{widths[0]}}  " + "  ".join(f"{c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True)))


def draw_curves(methods: Sequence[str], judged: list[dict[str, Any]], x: Mapping[str, str], out: Path) -> None:
    """Relevance kept against each of the columns `x`, {column: its words}; programs are lines, plain rules squares."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(x), figsize=(5.5 * len(x), 5), sharey=True)
    for method in dict.fromkeys(methods):
        mine = [line for whose, line in zip(methods, judged, strict=True) if whose == method]
        for panel, (name, words) in zip(panels, x.items(), strict=True):
            kept = [100 * line["relevance"] for line in mine]
            style = "s:" if mine[0]["gap"] is None else "o-"
            panel.plot([line[name] for line in mine], kept, style, label=method.rpartition(",")[0] or method)
            panel.set(xlabel=words)
    panels[0].set_ylabel("relevance kept, % of the top 10's")
    panels[-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=150)
    plt.close(figure)


def command(
    argv: list[str] | None, data_set: str, table: str, figure: str, run: Callable[[Path, Any, Path], Any]
) -> int:
    """Find the data and run on them; the exit code is 0, or 2 without data."""
    parser = argparse.ArgumentParser(description=f"An example on {data_set}; see the head of the script.")
    parser.add_argument("path", nargs="?", type=Path, help=f"directory of the {data_set} tables")
    parser.add_argument("--out", type=Path, default=Path(figure), help=f"file of the figure (default: {figure})")
    parser.add_argument("--users", type=int, default=None, help="only the first so many users")
    given = parser.parse_args(argv)
    folder = folder_of(data_set, table, given.path)
    if folder is None:
        return 2
    started = time.perf_counter()
    run(folder, given.users, given.out)
    print(f"\n{time.perf_counter() - started:.1f} s in all; the figure is in {given.out}")
    return 0
