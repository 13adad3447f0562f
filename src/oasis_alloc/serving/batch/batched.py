"""Calls of a policy for many users at a time: for pipelines, and for hosts that batch requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from numpy.typing import ArrayLike

from oasis_alloc.common.remote_path import AnyPath
from oasis_alloc.common.types import ColumnsLike, Floats, Ints, ItemsLike, LabelsLike
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.file.stored import StoredPolicy
from oasis_alloc.serving.request.prepared import PreparedBatch
from oasis_alloc.serving.request.reader import UsersLike
from oasis_alloc.serving.request.scorer import Scorer
from oasis_alloc.serving.schema import known_keys
from oasis_alloc.serving.tally import Tally

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.engines.ray.parts import Parts


class Batched(StoredPolicy):
    """Scores and slates of many users; see `Policy`."""

    def __init__(self, data: PolicyData) -> None:
        super().__init__(data)
        self._scorer = Scorer(data)

    @property
    def tally(self) -> Tally:
        """Counts of ignored keys and mistyped requests, shared with decayed copies of the policy."""
        return self._scorer.reader.tally

    def count_into(self, tally: Tally) -> None:
        """Use this tally from now on: a store has one for all its policies, which also remembers their keys."""
        for side, keys in zip(("users", "items"), known_keys(self.data), strict=True):
            tally.know(side, keys)
        self._scorer.reader.tally = tally

    def _derived(self, data: PolicyData) -> Self:
        out = super()._derived(data)
        out.count_into(self.tally)
        return out

    def encode(self, ids: LabelsLike) -> Ints:
        """Item numbers of ids; see `Policy.encode`."""
        raise NotImplementedError

    def _score_parts(self, candidates: Candidates) -> Parts:
        """What `RayEngine.write_scores` writes."""
        from oasis_alloc.serving.batch.score_parts import score_parts

        return score_parts(self, self.encode, candidates, {"policy_id": self.policy_id})

    def to_parquet(self, candidates: Candidates, path: AnyPath) -> int:
        """Write boosts and slates of all candidates, user by user, and return the number of rows.

        Columns: the ids of user and item under the candidates' names, `boost` (to add to the organic score), `score`,
        and `rank`, the place in the slate from 0, or -1 if it is not shown. If an id column has one of these
        names, `_` is added to the name. Written in row groups; the file appears when it is complete. Candidates may
        differ from those of the solve: items are matched by id, users by label. Candidates in Parquet files are read
        user by user, within their `memory`.

        Raises
        ------
        InputError
            For candidates without a column or a user key that scores depend on, and for files that have changed.
        MissingDependencyError
            Without pyarrow.
        """
        from oasis_alloc.serving.batch.export import to_parquet

        return to_parquet(self, self.encode, candidates, path)

    def to_redis(
        self, candidates: Candidates, address: str, *, prefix: str = "oasis_alloc", grace: float = 60.0
    ) -> int:
        """Write the slate of every user to Redis, make all of them live at once, and return the number of users.

        A reader gets `<prefix>:live`, the version, and then `<prefix>:<version>:<user>`: JSON with `slate` (item ids,
        best first), `boosts` (to add to the organic scores) and `scores`. Slates are written some thousand users at a
        time under a new version; then `live` is changed, and the keys of the version before it expire after `grace`.
        Keys of versions that were never completed are removed. One process at a time writes to a prefix.

        Parameters
        ----------
        candidates
            As in `to_parquet`. Ids of users are texts or whole numbers, and not both.
        address
            Such as "redis://localhost:6379/0", or "env:NAME" for the text in a variable of the environment.
        prefix
            Of all keys: letters, digits and `_.-`.
        grace
            Seconds for readers that have read the version before it was replaced.

        Raises
        ------
        InputError
            As `to_parquet`, and for an address, prefix or grace that is not valid, and ids of other types.
        ConnectionError
            If Redis cannot be reached, or another process writes to the prefix. The live version is unchanged.
        MissingDependencyError
            Without the package `redis`.
        """
        from oasis_alloc.serving.batch.redis_export import to_redis

        return to_redis(self, self.encode, candidates, address, prefix, grace)

    def score_batch(
        self,
        indptr: ArrayLike,
        items: ItemsLike,
        columns: ColumnsLike,
        users: UsersLike = None,
        out: Floats | None = None,
    ) -> Floats:
        """Priced scores of the candidates of many users, (n_pairs,), some hundred million per second on one core.

        Parameters
        ----------
        indptr, items, columns
            As in `Candidates.from_arrays`; items may be -1 for unseen. float32 columns are not converted.
        users
            (n_users,) numbers of the solve, `{key: (n_users,) labels}`, or a list of results of `policy.user(...)`;
            None for users without labels.
        out
            (n_pairs,) float64 to write into.

        Raises
        ------
        InputError
            As in `score`, with the pair.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2, 3], [0, 1, 0], {"r": [0.9, 0.5, 0.7]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"))).policy()
        >>> policy.score_batch(cands.indptr, cands.item, cands.columns).tolist()
        [0.9, 0.5, 0.7]
        """
        from oasis_alloc.serving.batch.scores import score_batch

        return score_batch(self._scorer.reader, indptr, items, columns, users, out)

    def select_batch(
        self,
        indptr: ArrayLike,
        items: ItemsLike,
        columns: ColumnsLike,
        users: UsersLike = None,
        k: int | None = None,
        out: Ints | None = None,
        scores: Floats | None = None,
    ) -> Ints:
        """The slates of many users, (n_users, k): row u has the positions in `items` of user u's slate, then -1.

        The same slates as `select`, in one or two microseconds per user with a hundred candidates. It also lets several
        threads work on small requests, because the interpreter lock is released once per call (docs/serving.md).

        Parameters
        ----------
        indptr, items, columns, users
            As in `score_batch`; `columns` must also have the column of `keep`, if the slate has one.
        k
            Number of slots; by default each user's number in the solve, and the array has as many columns as the
            largest. A k above that and above the longest list of candidates is clipped to the larger of the two.
        out
            (n_users, k) int64 to write into.
        scores
            (n_pairs,) float64 that gets the priced scores.

        Raises
        ------
        InputError
            As in `score_batch`; also for a user who has an item twice.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 3, 4], [0, 1, 2, 1], {"r": [0.5, 0.9, 0.7, 0.4]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2))).policy()
        >>> policy.select_batch(cands.indptr, cands.item, cands.columns).tolist()
        [[1, 2], [3, -1]]
        """
        from oasis_alloc.serving.batch.slates import select_batch

        return select_batch(self._scorer, indptr, items, columns, users, k, out, scores)

    def prepare_batch(self, users: int, max_candidates: int, k: int | None = None) -> PreparedBatch:
        """Buffers for the slates of several users in one call: fill them, select, read them.

        For one thread; make one per thread. Checks, and the handling of unchecked input, are as in `prepare`.

        Parameters
        ----------
        users
            Maximum number of users per batch.
        max_candidates
            Maximum number of candidates per batch, of all users together.
        k
            Number of slots; by default as in the solve. Never more than `max_candidates`.

        Returns
        -------
        PreparedBatch
            `clear()` begins a batch. `add(n, user)` adds one user with n candidates, with a `user` from `policy.user`,
            and returns their range (a, b): write `items[a:b]` and `columns[:, a:b]`, in the order of `names`.
            `select()` writes `scores` and `positions` (users, k), one row per user as in `select_batch`, and returns
            the number of users.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
        >>> hot, anyone = policy.prepare_batch(users=32, max_candidates=3200), policy.user()
        >>> hot.clear()
        >>> for relevance in ([0.2, 0.5], [0.4, 0.3]):
        ...     a, b = hot.add(2, anyone)
        ...     hot.items[a:b], hot.columns[0, a:b] = [0, 1], relevance
        >>> hot.positions[: hot.select()].tolist()
        [[1], [2]]
        """
        return PreparedBatch(self._scorer, users, max_candidates, k)
