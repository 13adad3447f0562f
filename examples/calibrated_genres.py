"""What does it cost to show users the genres that they watch, in their proportions? Real ratings, against greedy rules.

    python examples/calibrated_genres.py [path/to/movielens-small] --out calibrated_genres.png

The data are 100,004 ratings of films (GroupLens ml-latest-small, 2016), as `events.parquet`, `items.parquet` and
`genres.parquet`. Without a path, they are looked for in `movielens-small` under the directory that the environment
variable OASIS_ALLOC_DATA names. Needs pyarrow and matplotlib.

1. Every user's first four fifths in time are history; the last fifth says what slates are worth. (One cut for all users
   would leave 21 with both: they come, rate, and go.) Relevance, candidates and targets come from history alone.
2. Slates of 10 from every user's 100 best films. A film's genres, several a film, share it in equal parts.
3. Greedy rules: the top 10; calibration (Steck, RecSys 2018); xQuAD over genres (Santos et al., WWW 2010). And the best
   whole slates for what Steck's rule aims at, from the program of that objective.
4. Programs: divergence from the genres of history, of all users, of segments, of every user; bands; slate rules.
5. One table, one figure.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ranking import Floats, Ints, best, command, draw_curves, drawn, ndcg, print_table, whole

import oasis_alloc as oa

SLOTS, CANDIDATES, FACTORS = 10, 100, 16
HISTORY = 0.8  # of every user's events, in order of time
SMOOTHING = 0.01  # Steck's a: q becomes (1 - a) q + a p, so that no genre is without any
LAMBDAS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the greedy rules: from relevance to genres
WEIGHTS = (0.03, 0.1, 0.3, 1.0)  # of divergence, in units of relevance a slot; a user's best film is 1
BAND = (0.8, 1.25)  # of the target, per segment and genre; candidates may have too little for the lower end
PENALTY = 1.0  # of a slot that it is short of
STEPS = (0.01, 0.02, 0.05)  # what the next film of a genre is worth less
MOST = 4  # films of a genre in a slate
KEPT = 0.95  # of the relevance of each user's top 10
GAP = 1e-4
BATCH = 25  # users that are solved together where each keeps a share, and none is coupled to another
NO_SHARE = 1e-9  # target of a genre that a user never watched: targets are positive
DRAWS = 20  # of whole slates, where x is a mixture


@dataclass(frozen=True, eq=False)
class Market:
    """Who could be shown what: rows are users, candidates by falling relevance."""

    film: Ints  # (n_users, n_candidates)
    relevance: Floats  # (n_users, n_candidates)
    parts: Floats  # (n_users, n_candidates, n_genres) p(g|i): 1 / number of the film's genres
    watched: Floats  # (n_users, n_genres) p(g|u): the mean of p(g|i) over history
    later: Floats  # (n_users, n_candidates) 1 where the user rates the film later
    n_later: Ints  # (n_users,)
    segments: npt.NDArray[np.str_]  # (n_users,)
    genres: list[str]
    genres_of: list[list[str]]  # (n_films,)

    @cached_property
    def candidates(self) -> oa.Candidates:
        """The same as the library takes it; the films' column of lists becomes a key of several labels a film."""
        import pyarrow as pa

        users, count = np.arange(len(self.film)), self.film.shape[1]
        pairs = {"user": np.repeat(users, count), "item": self.film.ravel(), "relevance": self.relevance.ravel()}
        return oa.Candidates.from_frames(
            pa.table({**pairs, "part": self.parts.max(axis=2).ravel()}),
            users=pa.table({"user": users, "segment": self.segments.tolist(), "who": users}),
            items=pa.table({"item": np.arange(len(self.genres_of)), "genres": self.genres_of}),
        )

    def allocation(self, solution: oa.Solution) -> Floats:
        """x by user and candidate: solutions count pairs as candidates do, which know the rows that they came from."""
        x = np.empty(self.relevance.size)
        x[self.candidates.row] = solution.allocation
        return x.reshape(self.relevance.shape)

    def batches(self, size: int) -> list[Market]:
        """Markets of so many users each."""
        of_users = ("film", "relevance", "parts", "watched", "later", "n_later", "segments")
        starts = range(0, len(self.film), size)
        return [replace(self, **{name: getattr(self, name)[k : k + size] for name in of_users}) for k in starts]


@dataclass(frozen=True, eq=False)
class Row:
    """One way to fill the slates: methods of one curve share a name; x is by user and candidate."""

    method: str
    knob: float | None
    x: Floats
    seconds: float
    gap: float | None = None


