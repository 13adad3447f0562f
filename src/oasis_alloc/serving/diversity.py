"""Diversity of one slate by the vectors of its items: by which method, with which vectors, under the slate's rules."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.errors import InputError
from oasis_alloc.pickling import ByFields
from oasis_alloc.serving.data import Floats, Integers
from oasis_alloc.serving.prepared import Prepared

if TYPE_CHECKING:
    from oasis_alloc.serving.requests import Request, User
    from oasis_alloc.serving.scorer import Scorer
    from oasis_alloc.serving.selection import Picked, Selector, Wishes

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MMR:
    """Maximal marginal relevance: every pick has the most `(1 - diversity) * score - diversity * similarity`.

    Parameters
    ----------
    diversity
        From 0, scores alone, to 1, vectors alone. The two are weighed as they are: scores far from [0, 1] need another
        number.

    Notes
    -----
    The score is the priced score less the decrements that the item's categories are at; the similarity is the largest
    cosine with a pick so far, 0 where that is negative. The first pick has the highest score. Carbonell and Goldstein,
    "The use of MMR", SIGIR 1998. Without prices, rules and decrements the slates are those of pyversity.

    Raises
    ------
    InputError
        If `diversity` is not in [0, 1].

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.MMR(0.3)
    MMR(diversity=0.3)
    """

    diversity: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "diversity", _share(self.diversity, "MMR"))


@dataclass(frozen=True)
class DPP:
    """Greedy MAP of a determinantal point process: every pick adds most to the determinant of the picks' kernel.

    Parameters
    ----------
    diversity
        From 0, scores alone, to 1, vectors alone.
    window
        How many of the last picks a pick is compared with, at least 1; None for all.
    scale
        What standard scores count, > 0.

    Notes
    -----
    The kernel is `L_ij = w_i w_j cos(i, j)` with `w = exp((1 - diversity) * scale * z)`, z the score less the mean of
    the candidates' scores over their standard deviation: prices count by how they change that order, not in their own
    unit. Where no candidate adds anything, the rest follow by score. Chen, Zhang and Zhou, "Fast greedy MAP inference
    for determinantal point processes", NeurIPS 2018. Without prices, rules and a window the slates are those of
    pyversity.

    Raises
    ------
    InputError
        For numbers out of their range.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.DPP(0.3, window=5)
    DPP(diversity=0.3, window=5, scale=1.0)
    """

    diversity: float = 0.5
    window: int | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "diversity", _share(self.diversity, "DPP"))
        window, scale = self.window, self.scale
        if window is not None and not (isinstance(window, Integral) and not isinstance(window, bool) and window >= 1):
            raise InputError(f"DPP(window={window!r}): expected a whole number of picks, at least 1, or None for all.")
        if not isinstance(scale, Real) or isinstance(scale, bool) or not 0 < float(scale) < np.inf:
            raise InputError(f"DPP(scale={scale!r}): expected a finite number > 0.")


Diversify: TypeAlias = MMR | DPP


class Embeddings(ByFields):
    """Vectors of all items of a policy, by item number, made unit vectors once and used for many requests.

    Parameters
    ----------
    vectors
        (n_items, d) finite numbers; kept as float32. Rows of zeros are like nothing else.

    Raises
    ------
    InputError
        For another shape, or for numbers that are not finite, with the row.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.Embeddings([[3.0, 4.0], [0.0, 0.0]])
    Embeddings(2 items, 2 dimensions)
    """

    def __init__(self, vectors: npt.ArrayLike) -> None:
        self.rows = _unit_rows(vectors, None)  # and one more, of zeros, for items that were never seen
        self.n_items, self.dimensions = self.rows.shape[0] - 1, self.rows.shape[1]

    def __repr__(self) -> str:
        return f"Embeddings({self.n_items:,} items, {self.dimensions:,} dimensions)"


def diversified(
    selector: Selector, request: Request, scores: Floats, wishes: Wishes, rule: object, embeddings: object
) -> Picked:
    """The slate for these scores by a diversity rule; see `Policy.select`."""
    from oasis_alloc.serving.selection import Picked, check_pinned

    keep = selector.data.slate.keep
    kernel, options = _kernel(checked(rule), keep is not None)
    n = scores.size
    rows, place = _placed(embeddings, request.items, selector.data.n_items)
    if kernel is None:
        return selector.pick(request, scores, wishes)
    rules, stairs = selector.rules_for(request), selector.stairs(wishes.k)
    of_item = selector.formula.of_item if request.local is None else request.local.of_item
    if wishes.excluded.size:
        scores = scores.copy()
        scores[wishes.excluded] = -np.inf
    k = min(wishes.k, n)
    out, marginal = np.empty(max(k, 1), np.int64), np.empty(max(k, 1))
    out[: wishes.pinned.size] = wishes.pinned
    kept: tuple[Any, ...] = ()
    if keep is not None:
        kept = request.columns[selector.data.columns.index(keep[0])].copy(), stairs.flat, keep[1]
    m = kernel(
        n, scores, request.key, of_item, rules.array, stairs.cost, np.zeros(rules.system.size, np.int64),
        wishes.pinned.size, k, min(wishes.least, k), wishes.floor, rows, place, *options, out, marginal, *kept,
    )  # fmt: skip
    check_pinned(marginal, wishes, selector.data.slate)
    return Picked(out[:m], marginal[:m])


class PreparedDiverse(Prepared):
    """Buffers of one thread whose `select` goes by a diversity rule; see `Policy.prepare`."""

    __slots__ = ("_diverse", "_options", "_rows", "_to_keep")

    def __init__(self, scorer: Scorer, most: int, k: int | None, rule: Diversify, embeddings: object) -> None:
        super().__init__(scorer, most, k)
        keeps = self._kept >= 0
        self._diverse, self._options = _kernel(rule, keeps)
        self._to_keep: tuple[Any, ...] = (self.columns[self._kept], self._flat, self._share) if keeps else ()
        if not isinstance(embeddings, Embeddings):
            kind = type(embeddings).__name__
            raise InputError(f"embeddings is {kind}; expected oa.Embeddings of the policy's items.")
        self._rows, _ = _placed(embeddings, self.items, scorer.data.n_items)

    def select(self, n: int, user: User) -> int:
        if self._diverse is None:
            return super().select(n, user)
        if n > self._most or user.owner is not self._owner:
            self._refuse(n)
        k = min(self._k, user.size, n)
        self._score(n, self.items, self.columns, self._blend, self._of_item, user.table, self.scores)
        found: int = self._diverse(
            n, self.scores, self.items, self._of_item, self._rules, self._stairs, self._counts, 0, k,
            min(user.at_least, k), 0.0, self._rows, self.items, *self._options, self.positions, self.marginal,
            *self._to_keep,
        )  # fmt: skip
        return found


def prepared(scorer: Scorer, most: int, k: int | None, rule: object, embeddings: object) -> PreparedDiverse:
    """Buffers for a diversity rule under the slate's rules; see `Policy.prepare`."""
    return PreparedDiverse(scorer, most, k, checked(rule), embeddings)


