"""Programs of `shapes.py` as matrices that other solvers read, and a judge of answers in plain NumPy.

    maximize  v'a + w sum_g log((E a)_g)   subject to   lower <= R a <= upper,   slates,   a = sum_j d_j y_j

`a` (n_pairs,) is the attention that pairs get. Without slot weights there is one copy y = a. With weights of slots that
fall by d_j after slot j, copy j has at most j slots of each user: these copies give the attention of all orderings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

import oasis_alloc as oa
from benchmarks.shape_markets import SIZE, Given
from benchmarks.shapes import SHAPES, stated

Floats = np.ndarray


class Linear(NamedTuple):
    """maximize gain'y + weight sum log(curved y), row_lower <= matrix y <= row_upper, 0 <= y <= most."""

    gain: Floats
    matrix: sp.csc_array
    row_lower: Floats
    row_upper: Floats
    most: Floats
    curved: sp.csr_array | None
    weight: float


@dataclass(frozen=True, eq=False)
class Model:
    """One program as arrays; every user has `degree` pairs.

    `rows` (m, n_pairs) are the limits on attention. `linked` (m, n_pairs) and `link` (m, m) say the same limits
    sparsely where they are shares of a common total: rows = link @ linked. `weights` are those of the slots.
    """

    users: int
    degree: int
    value: Floats
    rows: sp.csr_array
    lower: Floats
    upper: Floats
    weights: Floats
    link: sp.csr_array | None = None
    linked: sp.csr_array | None = None
    curved: sp.csr_array | None = None
    weight: float = 0.0

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return self.users * self.degree

    @property
    def falls(self) -> list[tuple[float, int]]:
        """(d_j, j): by how much the weight falls after slot j, where it does."""
        drop = self.weights - np.append(self.weights[1:], 0.0)
        return [(float(drop[j]), int(j) + 1) for j in np.flatnonzero(drop > 1e-12)]

    def linear(self) -> Linear:
        """The program in copies of the pairs, and one more variable per linked total."""
        falls, n = self.falls, self.pairs
        drops = np.array([drop for drop, _ in falls])
        slates = sp.csr_array((np.ones(n), np.arange(n), np.arange(0, n + 1, self.degree)), shape=(self.users, n))
        slots = np.repeat([float(j) for _, j in falls], self.users)
        copied = sp.kron(sp.csr_array(drops[None, :]), self.rows if self.linked is None else self.linked, "csr")
        filled = sp.block_diag([slates] * len(falls), "csr")
        lower, upper, extra = [np.full(slots.size, -np.inf)], [slots], 0
        if self.linked is None or self.link is None:
            matrix = sp.csc_array(sp.vstack([filled, copied]))
        else:
            extra = self.linked.shape[0]
            own = -sp.csr_array(sp.eye_array(extra))
            parts: list[list[sp.csr_array | None]] = [[filled, None], [copied, own], [None, self.link]]
            matrix = sp.csc_array(sp.block_array(parts))
            lower.append(np.zeros(extra))
            upper.append(np.zeros(extra))
        return Linear(
            gain=np.append(np.kron(drops, self.value), np.zeros(extra)),
            matrix=matrix,
            row_lower=np.concatenate([*lower, self.lower]),
            row_upper=np.concatenate([*upper, self.upper]),
            most=np.append(np.ones(n * len(falls)), np.full(extra, np.inf)),
            curved=None if self.curved is None else sp.csr_array(sp.kron(drops[None, :], self.curved)),
            weight=self.weight,
        )

    def attention(self, y: Floats) -> Floats:
        """`a` from the copies that a solver gave back, each clipped to [0, 1]."""
        drops = np.array([drop for drop, _ in self.falls])
        return np.asarray(drops @ np.clip(y[: drops.size * self.pairs], 0.0, 1.0).reshape(drops.size, -1))

    def judge(self, a: Floats) -> tuple[float, float]:
        """(value, violation) of an attention, from any solver.

        The violation is the largest of excess over max(|limit|, sum of absolute parts of the row), over all limits;
        among them are those of slates: the k largest of a user are at most the sum of the first k slot weights.
        """
        value = float(self.value @ a)
        if self.curved is not None:
            with np.errstate(divide="ignore"):
                value += self.weight * float(np.log(self.curved @ a).sum())
        total, size = self.rows @ a, abs(self.rows) @ a
        worst = 0.0
        for excess, limit in ((total - self.upper, self.upper), (self.lower - total, self.lower)):
            has = np.isfinite(limit)
            scale = np.maximum(np.abs(limit[has]), size[has])
            worst = max(worst, float(np.max(excess[has] / np.maximum(scale, 1e-300), initial=0.0)))
        best = -np.sort(-a.reshape(self.users, self.degree), axis=1)
        room = np.cumsum(np.append(self.weights, np.zeros(self.degree - self.weights.size)))
        return value, max(worst, float(np.max((np.cumsum(best, axis=1) - room) / room, initial=0.0)))


class Kind(NamedTuple):
    """A program: as stated to us, and as arrays for the others."""

    problem: Callable[[Given], oa.Problem]
    model: Callable[[Given], Model]