def fit(history: Floats) -> Floats:
    """Relevance of every film to every user, (n_users, n_films): history projected on its main directions.

    Rows of ratings, each of length 1, are projected on their FACTORS leading singular vectors: users who rate alike
    lend each other their films. A user's best new film is 1, what they have rated -1.
    """
    rows = history / np.sqrt((history**2).sum(axis=1, keepdims=True))
    main = np.linalg.eigh(rows @ rows.T)[1][:, -FACTORS:]
    scores = np.where(history > 0, -np.inf, main @ (main.T @ rows))
    scores = np.maximum(scores / scores.max(axis=1, keepdims=True), 0.0)
    return np.where(history > 0, -1.0, scores)


def market_of(folder: Path, n_users: int | None = None) -> Market:
    """Cut every user's events in time, fit, and choose candidates."""
    import pyarrow.parquet as pq

    events, films, names = (pq.read_table(folder / f"{name}.parquet") for name in ("events", "items", "genres"))
    user, film = events["user"].to_numpy(), events["item"].to_numpy()  # sorted by time
    genres, genres_of = names["name"].to_pylist(), films["genres"].to_pylist()
    count, order = np.bincount(user), np.argsort(user, kind="stable")
    place = np.empty(user.size)
    place[order] = np.arange(user.size) - np.repeat(np.cumsum(count) - count, count)
    before = place < HISTORY * count[user]
    history, later = np.zeros((2, count.size, films.num_rows))
    history[user[before], film[before]] = events["rating"].to_numpy()[before] / 5
    later[user[~before], film[~before]] = 1.0
    part = np.array([np.isin(np.arange(len(genres)), mine) / max(1, len(mine)) for mine in genres_of])
    watched = (history > 0) @ part
    watched = (watched / watched.sum(axis=1, keepdims=True))[:n_users]
    later, scores = later[:n_users], fit(history)[:n_users]
    chosen = best(scores, CANDIDATES)
    # a user's segment: the genre that history has most of beyond everybody's
    segments = np.array(genres)[(watched - watched.mean(axis=0)).argmax(axis=1)]
    return Market(
        film=chosen,
        relevance=np.take_along_axis(scores, chosen, axis=1),
        parts=part[chosen],
        watched=watched,
        later=np.take_along_axis(later, chosen, axis=1),
        n_later=later.sum(axis=1).astype(np.int64),
        segments=segments,
        genres=genres,
        genres_of=[[genres[k] for k in mine] for mine in genres_of],
    )


def divergence(target: Floats, shares: Floats) -> Floats:
    """Steck's KL(p || q~) over the last axis, q~ = (1 - a) q + a p; genres that p has nothing of count nothing."""
    smooth = (1 - SMOOTHING) * shares + SMOOTHING * target
    ratio = np.where(target > 0, target, 1.0) / np.where(target > 0, smooth, 1.0)
    return np.asarray((target * np.log(ratio)).sum(axis=-1))


def calibrated(market: Market, weight: float) -> Floats:
    """Steck's greedy re-ranking: slot by slot the most of (1 - w) relevance - w KL(p || q~ of the slate)."""
    rows, chosen = np.arange(len(market.relevance)), []
    sums, free = np.zeros_like(market.watched), np.zeros_like(market.relevance)
    for slot in range(SLOTS):
        shares = (sums[:, None] + market.parts) / (slot + 1)
        far = divergence(market.watched[:, None], shares)
        chosen.append(((1 - weight) * market.relevance - weight * far + free).argmax(axis=1))
        free[rows, chosen[-1]] = -np.inf
        sums += market.parts[rows, chosen[-1]]
    return whole(np.stack(chosen, axis=1), CANDIDATES)


def xquad(market: Market, weight: float) -> Floats:
    """xQuAD: (1 - w) relevance + w sum over genres of p(g|u) p(g|i) prod over chosen films of (1 - p(g|j))."""
    rows, chosen = np.arange(len(market.relevance)), []
    uncovered, free = market.watched.copy(), np.zeros_like(market.relevance)
    for _ in range(SLOTS):
        new = np.einsum("ung,ug->un", market.parts, uncovered)
        chosen.append(((1 - weight) * market.relevance + weight * new + free).argmax(axis=1))
        free[rows, chosen[-1]] = -np.inf
        uncovered *= 1 - market.parts[rows, chosen[-1]]
    return whole(np.stack(chosen, axis=1), CANDIDATES)


