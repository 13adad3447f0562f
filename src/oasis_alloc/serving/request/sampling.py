"""Randomized delivery: the probability that each candidate is shown under a rule of exploration, and drawn slates.

    x = (1 - share) * x_best + share * x_even

x_best is the slate of `select`, or with smoothing gamma > 0 the solver's own smoothed slate: the x in X_u that
maximizes `s x - gamma/2 |x|^2` minus the cost of decrements. x_even is the most even x in X_u, without decrements. Both
keep the rules of the slate, so x keeps them. Then a slate is drawn that contains every candidate with exactly
probability x (kernels/draw/sample.py, kernels/draw/rounding.py): x is the propensity to log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    from oasis_alloc.kernels.rules.rules import Local, Rules, Work
    from oasis_alloc.serving.formula import Membership
    from oasis_alloc.serving.request.reader import Request
    from oasis_alloc.serving.request.scorer import Asked
    from oasis_alloc.serving.request.selection import Selector

_UNKNOWN = 1e301  # a slack that means: no threshold is known
_EXACT = 1e-9  # smoothing, in units of a column, of slates that are only computed for their sum of the column
_OUT_OF_REACH = 1e6  # times a score that is in a slate for sure: beyond it, digits of the other scores would be lost
_SHORT = 1_000  # most candidates of a request whose scratch is used again, by as many threads as draw at once
_KEPT = 8  # number of slate sizes with cached rule arrays: requests choose the size, and the arrays cover all items


class Sample(NamedTuple):
    """A drawn slate, best first, and the probability that each of its items is shown.

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
        """The exploration of a request: the policy's own if that is None."""
        return self.own if given is None else Exploration.of(given)

    @cached_property
    def _own(self) -> _Slates:
        return _Slates(self.selector, self.selector.formula.of_class, self.selector.formula.n_classes)

    def _slates(self, request: Request) -> _Slates:
        if request.local is None:
            return self._own
        return _Slates(self.selector, request.local.of_class, request.items.size + 1)

    def propensities(self, asked: Asked, rule: Exploration) -> Floats:
        """(n,) probability that each candidate is shown."""
        request, scores, _, slate_request = asked
        n = scores.size
        x = np.zeros(n)
        slates = self._slates(request)
        allowed = np.arange(n)
        if slate_request.excluded.size:
            allowed = np.delete(allowed, slate_request.excluded)
        classes = self.selector.classes(request)[allowed]
        k = min(slate_request.k, allowed.size)
        if rule.smoothing > 0.0:
            column = None
            if self.data.slate.keep is not None:
                column = request.columns[self.data.columns.index(self.data.slate.keep[0])][allowed]
            x[allowed] = slates.smoothed(scores[allowed], classes, k, slate_request.min_size, rule.smoothing, column)
        elif rule.share < 1.0:
            x[self.selector.pick(request, scores, slate_request).positions] = 1.0
        if rule.share > 0.0:
            even = slates.even(classes, k)
            x *= 1.0 - rule.share
            x[allowed] += rule.share * even
        return np.minimum(x, 1.0, out=x)

    def warm(self) -> None:
        """Run the kernels of `propensities` and `draw` under these rules, for one unknown candidate."""
        slate, slates = self.data.slate, self._own
        unseen, one = np.array([self.selector.formula.n_classes - 1]), np.ones(1)
        slates.draw(0.5 * one, unseen, 1, 0)
        min_size = 1 if slate.at_least or slate.at_least_by_user is not None else 0
        slates.smoothed(one, unseen, 1, min_size, 1.0, None if slate.keep is None else one)
        if slates.keys:  # categories given in a request may nest or cross differently from the policy's own
            for labels in (1, 2):
                several = np.arange(labels, dtype=np.int32)
                drawing = Drawing([System("", np.array([0, labels]), several, labels, np.zeros(1))], 1)
                drawing.draw(0, 1, _slots(0.5 * one, np.zeros(1, np.int64), 1), 0, np.zeros(1, np.bool_))

    def draw(self, asked: Asked, x: Floats, seed: int) -> Sample:
        """A slate that has every candidate with its probability x, best first."""
        request, scores, _, slate_request = asked
        slates = self._slates(request)
        shown = slates.draw(x, self.selector.classes(request), min(slate_request.k, x.size), seed)
        of_item = self.selector.formula.of_item if request.local is None else request.local.of_item
        rank = of_item[1, request.key[shown]]  # -1 reads the last entry, which is for unseen items
        order = shown[np.lexsort((shown, rank, -scores[shown]))]
        return Sample(order, x[order])


class _Kernel(NamedTuple):
    """Rules of one user for the solver's kernels, and scratch of earlier requests, by whether they keep a share."""

    rules: Rules
    free: dict[bool, list[tuple[int, tuple[Local, Work]]]]

    @contextmanager
    def scratch(self, indptr: Ints) -> Iterator[tuple[Local, Work]]:
        """Scratch that no other thread has; to make it takes 20 us, so that of short requests is used again."""
        from oasis_alloc.kernels.rules.rules import scratch

        free = self.free.setdefault(self.rules.target.size > 0, [])
        try:
            longest, made = free.pop()
        except IndexError:
            longest = -1
        if longest < indptr[1]:
            longest, made = int(indptr[1]), scratch(0, 1, indptr, self.rules)
        yield made
        if longest <= _SHORT:
            free.append((longest, made))


