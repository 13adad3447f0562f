"""Diversity of one slate by the vectors of its items, under the slate's rules: methods and vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import all_same
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.request.prepared import Prepared
from oasis_alloc.serving.schema import shown

if TYPE_CHECKING:
    from oasis_alloc.serving.request.reader import Request, User
    from oasis_alloc.serving.request.scorer import Scorer
    from oasis_alloc.serving.request.selection import Picked, Selector, SlateRequest

Singles = npt.NDArray[np.float32]


@suggesting
@dataclass(frozen=True)
class MMR:
    """Maximal marginal relevance: every pick maximizes `(1 - diversity) * score - diversity * similarity`.

    Parameters
    ----------
    diversity
        From 0 (only scores) to 1 (only vectors). Scores and similarities are not rescaled: scores far from [0, 1] need
        another number.

    Notes
    -----
    The score is the priced score minus the current decrements of the item's categories; the similarity is the largest
    cosine with an item picked so far, or 0 if that is negative. The first pick has the highest score. Carbonell and
    Goldstein, "The use of MMR", SIGIR 1998. Without prices, rules and decrements the slates are those of pyversity.

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


@suggesting
@dataclass(frozen=True)
class DPP:
    """Greedy MAP of a determinantal point process: every pick maximizes the determinant of the picks' kernel.

    Parameters
    ----------
    diversity
        From 0 (only scores) to 1 (only vectors).
    window
        Number of latest picks that a candidate is compared with, at least 1; None for all.
    scale
        Factor of the standardized scores, > 0.

    Notes
    -----
    The kernel is `L_ij = w_i w_j cos(i, j)` with `w = exp((1 - diversity) * scale * z)`, z the score minus the mean of
    the candidates' scores, divided by their standard deviation: prices matter through this standardized score, not in
    their own unit. If no candidate increases the determinant, the rest follow by score. Chen, Zhang and Zhou, "Fast
    greedy MAP inference for determinantal point processes", NeurIPS 2018. Without prices, rules and a window the slates
    are those of pyversity.

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
        if window is not None and ((whole := as_whole(window)) is None or whole < 1):
            raise InputError(
                f"DPP(window={shown(window)}): expected a whole number of picks, at least 1, or None for all."
            )
        real = as_real(scale)
        if real is None or not 0 < real < np.inf:
            raise InputError(f"DPP(scale={shown(scale)}): expected a finite number > 0.")


Diversify: TypeAlias = MMR | DPP


@suggesting
class Embeddings(ByFields):
    """Vectors of all items of a policy, normalized once and used for many requests.

    Parameters
    ----------
    vectors
        Finite numbers, kept as float32: (n_items, d) in the order of the item numbers; or by the items' ids, as
        `{id: vector}` or as a pandas DataFrame whose index has the ids and whose rows are the vectors. Rows of zeros,
        and items without a vector, have similarity 0 to all items.

    Raises
    ------
    InputError
        For another shape, or for numbers that are not finite, with the row. At first use: if the number of vectors is
        not the number of items of the policy, or if none of the ids is an item of the policy.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.Embeddings([[3.0, 4.0], [0.0, 0.0]])
    Embeddings(2 items, 2 dimensions)
    """

    def __init__(self, vectors: npt.ArrayLike) -> None:
        self._ids, given = _by_id(vectors)
        self.rows = _unit_rows(given, None)  # and one row of zeros, for items that were not in the solve
        self.n_items, self.dimensions = self.rows.shape[0] - 1, self.rows.shape[1]
        self._placed: tuple[object, Singles] | None = None

    def of_items(self, data: PolicyData) -> Singles:
        """(n_items + 1, d) unit rows by item number of a policy, and a row of zeros."""
        if self._ids is None:
            if self.n_items != data.n_items:
                raise InputError(f"embeddings: vectors of {self.n_items:,} items; the policy has {data.n_items:,}.")
            return self.rows
        known, placed = (data.items if data.items is not None else data.n_items), self._placed
        if placed is not None and placed[0] is known:
            return placed[1]
        place = {one: row for row, one in enumerate(self._ids)}
        ids = range(data.n_items) if data.items is None else data.items
        order = np.fromiter((place.get(one, -1) for one in all_same(ids)), np.int64, data.n_items)
        if data.n_items and order.max() < 0:
            first = next(iter(ids))
            raise InputError(
                f"embeddings: none of the {self.n_items:,} ids, such as {self._ids[:1]!r}, is an item of the policy, "
                f"such as {first!r}; expected vectors by the items' ids, or (n_items, d) in the order of their numbers."
            )
        rows: Singles = self.rows[np.append(order, -1)]
        self._placed = known, rows
        return rows

    def __repr__(self) -> str:
        return f"Embeddings({self.n_items:,} items, {self.dimensions:,} dimensions)"


def diversified(
    selector: Selector, request: Request, scores: Floats, slate_request: SlateRequest, rule: object, embeddings: object
) -> Picked:
    """The slate for these scores by a diversity rule; see `Policy.select`."""
    from oasis_alloc.serving.request.selection import Picked, check_pinned

    keep = selector.data.slate.keep
    kernel, option = _kernel(checked(rule), keep is not None)
    n = scores.size
    rows, place = _placed(embeddings, request.items, selector.data)
    if kernel is None:
        return selector.pick(request, scores, slate_request)
    from oasis_alloc.kernels.serve.slate_args import NO_SHARE

    rules, costs = selector.rules_for(request), selector.category_costs(slate_request.k)
    of_item = selector.formula.of_item if request.local is None else request.local.of_item
    if slate_request.excluded.size:
        scores = scores.copy()
        scores[slate_request.excluded] = -np.inf
    k = slate_request.k
    out, marginal = np.empty(max(k, 1), np.int64), np.empty(max(k, 1))
    out[: slate_request.pinned.size] = slate_request.pinned
    to_keep = NO_SHARE
    if keep is not None:
        to_keep = request.columns[selector.data.columns.index(keep[0])].copy(), costs.flat, keep[1]
    by_category = rules.array, costs.cost, np.zeros(rules.system.size, np.int64)
    fill = slate_request.pinned.size, k, slate_request.min_size, slate_request.floor
    m = kernel(n, (scores, request.key, of_item), by_category, fill, (rows, place), option, (out, marginal), to_keep)
    check_pinned(marginal, slate_request, selector.data.slate)
    return Picked(out[:m], marginal[:m])


class PreparedDiverse(Prepared):
    """Buffers of one thread whose `select` uses a diversity rule; see `Policy.prepare`."""

    __slots__ = ("_diverse", "_option", "_rows", "_share")

    def __init__(self, scorer: Scorer, max_candidates: int, k: int | None, rule: Diversify, embeddings: object) -> None:
        from oasis_alloc.kernels.serve.slate_args import NO_SHARE

        super().__init__(scorer, max_candidates, k)
        self._diverse, self._option = _kernel(rule, self._to_keep is not None)
        if not isinstance(embeddings, Embeddings):
            kind = type(embeddings).__name__
            raise InputError(f"embeddings is {kind}; expected oa.Embeddings of the policy's items.")
        self._rows, _ = _placed(embeddings, self.items, scorer.data)
        self._share = NO_SHARE if self._to_keep is None else self._to_keep

    def select(self, n: int, user: User) -> int:
        if self._diverse is None:
            return super().select(n, user)
        if type(n) is not int or not 0 <= n <= self._max_candidates or user.owner is not self._owner:
            n = self._counted(n, user)
        k = min(self._k, user.size, n)
        self._map(n, user)
        self._score(n, self.items, self.values, self._blend, self._of_item, user.table, self.scores)
        found: int = self._diverse(
            n, (self.scores, self.items, self._of_item), self._rules, (0, k, min(user.at_least, k), 0.0),
            (self._rows, self.items), self._option, (self.positions, self.marginal), self._share,
        )  # fmt: skip
        return found


def prepared(scorer: Scorer, max_candidates: int, k: int | None, rule: object, embeddings: object) -> PreparedDiverse:
    """Buffers for a diversity rule under the slate's rules; see `Policy.prepare`."""
    return PreparedDiverse(scorer, max_candidates, k, checked(rule), embeddings)