def rules(market: Market) -> list[Row]:
    """The top 10 and the greedy rules."""
    top = np.tile(np.arange(SLOTS), (len(market.relevance), 1))
    rows = [Row("top 10", None, whole(top, CANDIDATES), 0.0)]
    for method, rule in (("Steck, lambda", calibrated), ("xQuAD, lambda", xquad)):
        for weight in LAMBDAS:
            started = time.perf_counter()
            x = rule(market, weight)
            rows.append(Row(method, weight, x, time.perf_counter() - started))
    return rows + [best_slates(market, weight) for weight in LAMBDAS]


def targets(market: Market, by: tuple[str, ...]) -> dict[Any, float]:
    """Slots of every group where slates have the genres of history, {label: slots}; by is (), or a key of users."""
    groups: dict[str, Any] = {"segment": market.segments, "who": range(len(market.watched))}
    of = groups.get(by[0] if by else "")
    out: dict[Any, float] = {}
    smooth = (1 - SMOOTHING) * market.watched + SMOOTHING / len(market.genres)  # targets are positive
    for u, shares in enumerate(SLOTS * smooth):
        for genre, slots in zip(market.genres, shares, strict=True):
            label = genre if of is None else (of[u], genre)
            out[label] = out.get(label, 0.0) + float(slots)
    return {label: out[label] for label in market.candidates.groups((*by, "genres"))}


def sweep(market: Market, by: tuple[str, ...], slate: oa.Slate, weights: tuple[float, ...]) -> oa.Frontier:
    """Relevance less the divergence of the slots' genres from those of history, per group of `by`, at each weight."""
    slots = float(SLOTS * len(market.relevance))
    far = oa.kl(oa.total("part", by=(*by, "genres")), targets(market, by), total=slots)
    problem = oa.Problem(market.candidates, oa.total("relevance") - slots * far.named("far"), [], slate)
    return oa.frontier(problem, vary="far", points=weights, scale=True, gap=GAP)


def best_slates(market: Market, weight: float) -> Row:
    """The best whole slates found for what Steck's rule aims at: (1 - w) relevance - w KL(p || q~ of the slate)."""
    started = time.perf_counter()
    known = market.candidates.groups(("who", "genres"))
    number = {genre: k for k, genre in enumerate(market.genres)}
    goal = {label: max(float(market.watched[label[0], number[label[1]]]), NO_SHARE) for label in known}
    every = sum(goal.values())  # about the users: a genre that none of a user's candidates has is left out
    far = oa.kl(oa.total("part", by=("who", "genres")), goal, total=SLOTS * every, smoothing=SMOOTHING)
    objective = oa.total("relevance") - weight / (1 - weight) * every * far
    solution = oa.solve(oa.Problem(market.candidates, objective, slate=oa.Slate(SLOTS)), gap=GAP)
    slates = solution.best_slates()
    x = np.zeros(market.relevance.size)
    row = market.candidates.row
    assert row is not None  # made from a frame
    x[row[slates.pairs]] = 1.0
    gap = (solution.bound - slates.value) / max(abs(solution.bound), abs(slates.value))
    return Row("best slates, lambda", weight, x.reshape(market.relevance.shape), time.perf_counter() - started, gap)


def aim(market: Market, row: Row, weight: float) -> Floats:
    """What Steck's rule aims at, (n_users,), at the whole slates of a row."""
    shares = np.einsum("un,ung->ug", row.x, market.parts) / SLOTS
    relevance: Floats = (row.x * market.relevance).sum(axis=1)
    return (1 - weight) * relevance - weight * divergence(market.watched, shares)