def checked(rule: object) -> Diversify:
    """The rule, or `InputError` where it is none."""
    if not isinstance(rule, MMR | DPP):
        raise InputError(f"diversify={rule!r}: expected oa.MMR(...), oa.DPP(...) or None.")
    return rule


def _kernel(rule: Diversify, keeps: bool) -> tuple[Any, tuple[Any, ...]]:
    """(kernel, its own arguments) of a rule; None where slates that keep a share are those of the scores."""
    from oasis_alloc.kernels import diverse_keep, diversify, diversify_window

    if keeps and rule.diversity == 0.0:
        return None, ()
    if isinstance(rule, MMR) or rule.diversity == 0.0:
        return (diverse_keep if keeps else diversify).mmr, (float(rule.diversity),)
    beta = (1.0 - rule.diversity) * float(rule.scale)
    if rule.window is None:
        return (diverse_keep if keeps else diversify).dpp, (beta,)
    return (diverse_keep if keeps else diversify_window).dpp_window, (beta, int(rule.window))


def _placed(embeddings: object, items: Integers, n_items: int) -> tuple[Singles, Integers]:
    """(unit rows, the row of each candidate); the last row is of zeros."""
    if isinstance(embeddings, Embeddings):
        if embeddings.n_items != n_items:
            raise InputError(f"embeddings: vectors of {embeddings.n_items:,} items; the policy has {n_items:,}.")
        return embeddings.rows, items
    if embeddings is None:
        raise InputError("embeddings: needed with diversify=; expected oa.Embeddings, or one vector a candidate.")
    return _unit_rows(embeddings, items.size), np.arange(items.size)


def _unit_rows(vectors: object, n: int | None) -> Singles:
    """Vectors as unit rows in float32, and a row of zeros."""
    try:
        with np.errstate(over="ignore"):  # what is no float32 is found below
            given = np.asarray(vectors, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"embeddings: not an array of numbers ({error}).") from None
    if given.ndim != 2 or given.shape[1] == 0 or (n is not None and given.shape[0] != n):
        expected = "(n_items, d)" if n is None else f"({n}, d), one vector a candidate"
        raise InputError(f"embeddings has shape {given.shape}; expected {expected}.")
    rows = np.zeros((given.shape[0] + 1, given.shape[1]), np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", given, given, dtype=np.float64))
    if not np.isfinite(length).all():
        raise InputError(f"embeddings: row {int(np.argmin(np.isfinite(length)))} is not finite; expected numbers.")
    length[length == 0.0] = 1.0
    np.divide(given, length[:, None], out=rows[:-1], casting="same_kind")
    return rows


def _share(given: object, name: str) -> float:
    if not isinstance(given, Real) or isinstance(given, bool) or not 0 <= float(given) <= 1:
        raise InputError(f"{name}(diversity={given!r}): expected a number from 0 to 1.")
    return float(given)
