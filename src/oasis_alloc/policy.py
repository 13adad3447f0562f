"""A policy: the prices, weights and rules of a solved problem, ready to score and select one user at a time."""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from oasis_alloc.common.seeds import Rng, as_seed
from oasis_alloc.common.types import ColumnsLike, Floats, Ints, ItemsLike, LabelsLike
from oasis_alloc.serving.batch.batched import Batched
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.explain.explainer import Explainer
from oasis_alloc.serving.explain.explanation import Explanation
from oasis_alloc.serving.explain.score_parts import Ledger
from oasis_alloc.serving.exploration import Exploration
from oasis_alloc.serving.request.diversity import DPP, MMR, Embeddings, diversified, prepared
from oasis_alloc.serving.request.prepared import Prepared
from oasis_alloc.serving.request.reader import User, UserLike
from oasis_alloc.serving.request.sampling import Sample, Sampler
from oasis_alloc.serving.schema import Schema, schema_of

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates


class Policy(Batched):
    """Prices that serve. Made by `solution.policy()` or `Policy.load(path)`; immutable, and safe under threads.

    Item numbers are those of the candidates that were solved for; `encode` turns ids into them. `columns` everywhere is
    `{name: (n,) numbers}` with the columns of `policy.columns`, and `user` is None, a user number of the solve,
    `{key: label}` or what `policy.user(...)` made of it. Items, labels and users that were never seen have no prices.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"relevance": [0.9, 0.5, 0.8, 0.7]}, items={"campaign": ["a", "b"]})
    >>> cap = (oa.exposure(by="campaign") <= {"a": 1.0}).named("cap")
    >>> policy = oa.solve(oa.Problem(cands, oa.total("relevance"), cap, oa.Slate(1))).policy()
    >>> policy.score([0, 1], {"relevance": [0.8, 0.7]}).shape
    (2,)
    """

    def __init__(self, data: PolicyData) -> None:
        super().__init__(data)
        self._reader, self._selector = self._scorer.reader, self._scorer.selector
        self._explainer = Explainer(Ledger(data), self._selector)
        self._sampler = Sampler(self._selector, Exploration.of(data.exploration))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that scoring reads."""
        return self.data.scored

    @cached_property
    def schema(self) -> Schema:
        """What requests bring: columns, and the keys of users and items that the problem had, with their types.

        A key that is here and that no price depends on is ignored and counted, so that a host need not change with
        every policy; one that is not here is refused, with the nearest that is.
        """
        return schema_of(self.data)

    @property
    def ignored_keys(self) -> dict[str, int]:
        """How many calls brought a key of the problem that nothing depends on, by key; shared when it decays."""
        counts: dict[str, int] = self.tally.summary()["ignored_keys"]
        return counts

    def encode(self, ids: LabelsLike) -> Ints:
        """Item numbers of ids, int64, -1 for those that were never seen.

        `ids` is a list, an array or a column of any library; `docs/labels.md` says which ids are equal.

        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, item_ids=["x", "y"])
        >>> oa.solve(oa.Problem(cands, oa.total("r"))).policy().encode(["y", "new"]).tolist()
        [1, -1]
        """
        return self._reader.encode(ids)

    @property
    def mistyped_requests(self) -> int:
        """How many calls brought ids, or labels of a key, none of which is of the kind of the policy's.

        Such as `encode(["12"])` where ids are integers: all of them count as never seen. See `docs/labels.md`.
        """
        count: int = self._reader.tally.summary()["mistyped_requests"]
        return count

    def user(self, /, **labels: Hashable) -> User:
        """A user by their labels, to pass as `user=`: encoded once, used for many requests.

        Keys are those of `schema.user_keys`; those that no price depends on are ignored and counted in `ignored_keys`.
        """
        return self._reader.user(labels)

    def score(
        self,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        out: Floats | None = None,
        **attributes: LabelsLike,
    ) -> Floats:
        """Priced scores of one user's candidates, (n,): what the solver gave the same pairs, bit for bit.

        Parameters
        ----------
        items
            (n,) item numbers, -1 for items that were never seen.
        columns
            `{name: (n,) finite numbers}`.
        user
            See `Policy`.
        out
            (n,) float64, C-contiguous, to write into.
        **attributes
            Labels by key of the items, such as `campaign=[...]`, one per item; keys that are named like an argument, or
            not like a Python name, in a mapping `attributes={key: [...]}`. Used for items that are -1, which then
            pay the prices of their labels. A key of the problem that nothing depends on is ignored, as for users.

        Raises
        ------
        InputError
            For columns that are missing, misaligned or not finite, item numbers out of range, keys that the problem did
            not have, and scores beyond float64.
        """
        return self._scorer.score(items, columns, self.columns, user, attributes, out)[1]

    def boosts(self, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, **attributes: LabelsLike) -> Floats:
        """What to add to a host's own ranking score, (n,): the priced score less the organic column.

        Arguments and errors are those of `score`; `columns` has the organic column as well.
        """
        return self._scorer.boosts(*self._scorer.score(items, columns, self.data.columns, user, attributes))

    def select(
        self,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        k: int | None = None,
        pinned: ArrayLike | None = None,
        exclude: ArrayLike | None = None,
        fill: bool = False,
        diversify: MMR | DPP | None = None,
        embeddings: Embeddings | ArrayLike | None = None,
        **attributes: LabelsLike,
    ) -> Ints:
        """The slate of one user: positions in `items`, int64, best first, under the rules of the problem.

        Parameters
        ----------
        items, columns, user, **attributes
            As in `score`; `columns` has the column that is kept as well, where there is one.
        k
            Slots, by default as many as in the solve, and never more than there are candidates.
        pinned, exclude
            Positions in `items` (or a mask) that are in the slate, first and in this order, and that cannot be. Pinned
            ones count for caps and decrements.
        fill
            Also take what is worth nothing or less, as the solve would not: a slot is filled only by a marginal score
            above 0, or to reach `at_least`.
        diversify
            `oa.MMR(...)` or `oa.DPP(...)`: pick by scores and by how unlike the picks so far an item is, under the same
            rules; where slates keep a share of a column, a pick after which it could not be kept is passed over.
        embeddings
            The vectors for it: `oa.Embeddings` of all items, or (n, d) numbers, one row a candidate.

        Returns
        -------
        array
            Shorter than k where candidates, caps or worth run out. The best slate where every item has one category and
            nest (see docs/serving.md for the others); caps always hold. Ties go by score, then item id.

        Raises
        ------
        InputError
            As `score`; also for an item that comes twice, pinned ones that break a cap, and vectors that do not fit.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [3, 2, 1]}, items={"artist": ["a", "a", "b"]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2, at_most={"artist": 1}))).policy()
        >>> policy.select([0, 1, 2], {"r": [3, 2, 1]}).tolist()
        [0, 2]
        """
        request, scores, _, wishes = self._scorer.ask(
            items, columns, self._scorer.selected, user, attributes, k, pinned, exclude, fill
        )
        if diversify is not None or embeddings is not None:
            return diversified(self._selector, request, scores, wishes, diversify, embeddings).positions
        return self._selector.pick(request, scores, wishes).positions

    def sample(
        self,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        k: int | None = None,
        exclude: ArrayLike | None = None,
        rng: Rng | None = None,
        exploration: Exploration | Mapping[str, float] | None = None,
        **attributes: LabelsLike,
    ) -> Sample:
        """A slate drawn by the policy's rule of exploration, and how likely each of its items was to be in it.

        Parameters
        ----------
        items, columns, user, k, exclude, **attributes
            As in `select`.
        rng
            A whole number from 0 to 2^63 - 1, from which the same request always draws the same slate, or a
            `numpy.random.Generator`; None draws a new seed.
        exploration
            Another rule than the policy's own.

        Returns
        -------
        Sample
            `(positions, propensities)`: positions in `items`, best first, and the probability with which each was to be
            shown, whatever else is: exactly that of `propensities`, which off-policy evaluation divides by.

        Notes
        -----
        Every slate keeps its size and, where the keys of the rules nest or two of them cross, `at_most`; see
        `Solution.round`. Of what `keep` promises, exploration takes its share.

        Raises
        ------
        InputError
            As `select`; also for an invalid `rng` or exploration.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [0.9, 0.5, 0.4]})
        >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2)))
        >>> policy = solution.policy(exploration=oa.Exploration(share=0.3))
        >>> policy.propensities([0, 1, 2], {"r": [0.9, 0.5, 0.4]}).round(6).tolist()
        [0.9, 0.9, 0.2]
        >>> positions, propensities = policy.sample([0, 1, 2], {"r": [0.9, 0.5, 0.4]}, rng=8)
        >>> len(positions)
        2
        """
        seed = secrets.randbits(63) if rng is None else as_seed(rng, "sample()")
        rule = self._sampler.rule(exploration)
        asked = self._scorer.ask(items, columns, self._scorer.selected, user, attributes, k, None, exclude)
        return self._sampler.draw(asked, self._sampler.propensities(asked, rule), seed)

    def propensities(
        self,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        k: int | None = None,
        exclude: ArrayLike | None = None,
        exploration: Exploration | Mapping[str, float] | None = None,
        **attributes: LabelsLike,
    ) -> Floats:
        """How likely `sample` is to show each of the candidates, (n,) in [0, 1]; arguments and errors are its own."""
        rule = self._sampler.rule(exploration)
        asked = self._scorer.ask(items, columns, self._scorer.selected, user, attributes, k, None, exclude)
        return self._sampler.propensities(asked, rule)

    def warm_draws(self) -> None:
        """Compile what `sample` runs under the policy's rules, whatever the exploration; a part of `warmup`."""
        self._sampler.warm()

    def prepare(
        self,
        max_candidates: int,
        k: int | None = None,
        diversify: MMR | DPP | None = None,
        embeddings: Embeddings | None = None,
    ) -> Prepared:
        """Buffers for the shortest request path: fill them, score or select, read them.

        For one thread; make one for each. Nothing is checked but the number of candidates: what is not finite is never
        selected, items out of range are unseen, and items that come twice can be shown twice.

        Parameters
        ----------
        max_candidates
            Maximum number of candidates per request.
        k
            Slots, by default as many as in the solve, and never more than `max_candidates`.
        diversify, embeddings
            As in `select`, with `oa.Embeddings`: then `select` goes by them.

        Returns
        -------
        Prepared
            To write: `items` (max_candidates,) int64 and `columns` (len(names), max_candidates) float64, whose rows are
            called `names`. To call: `score(n, user)` and `select(n, user)` for the first n of them, `user` being of
            `policy.user`. To read: `scores` (max_candidates,), `positions` (k,) and, under rules by category,
            `marginal` (k,).

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
        >>> hot, anyone = policy.prepare(max_candidates=100), policy.user()
        >>> hot.items[:2], hot.columns[:, :2] = [0, 1], [[0.2, 0.5]]
        >>> shown = hot.select(2, anyone)
        >>> hot.positions[:shown].tolist()
        [1]
        """
        if diversify is not None or embeddings is not None:
            return prepared(self._scorer, max_candidates, k, diversify, embeddings)
        return Prepared(self._scorer, max_candidates, k)

    def to_parquet(self, candidates: Candidates, path: str | Path) -> int:
        """Write boosts and slates of all candidates, user by user, and return how many rows there are.

        Columns: the ids of user and item under the candidates' names, `boost` (to add to the organic score), `score`,
        and `rank`, the place in the slate from 0, -1 where it is not shown; where a column of ids has one of these
        names, `_` is behind it. Streamed in row groups; the file appears when it is whole. Candidates may be others
        than those of the solve: items are matched by id, users by label. Those in Parquet files are read user by user,
        within their `memory`.

        Raises
        ------
        InputError
            For candidates without a column or a user key that scores depend on, and for files that have changed.
        MissingDependencyError
            Without pyarrow.
        """
        from oasis_alloc.serving.batch.export import to_parquet

        return to_parquet(self, self.encode, candidates, path)

    def warmup(self, draws: bool = True) -> dict[str, float]:
        """Compile, or load from the cache, everything that requests run, and return the seconds of each kernel.

        Also makes what the first request of a policy would otherwise wait for, such as the numbers of ids.

        After it nothing compiles, whatever requests bring; without `draws`, whatever requests bring but to `sample` and
        `propensities`, whose kernel for rules of slates takes longest.
        """
        from oasis_alloc.serving.request.warmup import warmup

        return warmup(self, draws)

    def explain(
        self,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        k: int | None = None,
        pinned: ArrayLike | None = None,
        exclude: ArrayLike | None = None,
        fill: bool = False,
        **attributes: LabelsLike,
    ) -> Explanation:
        """Why `select` decides as it does, candidate by candidate: print it, or read its numbers.

        Arguments and errors are those of `select`; `columns` has the organic column as well.

        Returns
        -------
        Explanation
            A sequence of one `Reason` a candidate, in the order of `items`: the parts of its score, which add up to it
            exactly, the rule that dropped it, its runner-up and margin, and the smallest change that would have
            reversed the decision.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
        >>> why = policy.explain([0, 1], {"r": [0.9, 0.5]})
        >>> print(why[1].sentence)
        item 1 scores 0.5 = +0.5 r; not shown: item 0 is worth more, short by 0.4; reversed by +0.4 r (0.5 to 0.9)
        """
        asked = self._scorer.ask(items, columns, self.data.columns, user, attributes, k, pinned, exclude, fill)
        return self._explainer.explain(asked)

    def __repr__(self) -> str:
        return f"Policy({self.policy_id}, columns: {', '.join(self.columns)}, {self.data.n_items:,} items)"
