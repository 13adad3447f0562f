"""Reads and scores a request: the first step of every answer of a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from oasis_alloc.common.checks import as_buffer
from oasis_alloc.common.pickling import Remade
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.formula import formula_of
from oasis_alloc.serving.lookup import by_key
from oasis_alloc.serving.request.reader import Request, RequestReader, User
from oasis_alloc.serving.request.selection import Selector, SlateRequest, check_distinct


class Asked(NamedTuple):
    """A request for a slate: its candidates, their priced scores, the user, and the options of the slate."""

    request: Request
    scores: Floats  # (n,)
    user: User
    slate_request: SlateRequest


class Scorer(Remade):
    """Reads and scores the requests of one policy."""

    def __init__(self, data: PolicyData) -> None:
        self.data = data
        self.formula = formula_of(data)
        self.reader = RequestReader(data, self.formula)
        self.selector = Selector(data, self.formula)
        self.selected = data.selected
        place = {name: k for k, name in enumerate(data.columns)}
        rows = [-1 if column is None else place[column] for column, _ in data.weights]
        charged = [place[column] for column in data.measured]
        weights = [weight for _, weight in data.weights]
        self.blend = np.array([len(weights), *weights, *rows, *charged], np.float64)  # see kernels/serve.py

    def score(
        self, items: object, columns: object, names: Sequence[str], user: object, attributes: Mapping[str, object],
        out: Floats | None = None,
    ) -> tuple[Request, Floats]:  # fmt: skip
        """(the request with the columns of these names, the priced scores of its candidates)."""
        who = self.reader.user(user)
        request = self.reader.request(items, columns, names, who, by_key(attributes))
        return request, self._scores(request, who, out)

    def ask(
        self, items: object, columns: object, names: Sequence[str], user: object, attributes: Mapping[str, object],
        k: object = None, pinned: object = None, exclude: object = None, fill: object = False,
    ) -> Asked:  # fmt: skip
        """Read a request for a slate, check that items are distinct, and score it."""
        who = self.reader.user(user)
        request = self.reader.request(items, columns, names, who, by_key(attributes))
        check_distinct(request.items)
        slate_request = self.selector.slate_request(request.items.size, who, k, pinned, exclude, fill)
        return Asked(request, self._scores(request, who, None), who, slate_request)

    def boosts(self, request: Request, scores: Floats) -> Floats:
        """The scores minus the organic column, as the host ranks by it: not calibrated."""
        columns = request.columns if request.given is None else request.given
        with np.errstate(over="ignore"):
            boosts: Floats = scores - columns[self.data.columns.index(self.data.organic)]
        if not np.isfinite(boosts).all():
            at = int(np.argmin(np.isfinite(boosts)))
            raise InputError(f"entry {at}: the boost is beyond float64; expected smaller numbers in columns.")
        return boosts

    def _scores(self, request: Request, user: User, given: Floats | None) -> Floats:
        from oasis_alloc.kernels.serve import score as serve

        n = request.items.size
        out = np.empty(n) if given is None else _buffer(given, n)
        of_item, table = self.formula.of_item, user.table
        if request.local is not None:
            of_item, table = request.local.of_item, request.local.table
        serve.score(n, request.key, request.columns, self.blend, of_item, table, out)
        if not np.isfinite(out).all():  # columns and prices are finite
            at = int(np.argmin(np.isfinite(out)))
            raise InputError(f"entry {at}: the score is beyond float64; expected smaller numbers in columns.")
        return out


def _buffer(out: Any, n: int) -> Floats:
    return as_buffer(out, np.float64, (n,))