class _Slates:
    """The rules of slates over some classes, for fractional x."""

    def __init__(self, selector: Selector, of_class: Mapping[str, Membership], n_classes: int) -> None:
        self.rule, self.keys = selector.data.slate, selector.keys
        self._free = np.zeros((1, 1, n_classes))  # no prices
        self._keys = {key: (*of_class[key], len(selector.data.item_keys[key].labels)) for key in self.keys}
        self._rules: dict[tuple[int, bool], _Kernel] = {}
        self._drawings: dict[int, Drawing] = {}

    def _systems(self, size: int, steps: bool) -> list[System]:
        out = []
        for key, (start, codes, n) in self._keys.items():
            max_items = max(1, min(self.rule.at_most.get(key, size), size))
            falls = steps and key in self.rule.diminishing
            steps_of_key = self.rule.diminishing[key].first(max_items) if falls else np.zeros(max_items)
            out.append(System(key, start, codes, max(1, n), steps_of_key))
        return out

    def _kernel(self, size: int, steps: bool, min_size: int = 0) -> _Kernel:
        """The rules of one user in the form of the solver's kernels."""
        found = self._rules.get((size, steps))
        if found is None:
            systems, sizes = tuple(self._systems(size, steps)), np.array([size])
            rules = LoweredRules(sizes, np.zeros_like(sizes), np.ones(1), systems, chain_of(systems))
            found = _Kernel(rules.kernel, {})
            if len(self._rules) >= 2 * _KEPT:
                self._rules.clear()
            self._rules[size, steps] = found
        return _Kernel(found.rules._replace(least=np.array([min_size])), found.free) if min_size else found

    def smoothed(
        self, scores: Floats, classes: Ints, size: int, min_size: int, gamma: float, kept: Floats | None
    ) -> Floats:
        """The x within the rules that maximizes s x - gamma/2 |x|^2 minus decrements; `kept`: the column of `keep`."""
        if not self.keys and min_size == 0 and kept is None:
            from oasis_alloc.kernels.draw import sample

            out = np.empty(scores.size)
            sample.smooth(scores, size, gamma, out)
            return out
        if min_size:  # no more than is possible
            filled = self._solve(np.ones(scores.size), classes, self._kernel(size, False), _EXACT)
            min_size = min(min_size, int(filled.sum() + 1e-6))
        elif kept is None:
            scores = self._within_reach(scores, classes, size, gamma)
        kernel = self._kernel(size, True, min_size)
        if kept is not None and self.rule.keep is not None:
            kept = kept / user_units(kept, np.array([0, kept.size]))[0]
            organic = kept @ self._solve(kept, classes, self._kernel(size, False, min_size), _EXACT)
            target = keep_target(np.array([organic]), self.rule.keep[1])
            kernel = _Kernel(kernel.rules._replace(guard=readonly(kept), target=target), kernel.free)
        return self._solve(scores, classes, kernel, gamma)

    def _within_reach(self, scores: Floats, classes: Ints, size: int, gamma: float) -> Floats:
        """Scores that lead to the same x, without numbers next to which the others are roundings.

        Candidates that the rules allow together are all shown where each is worth more than what it can displace: one
        other candidate per rule that it is under. Higher scores then change nothing, and are lowered.
        """
        order = np.argsort(-scores, kind="stable")[: size + 1]
        top = np.append(scores[order], 0.0)
        if scores.size == 0 or top[0] <= _OUT_OF_REACH * gamma:
            return scores
        systems = self._systems(size, True)
        rules = 1 + sum(int(np.diff(start).max(initial=0)) for start, _, _ in self._keys.values())
        finite = [step for system in systems for step in system.steps if step < np.inf]
        sure = 2.0 * (1 + rules) * (np.maximum(top[1:], 0.0) + gamma + max(finite, default=0.0))
        far = np.flatnonzero(top[:-1] > _OUT_OF_REACH * sure)
        far = far[far < size]
        if far.size == 0:
            return scores
        ahead = order[: far[-1] + 1]  # far ahead of all others
        for system in systems:
            of = [system.of[system.start[c] : system.start[c + 1]] for c in classes[ahead]]
            if np.bincount(np.concatenate(of), minlength=1).max(initial=0) > system.max_count:
                return scores
        lowered: Floats = np.minimum(scores, sure[far[-1]])
        return lowered

    def even(self, classes: Ints, size: int) -> Floats:
        """The x within the rules, without decrements, that is as large and as even as they allow."""
        if not self.keys:
            return np.full(classes.size, size / max(classes.size, 1))
        return self._solve(np.ones(classes.size), classes, self._kernel(size, False), 1.0)

    def _solve(self, scores: Floats, classes: Ints, kernel: _Kernel, gamma: float) -> Floats:
        from oasis_alloc.kernels.rules import ruled
        from oasis_alloc.kernels.solve import jobs
        from oasis_alloc.kernels.solve.visit import Pairs

        n = scores.size
        pairs = Pairs(
            readonly(np.array([0, n])), readonly(classes.astype(np.uint32)), readonly(np.array(scores, np.float64)),
            readonly(np.empty((0, n))), readonly(np.zeros(1, np.uint32)),
        )  # fmt: skip
        x = np.zeros(n)
        point = jobs.Point(self._free, gamma, _UNKNOWN, np.zeros(1), np.zeros(1), jobs.no_further())
        with kernel.scratch(pairs.indptr) as made:
            job, rules = (ruled.ALLOCATE, jobs.Users(0, 1, 1)), kernel.rules
            ruled.visit(*job, pairs, point, jobs.no_sums(), jobs.marks(x=x), rules, *made)
        return x

    def draw(self, x: Floats, classes: Ints, size: int, seed: int) -> Ints:
        """Positions of a slate that has each candidate with its probability x."""
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
    """One user in the form of the drawing kernels."""
    from oasis_alloc.kernels.draw.rounding import Slots

    one = np.array([size])
    return Slots(np.array([0, x.size]), classes, x, one, np.zeros_like(one))
