"""Randomized delivery: how likely each candidate is to be shown under a rule of exploration, and a slate drawn so.

    x = (1 - share) * x_best + share * x_even

x_best is the slate of `select`, or with smoothing gamma > 0 the solver's own smoothed slate: the x in X_u with the
most `s x - gamma/2 |x|^2`, less what decrements cost. x_even is the x in X_u, without decrements, that is as even as
caps let it be. Both keep the rules of the slate, so x does. A slate is then drawn in which every candidate is in with
exactly its x (kernels/sample.py, kernels/rounding.py): x is the propensity to log.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.slate_rules import LoweredRules, System, chain_of, keep_target, user_units
from oasis_alloc.results.draw_blocks import Drawing
from oasis_alloc.serving.exploration import Exploration

if TYPE_CHECKING:
    from oasis_alloc.kernels.draw.rounding import Slots
    from oasis_alloc.kernels.rules.rules import Rules
    from oasis_alloc.serving.formula import Membership
    from oasis_alloc.serving.request.reader import Request
    from oasis_alloc.serving.request.scorer import Asked
    from oasis_alloc.serving.request.selection import Selector

_UNKNOWN = 1e301  # a slack that says that no threshold is known
_EXACT = 1e-9  # smoothing, in units of a column, of slates that are only looked at for what they hold
_KEPT = 8  # sizes of slates whose rules are kept as arrays: requests choose the size, and the arrays are of all items


class Sample(NamedTuple):
    """A slate that was drawn, best first, and how likely each of its items was to be in it.

    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(np.array([0, 2]), np.array([0, 1]), columns={"r": np.array([0.9, 0.5])})
    >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
    >>> policy.sample([0, 1], {"r": [0.9, 0.5]}, rng=7).positions
    array([0])
    """

    positions: Ints
    propensities: Floats


class Sampler:
    """Propensities and draws of one policy."""

    def __init__(self, selector: Selector, own: Exploration) -> None:
        self.selector, self.data, self.own = selector, selector.data, own

    def rule(self, given: Exploration | Mapping[str, float] | None) -> Exploration:
        """The exploration that a request asks for: the policy's own where that is None."""
        return self.own if given is None else Exploration.of(given)

    @cached_property
    def _own(self) -> _Slates:
        return _Slates(self.selector, self.selector.formula.of_class, self.selector.formula.n_classes)

    def _slates(self, request: Request) -> _Slates:
        if request.local is None:
            return self._own
        return _Slates(self.selector, request.local.of_class, request.items.size + 1)

    def propensities(self, asked: Asked, rule: Exploration) -> Floats:
        """(n,) how likely each candidate is to be shown."""
        request, scores, _, wishes = asked
        n = scores.size
        x = np.zeros(n)
        slates = self._slates(request)
        allowed = np.arange(n)
        if wishes.excluded.size:
            allowed = np.delete(allowed, wishes.excluded)
        classes = self.selector.classes(request)[allowed]
        k = min(wishes.k, allowed.size)
        if rule.smoothing > 0.0:
            column = None
            if self.data.slate.keep is not None:
                column = request.columns[self.data.columns.index(self.data.slate.keep[0])][allowed]
            x[allowed] = slates.smoothed(scores[allowed], classes, k, wishes.least, rule.smoothing, column)
        elif rule.share < 1.0:
            x[self.selector.pick(request, scores, wishes).positions] = 1.0
        if rule.share > 0.0:
            even = slates.even(classes, k)
            x *= 1.0 - rule.share
            x[allowed] += rule.share * even
        return np.minimum(x, 1.0, out=x)

    def warm(self) -> None:
        """Run all that `propensities` and `draw` may run under these rules, on one candidate that was never seen."""
        slate, slates = self.data.slate, self._own
        unseen, one = np.array([self.selector.formula.n_classes - 1]), np.ones(1)
        slates.draw(0.5 * one, unseen, 1, 0)
        least = 1 if slate.at_least or slate.at_least_by_user is not None else 0
        slates.smoothed(one, unseen, 1, least, 1.0, None if slate.keep is None else one)
        if slates.keys:  # the categories that a request brings may nest or cross where the policy's own do not
            for labels in (1, 2):
                several = np.arange(labels, dtype=np.int32)
                drawing = Drawing([System("", np.array([0, labels]), several, labels, np.zeros(1))], 1)
                drawing.draw(0, 1, _slots(0.5 * one, np.zeros(1, np.int64), 1), 0, np.zeros(1, np.bool_))

    def draw(self, asked: Asked, x: Floats, seed: int) -> Sample:
        """A slate in which every candidate is with its probability x, best first."""
        request, scores, _, wishes = asked
        slates = self._slates(request)
        shown = slates.draw(x, self.selector.classes(request), min(wishes.k, x.size), seed)
        of_item = self.selector.formula.of_item if request.local is None else request.local.of_item
        rank = of_item[1, request.key[shown]]  # -1 reads the last one, of unseen items
        order = shown[np.lexsort((shown, rank, -scores[shown]))]
        return Sample(order, x[order])