def checked(rule: object) -> Diversify:
    """The rule, or `InputError` for anything else."""
    if not isinstance(rule, MMR | DPP):
        raise InputError(
            f"diversify={rule!r}: expected oa.MMR(...), oa.DPP(...) or None; policy.select and no other call takes "
            "oa.TargetShares(...) as well."
        )
    return rule


def _kernel(rule: Diversify, keeps: bool) -> tuple[Any, Any]:
    """(kernel, its own argument) of a rule; None if slates that keep a share are those of the scores."""
    from oasis_alloc.kernels.serve import diversify, diversify_window

    if keeps and rule.diversity == 0.0:
        return None, None
    if isinstance(rule, MMR) or rule.diversity == 0.0:
        return diversify.mmr, float(rule.diversity)
    beta = (1.0 - rule.diversity) * float(rule.scale)
    if rule.window is None:
        return diversify.dpp, beta
    return diversify_window.dpp_window, (beta, int(rule.window))


def _placed(embeddings: object, items: Ints, data: PolicyData) -> tuple[Singles, Ints]:
    """(unit rows, the row of each candidate); the last row is of zeros."""
    if isinstance(embeddings, Embeddings):
        return embeddings.of_items(data), items
    if embeddings is None:
        raise InputError("embeddings: needed with diversify=; expected oa.Embeddings, or one vector per candidate.")
    index = getattr(embeddings, "index", None)
    if isinstance(embeddings, Mapping) or not (
        index is None or callable(index) or list(index) == list(range(items.size))
    ):
        raise InputError(
            f"embeddings is {type(embeddings).__name__} with labels; expected ({items.size}, d) numbers, one vector "
            "per candidate, such as frame.to_numpy(). For vectors by item id, use oa.Embeddings."
        )
    return _unit_rows(embeddings, items.size), np.arange(items.size)