def programs(market: Market, weights: tuple[float, ...]) -> list[Row]:
    """Calibration as a concave program, swept by `oa.frontier`; then bands, and rules of slates."""
    cands, relevance, everybody = market.candidates, oa.total("relevance"), len(market.relevance)
    kept = oa.Slate(SLOTS, keep={"relevance": KEPT})
    rows = []
    curves = [  # a share that is kept couples nobody: batches of users make the same optimum, sooner
        ("KL of all users, weight", (), oa.Slate(SLOTS), everybody),
        ("KL by segment, weight", ("segment",), oa.Slate(SLOTS), everybody),
        ("KL by user, weight", ("who",), oa.Slate(SLOTS), everybody),
        (f"KL by user, {KEPT:.0%} kept, weight", ("who",), kept, BATCH),
    ]
    for method, by, slate, size in curves:
        batches = market.batches(size)
        swept = [sweep(batch, by, slate, weights).solutions for batch in batches]
        for w, solutions in zip(weights, zip(*swept, strict=True), strict=True):
            x = np.concatenate([batch.allocation(one) for batch, one in zip(batches, solutions, strict=True)])
            value, bound = sum(one.value for one in solutions), sum(one.bound for one in solutions)
            seconds = sum(one.seconds for one in solutions)
            rows.append(Row(method, w, x, seconds, (bound - value) / max(1.0, abs(bound))))
    shown = oa.total("part", by=("segment", "genres"))
    low, high = ({g: b * t for g, t in targets(market, ("segment",)).items()} for b in BAND)
    bands = [oa.soft(shown >= low, penalty=PENALTY), (shown <= high).named("at most")]
    single: list[tuple[str, float | None, oa.Slate, list[Any]]] = [("bands by segment", None, oa.Slate(SLOTS), bands)]
    single += [("diminishing, step", step, oa.Slate(SLOTS, diminishing={"genres": step}), []) for step in STEPS]
    single += [(f"at most {MOST} of a genre", None, oa.Slate(SLOTS, at_most={"genres": MOST}), [])]
    for method, knob, slate, demands in single:
        solution = oa.solve(oa.Problem(cands, relevance, demands, slate), gap=GAP)
        solution.raise_if_infeasible()
        rows.append(Row(method, knob, market.allocation(solution), solution.seconds, solution.gap))
    return rows


def judge(market: Market, row: Row, top: Floats) -> dict[str, Any]:
    """What a row of the table says, all from x alone but for the gap and the seconds.

    A mixture of slates may have the right genres where none of its slates has: "drawn" is of whole slates.
    """
    shares = np.einsum("un,ung->ug", row.x, market.parts) / SLOTS
    rng = np.random.default_rng(2018)
    slates = [np.einsum("un,ung->ug", drawn(row.x, rng), market.parts) / SLOTS for _ in range(DRAWS)]
    has = (market.parts > 0).astype(float)
    common, each = has @ has.transpose(0, 2, 1), has.sum(axis=2)
    apart = 1 - common / np.maximum(each[:, :, None] + each[:, None] - common, 1)  # Jaccard distance of genres
    both = row.x[:, :, None] * row.x[:, None] * (1 - np.eye(CANDIDATES))
    had = (row.x * market.relevance).sum(axis=1)
    return {
        "": row.method if row.knob is None else f"{row.method} {row.knob:g}",
        "relevance": float(had.sum() / top.sum()),
        "worst user": float((had / top).min()),
        "nDCG@10": ndcg(row.x, market.later, market.n_later, SLOTS),
        "KL, users": float(divergence(market.watched, shares).mean()),
        "KL, drawn": float(np.mean([divergence(market.watched, one).mean() for one in slates])),
        "KL, market": float(divergence(market.watched.mean(axis=0), shares.mean(axis=0))),
        "diversity": float(((both * apart).sum(axis=(1, 2)) / both.sum(axis=(1, 2))).mean()),
        "gap": row.gap,
        "seconds": row.seconds,
    }


def run(
    folder: Path, n_users: int | None = None, weights: tuple[float, ...] = WEIGHTS
) -> tuple[Market, list[Row], list[dict[str, Any]]]:
    """Everything but the figure; prints the table."""
    market = market_of(folder, n_users)
    print(f"{market.candidates!r}\n{market.n_later.sum():,} later ratings, {len(set(market.segments))} segments\n")
    rows = rules(market) + programs(market, weights)
    top = (rows[0].x * market.relevance).sum(axis=1)
    judged = [judge(market, row, top) for row in rows]
    forms = ["", ".1%", ".1%", ".4f", ".3f", ".3f", ".4f", ".3f", ".0e", ".2f"]
    print_table(list(judged[0]), [list(line.values()) for line in judged], forms)
    return market, rows, judged


def draw(rows: list[Row], judged: list[dict[str, Any]], out: Path) -> None:
    """Relevance kept against what it was given up for."""
    x = {
        name: f"{name}: of history from slates, the left is better" for name in ("KL, users", "KL, drawn", "KL, market")
    }
    draw_curves([row.method for row in rows], judged, x, out)


def main(argv: list[str] | None = None) -> int:
    """Find the data, run, draw; the exit code is 0, or 2 without data."""

    def run_and_draw(folder: Path, n_users: int | None, out: Path) -> None:
        _, rows, judged = run(folder, n_users)
        draw(rows, judged, out)

    return command(argv, "movielens-small", "events", "calibrated_genres.png", run_and_draw)


if __name__ == "__main__":
    sys.exit(main())