class _Slates:
    """The rules of slates over some classes, for x that are not whole."""

    def __init__(self, selector: Selector, of_class: Mapping[str, Membership], n_classes: int) -> None:
        self.rule, self.keys = selector.data.slate, selector.keys
        self._free = np.zeros((1, 1, n_classes))  # prices of nothing
        self._keys = {key: (*of_class[key], len(selector.data.item_keys[key].labels)) for key in self.keys}
        self._rules: dict[tuple[int, bool], Rules] = {}
        self._drawings: dict[int, Drawing] = {}

    def _systems(self, size: int, steps: bool) -> list[System]:
        out = []
        for key, (start, codes, n) in self._keys.items():
            most = max(1, min(self.rule.at_most.get(key, size), size))
            paid = self.rule.diminishing[key].first(most) if steps and key in self.rule.diminishing else np.zeros(most)
            out.append(System(key, start, codes, max(1, n), paid))
        return out

    def _kernel(self, size: int, steps: bool, least: int = 0) -> Rules:
        """The rules of one user as the solver's kernels read them."""
        found = self._rules.get((size, steps))
        if found is None:
            systems, sizes, none = tuple(self._systems(size, steps)), np.array([size]), np.empty(0)
            rules = LoweredRules(sizes, np.zeros_like(sizes), np.ones(1), systems, chain_of(systems), none, none)
            found = rules.kernel
            if len(self._rules) >= 2 * _KEPT:
                self._rules.clear()
            self._rules[size, steps] = found
        return found._replace(least=np.array([least])) if least else found

    def smoothed(
        self, scores: Floats, classes: Ints, size: int, least: int, gamma: float, kept: Floats | None
    ) -> Floats:
        """x in the slate's rules with the most s x - gamma/2 |x|^2 less decrements; `kept`: the column that is kept."""
        if not self.keys and least == 0 and kept is None:
            from oasis_alloc.kernels.draw import sample

            out = np.empty(scores.size)
            sample.smooth(scores, size, gamma, out)
            return out
        if least:  # no more than can be had
            most = self._solve(np.ones(scores.size), classes, self._kernel(size, False), _EXACT)
            least = min(least, int(most.sum() + 1e-6))
        rules = self._kernel(size, True, least)
        if kept is not None and self.rule.keep is not None:
            kept = kept / user_units(kept, np.array([0, kept.size]))[0]
            organic = kept @ self._solve(kept, classes, self._kernel(size, False, least), _EXACT)
            target = keep_target(np.array([organic]), self.rule.keep[1])
            rules = rules._replace(guard=readonly(kept), target=target)
        return self._solve(scores, classes, rules, gamma)

    def even(self, classes: Ints, size: int) -> Floats:
        """x in the slate's rules, without decrements, that is as large and as even as they let it be."""
        if not self.keys:
            return np.full(classes.size, size / max(classes.size, 1))
        return self._solve(np.ones(classes.size), classes, self._kernel(size, False), 1.0)

    def _solve(self, scores: Floats, classes: Ints, rules: Rules, gamma: float) -> Floats:
        from oasis_alloc.kernels.rules import ruled
        from oasis_alloc.kernels.solve import jobs
        from oasis_alloc.kernels.solve.visit import Pairs

        n = scores.size
        pairs = Pairs(
            readonly(np.array([0, n])), readonly(classes.astype(np.uint32)), readonly(np.array(scores, np.float64)),
            readonly(np.empty((0, n))), readonly(np.zeros(1, np.uint32)),
        )  # fmt: skip
        x = np.zeros(n)
        point = jobs.Point(self._free, gamma, _UNKNOWN, np.zeros(1), np.zeros(1))
        ruled.visit(ruled.ALLOCATE, jobs.Users(0, 1, 1), pairs, point, jobs.no_sums(), jobs.marks(x=x), rules)
        return x

    def draw(self, x: Floats, classes: Ints, size: int, seed: int) -> Ints:
        """Positions of a slate in which each candidate is with its probability x."""
        from oasis_alloc.kernels.draw import sample

        if not self.keys:
            out = np.empty(x.size, np.int64)
            return out[: sample.systematic(x, size, seed, 0, out)]
        drawing = self._drawings.get(size)
        if drawing is None:
            drawing = Drawing(self._systems(size, False), self._free.size)
            if len(self._drawings) >= _KEPT:
                self._drawings.clear()
            self._drawings[size] = drawing
        shown = np.zeros(x.size, np.bool_)
        drawing.draw(0, 1, _slots(x, classes, size), seed, shown)
        return np.flatnonzero(shown)


def _slots(x: Floats, classes: Ints, size: int) -> Slots:
    """One user as the kernels read them that draw."""
    from oasis_alloc.kernels.draw.rounding import Slots

    one = np.array([size])
    return Slots(np.array([0, x.size]), classes, x, one, np.zeros_like(one))
