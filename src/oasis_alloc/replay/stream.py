"""Requests and a policy's rules as the kernel reads them: made once, shared by all contenders and seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.live import Kind, Live
from oasis_alloc.policy import Policy
from oasis_alloc.replay.requests import Requests


class Layout:
    """One set of requests laid out for one policy."""

    def __init__(self, requests: Requests, policy: Policy) -> None:
        cands, data = requests.candidates, policy.data
        missing = [name for name in data.columns if name not in cands.columns]
        if missing:
            raise InputError(f"replay(): the requests have no column {missing[0]!r}, which the policy reads.")
        if data.slate.keep is not None:
            raise InputError(
                "replay(): slates that keep a share of a column are not replayed; leave keep= out of the problem."
            )
        self.requests, self.policy = requests, policy
        self.indptr = np.ascontiguousarray(cands.indptr, np.int64)
        ids = data.items if cands.item_ids is None else cands.item_ids
        same = cands.item_ids is None and data.items is None and cands.n_items <= data.n_items
        numbers = np.arange(cands.n_items) if same else policy.encode(np.arange(cands.n_items) if ids is None else ids)
        self.numbers: Ints = np.asarray(numbers, np.int64)  # the policy's, of the requests' items
        self.catalog = np.ascontiguousarray(cands.item, np.int32)
        self.items: Ints = self.catalog.astype(np.int64) if same else np.ascontiguousarray(self.numbers[cands.item])
        self.organic = data.columns.index(data.organic)
        self.codes, self.kind = _kinds(requests, policy)
        columns = {name: np.asarray(cands.request_columns[name], np.float64) for name in data.columns}
        if (calibrator := policy._scorer.formula.calibrator) is not None:
            codes = np.array(self.codes, np.int64).reshape(len(self.codes), -1)
            columns = calibrator.batch(columns, self.indptr, self.items, codes, self.kind)
        self.columns: Floats = np.stack(list(columns.values()))
        single = next((key for key in cands.items.values() if getattr(key, "indptr", None) is None), None)
        self.n_labels = 0 if single is None else len(single.labels)
        self.codes_of_items = np.ascontiguousarray(np.zeros(0) if single is None else single.codes, np.int32)
        selector = policy._scorer.selector
        self.rules = selector.rules.array
        self.size, self.min_size = data.slate.size, data.slate.at_least
        self.costs = selector.category_costs(self.size)[0]
        self.blend, self.of_item = policy._scorer.blend, policy._scorer.formula.of_item
        self.n_classes = policy._scorer.formula.n_classes
        self._best: Floats | None = None
        self._worth: Floats | None = None
        self._offered: Floats | None = None

    def kinds(self, live: Live) -> list[Kind]:
        """The kinds of users of the requests, at the prices of a pacer."""
        reader = self.policy._scorer.reader
        return [live.kind(reader._user(codes)) for codes in self.codes]

    def organic_best(self) -> Floats:
        """(n_requests,) the organic column of every request's best slate without promotion and rules."""
        if self._best is None:
            self._best = self._organic_best()
        return self._best

    def _organic_best(self) -> Floats:
        from oasis_alloc.kernels.serve.offer import best_sums

        out = np.empty(len(self.requests))
        best_sums(self.indptr, self.items, self.of_item, self.columns[self.organic], self.size, out)
        return out

    def offered(self) -> Floats:
        """(n,) pairs of items without a label, and with each label, of the first key with one label per item."""
        if self._offered is None:
            from oasis_alloc.kernels.serve.offer import count_codes

            found = np.zeros(self.n_labels + 1, np.int64)
            count_codes(self.catalog, self.codes_of_items, found)
            self._offered = found.astype(np.float64)
        return self._offered

    def worth(self) -> Floats:
        """(n_requests,) the largest organic value of its candidates: the adversary orders by it."""
        if self._worth is None:
            self._worth = np.maximum.reduceat(
                self.columns[self.organic], np.minimum(self.indptr[:-1], self.items.size - 1)
            ).astype(np.float64)
        return self._worth


def _kinds(requests: Requests, policy: Policy) -> tuple[list[tuple[int, ...]], npt.NDArray[np.int64]]:
    """(codes of each kind of user, kind of each request)."""
    users, data = requests.candidates.users, policy.data
    n = len(requests)
    if not data.user_keys:
        return [()], np.zeros(n, np.int64)
    codes = np.full((n, len(data.user_keys)), -1, np.int64)
    for k, key in enumerate(data.user_keys):
        if key in users:
            mine = policy._scorer.reader.codes(key, users[key].labels.tolist())
            codes[:, k] = np.where(users[key].codes >= 0, mine[users[key].codes], -1)
    found, kind = np.unique(codes, axis=0, return_inverse=True)
    return [tuple(row) for row in found.tolist()], kind.reshape(-1).astype(np.int64)