def _by_id(vectors: Any) -> tuple[list[Any] | None, Any]:
    """(ids, vectors); ids are None if the vectors are by item number."""
    ids: list[Any] | None = None
    if isinstance(vectors, Mapping):
        ids, vectors = list(vectors), list(vectors.values())
    elif hasattr(vectors, "columns") and getattr(vectors, "index", None) is not None:
        ids, vectors = list(vectors.index), vectors.to_numpy()
    if ids is None:
        return None, vectors
    looked_up = all_same(ids)
    if len(set(looked_up)) < len(ids):
        twice = Counter(looked_up).most_common(1)[0][0]
        raise InputError(f"embeddings: the id {twice!r} appears twice; expected one vector per item.")
    return looked_up, vectors


def _unit_rows(vectors: object, n: int | None) -> Singles:
    """Vectors as unit rows in float32, and a row of zeros."""
    try:
        with np.errstate(over="ignore"):  # overflow in float32 is found below
            given = np.asarray(vectors)
            if given.dtype.kind not in "iufO":
                raise TypeError(f"dtype {given.dtype}")
            given = given.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"embeddings: not an array of numbers ({error}).") from None
    if given.ndim != 2 or given.shape[1] == 0 or (n is not None and given.shape[0] != n):
        expected = "(n_items, d)" if n is None else f"({n}, d), one vector per candidate"
        raise InputError(f"embeddings has shape {given.shape}; expected {expected}.")
    rows = np.zeros((given.shape[0] + 1, given.shape[1]), np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", given, given, dtype=np.float64))
    if not np.isfinite(length).all():
        raise InputError(f"embeddings: row {int(np.argmin(np.isfinite(length)))} is not finite; expected numbers.")
    length[length == 0.0] = 1.0
    np.divide(given, length[:, None], out=rows[:-1], casting="same_kind")
    return rows


def _share(given: object, name: str) -> float:
    share = as_real(given)
    if share is None or not 0 <= share <= 1:
        raise InputError(f"{name}(diversity={shown(given)}): expected a number from 0 to 1.")
    return share
