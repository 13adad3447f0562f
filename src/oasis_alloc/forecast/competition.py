"""The pairs of one group, the slots that it did not get, and which labels got them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import Labels, place_of
from oasis_alloc.data.grouping import Grouping
from oasis_alloc.errors import ProblemError
from oasis_alloc.solution import Solution


@dataclass(frozen=True)
class Competitor:
    """A label that is shown in place of another one, and how many units of it.

    Every visit in which a group was a candidate and is not shown counts as one unit, which what is shown there instead
    shares. `label` is None for items without a label.

    >>> import oasis_alloc as oa
    >>> oa.Competitor("b", 12.0).units
    12.0
    """

    label: Any
    units: float

    def to_dict(self) -> dict[str, Any]:
        """Label and units, for JSON."""
        return {"label": jsonable(self.label), "units": jsonable(self.units)}


@dataclass(frozen=True, eq=False)
class Contest:
    """Where one group is a candidate, and what it gets there."""

    label: Any
    pairs: npt.NDArray[np.int64]  # of the group
    users: npt.NDArray[np.int64]  # of these pairs
    x: Floats  # of these pairs
    supply: Floats  # weight of the user of each pair
    competitors: tuple[Competitor, ...]  # the largest first

    @property
    def offered(self) -> float:
        """Visits in which the group is a candidate."""
        _, first = np.unique(self.users, return_index=True)
        return float(self.supply[first].sum())

    @property
    def units(self) -> float:
        """What the group gets."""
        return float(self.x @ self.supply)


def all_groups(solution: Solution, by: str | tuple[str, ...]) -> tuple[Grouping, npt.NDArray[Any], npt.NDArray[Any]]:
    """(grouping, positions of pairs, the group of each) of every pair that has a label."""
    candidates = solution.problem.candidates
    if candidates.stream is not None:
        raise ProblemError("the candidates are in files; reasons and competitors need them in memory.")
    grouping = candidates.grouping(by)
    users = np.repeat(np.arange(candidates.n_users), np.diff(candidates.indptr))
    inside, group = grouping.members(grouping.user_part[users], grouping.item_part[candidates.item])
    return grouping, inside, group


def contest(solution: Solution, label: Any, by: str | tuple[str, ...], what: str) -> Contest:
    """The contest for the slots of one label; raises `ProblemError` for a label that is not a group."""
    grouping, inside, group = all_groups(solution, by)
    labels = Labels(grouping.labels)
    g = place_of(label, labels.places, labels, f"{what}: {by}")
    return contest_of(solution, grouping, inside[group == g], g)


def contest_of(solution: Solution, grouping: Grouping, pairs: npt.NDArray[np.int64], g: int) -> Contest:
    """The contest for the slots of one group, whose pairs are known."""
    candidates = solution.problem.candidates
    users = candidates.user_of(pairs)
    x = _shown(solution, pairs)
    supply = solution.problem.supply
    weight = np.ones(users.size) if supply is None else supply[users]
    # the part of each user's slate from which the group is absent
    absent = np.zeros(candidates.n_users)
    absent[users] = 1.0
    np.subtract.at(absent, users, x)
    absent = np.maximum(absent, 0.0)
    if supply is not None:
        absent *= supply
    # each missing showing is shared among what the user is shown instead
    own = np.isin(solution.pairs, pairs, assume_unique=True)
    others, share = solution.pairs[~own], solution.x[~own]
    of_user = candidates.user_of(others)
    instead = np.bincount(of_user, share, candidates.n_users)
    here = absent[of_user] > 0
    others, of_user, share = others[here], of_user[here], share[here]
    share = share * absent[of_user] / instead[of_user]
    at, theirs = grouping.members(grouping.user_part[of_user], grouping.item_part[candidates.item[others]])
    units = np.bincount(theirs, share[at], grouping.n_groups)
    without = float(share.sum()) - float(units.sum()) if grouping.sets is None else 0.0
    units[g] = 0.0
    visit = 1.0 if supply is None else float(np.mean(supply))  # the supply is of any scale
    found = [Competitor(grouping.labels[k], float(units[k])) for k in np.flatnonzero(units > 1e-9 * visit)]
    if without > 1e-6 * visit:
        found.append(Competitor(None, without))
    found.sort(key=lambda one: -one.units)
    return Contest(grouping.labels[g], pairs, users, x, weight, tuple(found))


def _shown(solution: Solution, pairs: npt.NDArray[np.int64]) -> Floats:
    """The probability of some pairs."""
    out = np.zeros(pairs.size)
    if solution.pairs.size:
        place = np.minimum(np.searchsorted(solution.pairs, pairs), solution.pairs.size - 1)
        hit = solution.pairs[place] == pairs
        out[hit] = solution.x[place[hit]]
    return out


def scores_to_beat(solution: Solution) -> tuple[Floats, Floats]:
    """(priced score of every pair, score that a pair of each user has to beat).

    The score to beat is the lowest that the user is shown, where the slate is full, else 0.
    """
    problem = solution.problem
    scores = solution.scores()
    lowest = np.full(problem.candidates.n_users, np.inf)
    of_user = problem.candidates.user_of(solution.pairs)
    np.minimum.at(lowest, of_user, scores[solution.pairs])
    filled = np.bincount(of_user, solution.x, problem.candidates.n_users)
    size = problem.slate.sizes(problem.candidates.indptr)[0]
    is_full = filled >= np.minimum(size, np.diff(problem.candidates.indptr)) - 1e-6
    return scores, np.where(is_full & np.isfinite(lowest), lowest, 0.0)


def shortfalls_of_scores(one: Contest, scores: Floats, beat: Floats) -> Floats:
    """(n_pairs of the group,) by how much more each pair would have to score to be shown, 0 where it is shown.

    Rules of slates may ask for more, so this is a lower bound.
    """
    missing = np.maximum(beat[one.users] - scores[one.pairs], 0.0)
    return np.where(one.x >= 1.0 - 1e-9, 0.0, missing)
