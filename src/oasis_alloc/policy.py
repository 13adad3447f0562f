"""A policy: the prices, weights and rules of a solved problem, ready to score and select one user at a time."""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Mapping
from functools import cached_property

from numpy.typing import ArrayLike

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.seeds import Rng, as_seed
from oasis_alloc.common.types import ColumnsLike, Floats, Ints, ItemsLike, LabelsLike
from oasis_alloc.serving.batch.batched import Batched
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.explain.explainer import Explainer
from oasis_alloc.serving.explain.explanation import Explanation
from oasis_alloc.serving.explain.score_parts import ScoreParts
from oasis_alloc.serving.exploration import Exploration
from oasis_alloc.serving.request.checked import Checked
from oasis_alloc.serving.request.clashes import explain_clashes
from oasis_alloc.serving.request.diversity import DPP, MMR, Embeddings, prepared
from oasis_alloc.serving.request.prepared import Prepared
from oasis_alloc.serving.request.reader import User, UserLike
from oasis_alloc.serving.request.sampling import Sample, Sampler
from oasis_alloc.serving.request.target_shares import TargetShares
from oasis_alloc.serving.schema import Schema, schema_of


@suggesting
class Policy(Batched):
    """Prices, weights and rules for serving; made by `solution.policy()` or `Policy.load`. Immutable, thread-safe.

    Item numbers are those of the solved candidates; `encode` turns ids into them. `columns` everywhere is
    `{name: (n,) numbers}` with the columns of `policy.columns`, and `user` is None, a user number of the solve,
    `{key: label}` or a result of `policy.user(...)`. Items, labels and users that were not in the solve have no prices.

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
        self._checked = Checked(self._scorer)
        self._explainer = Explainer(ScoreParts(data), self._selector)
        self._sampler = Sampler(self._selector, Exploration.of(data.exploration))
        explain_clashes(self, ("score", "boosts", "select", "sample", "propensities", "explain"), data.item_keys)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that scoring reads."""
        return self.data.scored

    @cached_property
    def schema(self) -> Schema:
        """The inputs of a request: columns, and the keys of users and items that the problem had, with their types.

        A key in the schema on which no price depends is ignored and counted, so a host need not change with every
        policy. A key that is not in the schema is refused, and the error names the nearest one.
        """
        return schema_of(self.data)

    @property
    def ignored_keys(self) -> dict[str, int]:
        """Number of calls with a key on which no price or rule depends, by key; shared with decayed copies."""
        return dict(self.tally.summary()["ignored_keys"])

    def encode(self, ids: LabelsLike) -> Ints:
        """Item numbers of ids, int64, -1 for ids that were not in the solve.

        `ids` is a list, an array or a column of any library; `docs/labels.md` says which ids are equal.

        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, item_ids=["x", "y"])
        >>> oa.solve(oa.Problem(cands, oa.total("r"))).policy().encode(["y", "new"]).tolist()
        [1, -1]
        """
        return self._reader.encode(ids)

    @property
    def mistyped_requests(self) -> int:
        """Number of calls in which all ids, or all labels of a key, have another type than the policy's.

        For example `encode(["12"])` when ids are integers: all of them count as never seen. See `docs/labels.md`.
        """
        count: int = self._reader.tally.summary()["mistyped_requests"]
        return count

    def user(self, /, **labels: Hashable) -> User:
        """Encode a user's labels once, to pass as `user=` in many requests.

        Keys are those of `schema.user_keys`; keys on which no price depends are ignored and counted in `ignored_keys`.
        """
        return self._reader.user(labels)

    def score(
        self,
        /,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        out: Floats | None = None,
        **attributes: LabelsLike,
    ) -> Floats:
        """Priced scores of one user's candidates, (n,): equal to the solver's scores of the same pairs, bit for bit.

        Parameters
        ----------
        items
            (n,) item numbers, -1 for items that were not in the solve.
        columns
            `{name: (n,) finite numbers}`.
        user
            See `Policy`.
        out
            (n,) float64, C-contiguous, to write into.
        **attributes
            Labels by key of the items, such as `campaign=[...]`, one per item; keys with the name of an
            argument, or that are not Python names, go in a mapping `attributes={key: [...]}`. They are used for items
            that are -1, which then pay the prices of their labels. A key on which nothing depends is ignored, as for
            users.

        Raises
        ------
        InputError
            For columns that are missing, misaligned or not finite, item numbers out of range, keys that the problem did
            not have, and scores beyond float64.
        """
        return self._checked.score(items, columns, user, attributes, out)

    def boosts(
        self, /, items: ItemsLike, columns: ColumnsLike, user: UserLike = None, **attributes: LabelsLike
    ) -> Floats:
        """Amounts to add to a host's own ranking scores, (n,): the priced score minus the organic column.

        Arguments and errors are those of `score`; `columns` must also have the organic column.
        """
        return self._scorer.boosts(*self._scorer.score(items, columns, self.data.columns, user, attributes))

    def select(
        self,
        /,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        k: int | None = None,
        pinned: ArrayLike | None = None,
        exclude: ArrayLike | None = None,
        fill: bool = False,
        diversify: MMR | DPP | TargetShares | None = None,
        embeddings: Embeddings | ArrayLike | None = None,
        **attributes: LabelsLike,
    ) -> Ints:
        """The slate of one user: positions in `items`, int64, best first, under the rules of the problem.

        Parameters
        ----------
        items, columns, user, **attributes
            As in `score`; `columns` must also have the column of `keep`, if the slate has one.
        k
            Number of slots; by default as in the solve. Never more than there are candidates.
        pinned, exclude
            Positions in `items` (or masks). Pinned items are in the slate, first and in this order, and count for caps
            and decrements. Excluded items are not.
        fill
            Also fill slots with items of non-positive score, which a solve would leave empty: without `fill`, a slot is
            filled only by a marginal score above 0, or to reach `at_least`.
        diversify
            `oa.MMR(...)` or `oa.DPP(...)`: trade score against similarity to the items already picked, under the same
            rules; a `keep` holds. Or `oa.TargetShares(...)`: calibrated slates, where a size is the only rule.
        embeddings
            For `diversify`: `oa.Embeddings` of all items, or (n, d) numbers, one row per candidate.

        Returns
        -------
        array
            Shorter than k if there are no more candidates within the caps with positive scores. The best slate if items
            have one category per key and keys nest (else: docs/serving.md). Ties are broken by score, then by item id.

        Raises
        ------
        InputError
            As `score`; also for an item that appears twice, pinned items that break a cap, and vectors that do not fit.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [3, 2, 1]}, items={"artist": ["a", "a", "b"]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2, at_most={"artist": 1}))).policy()
        >>> policy.select([0, 1, 2], {"r": [3, 2, 1]}).tolist()
        [0, 2]
        """
        return self._checked.select(items, columns, user, attributes, k, pinned, exclude, fill, diversify, embeddings)

    def sample(
        self,
        /,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        k: int | None = None,
        exclude: ArrayLike | None = None,
        rng: Rng | None = None,
        exploration: Exploration | Mapping[str, float] | None = None,
        **attributes: LabelsLike,
    ) -> Sample:
        """Draw a slate by the policy's exploration, and return the probability that each of its items is shown.

        Parameters
        ----------
        items, columns, user, k, exclude, **attributes
            As in `select`.
        rng
            An integer seed in [0, 2^63), for which the same request always draws the same slate, or a
            `numpy.random.Generator`; None draws a new seed.
        exploration
            An `oa.Exploration` to use instead of the policy's.

        Returns
        -------
        Sample
            `(positions, propensities)`: positions in `items`, best first, and the marginal probability that each
            is shown: equal to `propensities`. Off-policy evaluation divides by it.

        Notes
        -----
        Every slate keeps its size and, if the keys of the rules nest or two of them cross, `at_most`; see
        `Solution.round`. Exploration can reduce the share that `keep` promises.

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
        /,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        k: int | None = None,
        exclude: ArrayLike | None = None,
        exploration: Exploration | Mapping[str, float] | None = None,
        **attributes: LabelsLike,
    ) -> Floats:
        """Probability that `sample` shows each candidate, (n,) in [0, 1]; arguments and errors as in `sample`."""
        rule = self._sampler.rule(exploration)
        asked = self._scorer.ask(items, columns, self._scorer.selected, user, attributes, k, None, exclude)
        return self._sampler.propensities(asked, rule)

    @property
    def is_calibrated(self) -> bool:
        """Whether columns of requests are mapped by calibrations before anything reads them."""
        return bool(self.data.calibration)

    def warm_draws(self) -> None:
        """Compile the kernels of `sample` for the policy's rules and any exploration; a part of `warmup`."""
        self._sampler.warm()

    def prepare(
        self,
        max_candidates: int,
        k: int | None = None,
        diversify: MMR | DPP | None = None,
        embeddings: Embeddings | None = None,
    ) -> Prepared:
        """Buffers for the shortest request path: fill them, score or select, read them.

        For one thread; make one per thread. Only the number of candidates is checked: scores that are not finite are
        never selected, items out of range count as unseen, and items that appear twice can be shown twice.

        Parameters
        ----------
        max_candidates
            Maximum number of candidates per request.
        k
            Number of slots; by default as in the solve. Never more than `max_candidates`.
        diversify, embeddings
            As in `select`, with `oa.Embeddings`; `Prepared.select` then uses them.

        Returns
        -------
        Prepared
            To write: `items` (max_candidates,) int64 and `columns` (len(names), max_candidates) float64, with one row
            per name in `names`. To call: `score(n, user)` and `select(n, user)` for the first n of them, with a `user`
            from `policy.user`. To read: `scores` (max_candidates,), `positions` (k,) and, under rules by category,
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

    def warmup(self, draws: bool = True) -> dict[str, float]:
        """Compile all kernels that requests run, or load them from the cache, and return the seconds of each.

        It also builds what the first request would otherwise wait for, such as the table of ids.

        After it, no request compiles anything. With `draws=False`, `sample` and `propensities` are left out; their
        kernel for slate rules takes longest to compile.
        """
        from oasis_alloc.serving.request.warmup import warmup

        return warmup(self, draws)

    def explain(
        self,
        /,
        items: ItemsLike,
        columns: ColumnsLike,
        user: UserLike = None,
        k: int | None = None,
        pinned: ArrayLike | None = None,
        exclude: ArrayLike | None = None,
        fill: bool = False,
        **attributes: LabelsLike,
    ) -> Explanation:
        """Explain what `select` decides, candidate by candidate: print it, or read its numbers.

        Arguments and errors are those of `select`; `columns` must also have the organic column.

        Returns
        -------
        Explanation
            A sequence of one `Reason` per candidate, in the order of `items`: the parts of its score, which add up to
            it exactly, the rule that dropped it, its runner-up and margin, and the smallest change that would have
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