def _totals(given: Given, group: np.ndarray, n: int) -> sp.csr_array:
    """(n, n_pairs): the exposure of every group."""
    pairs = given.cands.n_pairs
    return sp.csr_array((np.ones(pairs), (group, np.arange(pairs))), shape=(n, pairs))


def _by(given: Given, key: str) -> np.ndarray:
    return np.asarray(np.asarray(given.cands.items[key].codes)[given.cands.item])


def _model(given: Given, *more: tuple[sp.csr_array, Floats, Floats]) -> Model:
    """Caps per campaign, and further (rows, lower, upper)."""
    caps = given.caps
    parts = [(_totals(given, _by(given, "campaign"), caps.size), np.full(caps.size, -np.inf), caps), *more]
    return Model(
        users=given.cands.n_users,
        degree=given.cands.n_pairs // given.cands.n_users,
        value=np.asarray(given.cands.columns["value"], float),
        rows=sp.csr_array(sp.vstack([part[0] for part in parts])),
        lower=np.concatenate([part[1] for part in parts]),
        upper=np.concatenate([part[2] for part in parts]),
        weights=np.ones(SIZE),
    )


def _at_most(given: Given, fine: np.ndarray, limit: float) -> tuple[sp.csr_array, Floats, Floats]:
    """At most so much of every group; groups with too few pairs to exceed it are left out, as a presolve would."""
    _, group, counts = np.unique(fine, return_inverse=True, return_counts=True)
    rows = _totals(given, group, counts.size)[counts > limit]
    return rows, np.full(rows.shape[0], -np.inf), np.full(rows.shape[0], limit)


def _owner(given: Given, of_user: np.ndarray, key: str) -> np.ndarray:
    """A number of the group (owner of the pair's user, label of its item)."""
    degree = given.cands.n_pairs // given.cands.n_users
    return np.asarray(np.repeat(of_user, degree) * given.cands.items[key].n_groups + _by(given, key))


def _frequency(given: Given) -> Model:
    person = np.asarray(given.cands.users["person"].codes)
    return _model(given, _at_most(given, _owner(given, person, "campaign"), 1.0))


def _crossing(given: Given) -> Model:
    users = np.arange(given.cands.n_users)
    return _model(
        given, *(_at_most(given, _owner(given, users, key), n) for key, n in (("artist", 1.0), ("genre", 2.0)))
    )


def _keep(given: Given) -> Model:
    relevance = np.asarray(given.cands.columns["relevance"], float)
    users, pairs = given.cands.n_users, relevance.size
    best = np.sort(relevance.reshape(users, -1), axis=1)[:, -SIZE:].sum(axis=1)
    rows = sp.csr_array((relevance, np.arange(pairs), np.arange(0, pairs + 1, pairs // users)), shape=(users, pairs))
    return _model(given, (rows, 0.95 * best, np.full(users, np.inf)))


def _floors_and_shares(given: Given) -> Model:
    """The shares once with all pairs in every row, for the judge, and once through the totals of licensors."""
    plain, n = _model(given), given.caps.size
    by_licensor = _totals(given, _by(given, "licensor"), 4)
    share = sp.csr_array(np.eye(4) - 0.27)
    linked = sp.csr_array(sp.vstack([plain.rows, by_licensor]))
    link = sp.csr_array(sp.block_diag([sp.eye_array(n), share]))
    return Model(
        **{name: getattr(plain, name) for name in ("users", "degree", "value", "weights")},
        rows=sp.csr_array(link @ linked),
        lower=np.append(given.floors, np.full(4, -np.inf)),
        upper=np.append(given.caps, np.zeros(4)),
        link=link,
        linked=linked,
    )


def _with_floors_and_shares(given: Given) -> oa.Problem:
    floors = (oa.exposure(by="campaign") >= given.floors).named("floors")
    return stated(given, floors, (oa.exposure(by="licensor") <= 0.27 * oa.exposure()).named("shares"))


def _fairness(given: Given) -> float:
    return 0.02 * given.slots / given.n_artists


def _log(given: Given) -> Model:
    plain = _model(given)
    by_artist = _totals(given, _by(given, "artist"), given.n_artists)
    return Model(**{**vars(plain), "curved": by_artist, "weight": _fairness(given)})


def _slot_weights(given: Given) -> Model:
    return Model(**{**vars(_model(given)), "weights": np.linspace(1.0, 0.1, SIZE)})


KINDS = {
    "caps": Kind(SHAPES["caps"], _model),
    "floors and shares": Kind(_with_floors_and_shares, _floors_and_shares),
    "frequency": Kind(SHAPES["frequency"], _frequency),
    "keep": Kind(SHAPES["keep"], _keep),
    "crossing": Kind(SHAPES["crossing"], _crossing),
    "slot weights": Kind(SHAPES["slot weights"], _slot_weights),
    "log fairness": Kind(
        lambda given: stated(given, more=_fairness(given) * oa.log(oa.exposure(by="artist"), offset=0.0)), _log
    ),
}
"""The programs that other solvers can state; log fairness takes a conic one."""
