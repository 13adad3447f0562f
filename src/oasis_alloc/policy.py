"""A policy: the prices, weights and rules of a solved problem, ready to score and select one user at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.serving.content import decode, encode
from oasis_alloc.serving.data import Floats, Integers, PolicyData
from oasis_alloc.serving.formula import Formula
from oasis_alloc.serving.requests import Reader, User
from oasis_alloc.serving.staleness import decayed, organic_only
from oasis_alloc.snapshot import read_arrays, write_arrays


class Policy:
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
        self.data = data.check()
        self._formula = Formula(data)
        self._reader = Reader(data, self._formula)
        weights = [weight for _, weight in data.weights]
        scored, place = data.scored, {name: k for k, name in enumerate(data.columns)}
        terms = [-1 if column is None else place[column] for column, _ in data.weights]
        self._plan = np.array([len(weights), *terms, *(place[column] for column in data.measured)], np.int64)
        self._weights = np.array(weights, np.float64)
        self._scored = scored
        self._numbers: dict[Any, int] | None = None

    @property
    def policy_id(self) -> str:
        """16 hexadecimal digits, the same for the same prices, weights and rules."""
        return self.data.policy_id

    @property
    def created(self) -> float:
        """When the prices were made, in UNIX seconds."""
        return self.data.created

    @property
    def valid_until(self) -> float | None:
        """When they are no longer to be used, in UNIX seconds; None for no end."""
        return self.data.valid_until

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that scoring reads."""
        return self._scored

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy as one file, by rename: who reads it sees the whole of this one, or of what was there.

        `docs/snapshot.md` specifies the file. Raises `SnapshotError` for ids or labels that are neither integers,
        strings, floats nor booleans, and `OSError` where it cannot be written.

        >>> import tempfile, oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure() <= 0.5)).policy()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     policy.save(f"{folder}/policy")
        ...     oa.Policy.load(f"{folder}/policy").policy_id == policy.policy_id
        True
        """
        write_arrays(path, *encode(self.data))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Policy:
        """Read a policy that `save` wrote; everything is verified before anything is used.

        Raises `SnapshotError`, whose `reason` is a word: "truncated", "tampered", "newer schema", "not finite" ...
        """
        arrays, header = read_arrays(path)
        try:
            return cls(decode(arrays, header))
        except SnapshotError as error:
            raise SnapshotError(f"{os.fspath(path)}: {error}", error.reason) from error

    def decayed(self, factor: float) -> Policy:
        """The same policy with every price multiplied by a factor in [0, 1], and the factor in its id."""
        return Policy(decayed(self.data, factor))

    def organic_only(self) -> Policy:
        """The same slate rules and columns, without prices: scores are the organic column, boosts are 0."""
        return Policy(organic_only(self.data))

    def encode(self, ids: Iterable[Any]) -> Integers:
        """Item numbers of ids, int64, -1 for those that were never seen.

        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, item_ids=["x", "y"])
        >>> oa.solve(oa.Problem(cands, oa.total("r"))).policy().encode(["y", "new"]).tolist()
        [1, -1]
        """
        given = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        if self.data.items is None:
            numbers = [i if isinstance(i, int) and 0 <= i < self.data.n_items else -1 for i in given]
            return np.array(numbers, np.int64)
        if self._numbers is None:
            self._numbers = {one: number for number, one in enumerate(self.data.items)}
        get = self._numbers.get
        try:
            return np.fromiter((get(one, -1) for one in given), np.int64, len(given))
        except TypeError as error:
            raise InputError(f"encode(ids): something there is no id ({error}).") from None

    def user(self, **labels: Any) -> User:
        """A user by their labels, to pass as `user=`: encoded once, used for many requests."""
        return self._reader.user(labels)

    def score(
        self, items: Any, columns: Any, user: Any = None, out: Floats | None = None, **attributes: Any
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
            Labels by key of the items, such as `campaign=[...]`, one an item: used for items that are -1, which then
            pay the prices of their labels.

        Raises
        ------
        InputError
            For columns that are missing, misaligned or not finite, item numbers out of range, unknown keys.
        """
        from oasis_alloc.kernels import serve

        who = self._reader.user(user)
        request = self._reader.request(items, columns, self._scored, who, attributes)
        scores = np.empty(request.items.size) if out is None else _buffer(out, request.items.size)
        class_of, table = self._formula.class_of, who.table
        if request.local is not None:
            class_of, table = request.local.class_of, request.local.table
        serve.score(
            0, scores.size, request.key, request.columns, self._plan, self._weights, class_of, table, scores
        )
        return scores

    def __repr__(self) -> str:
        return f"Policy({self.policy_id}, columns: {', '.join(self.columns)}, {self.data.n_items:,} items)"


def _buffer(out: object, n: int) -> Floats:
    fits = isinstance(out, np.ndarray) and out.dtype == np.float64 and out.shape == (n,)
    if not (fits and out.flags.c_contiguous and out.flags.writeable):  # type: ignore[attr-defined]
        raise InputError(f"out: expected a writeable, contiguous float64 array of shape ({n},).")
    return out  # type: ignore[return-value]
