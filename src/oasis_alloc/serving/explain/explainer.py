"""Computes why a slate was chosen: the margin of every decision, and the smallest change that would reverse it.

Greedy picks candidates one by one. A candidate that is not picked changes nothing, so the score from which it would be
picked is exact: along the greedy path without it, the minimum over steps of (marginal picked at the step + cost of the
candidate's categories at that step), or of the threshold of a slot that stays empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oasis_alloc.serving.explain.explanation import Change, Explanation, Reason
from oasis_alloc.serving.explain.score_parts import ScorePart, ScoreParts
from oasis_alloc.serving.request.scorer import Asked
from oasis_alloc.serving.request.selection import Picked, Selector

# shares of a change, and whether it reverses the decision by then
_TRIAL = np.array([0.5, 1.0 - 1e-6, 1.0 + 1e-6]), np.array([False, False, True])
_CLEAR = 1e-6  # of the largest number compared: a millionth of such a change is ten thousand times its rounding

Uses = dict[tuple[str, Any], tuple[float, float]]
"""{(constraint, group): (price, use)} of the prices that a candidate pays."""


class PricePath:
    """What every candidate would have had to be worth at every step of a slate."""

    def __init__(self, selector: Selector, asked: Asked, picked: Picked) -> None:
        request, scores, _, slate_request = asked
        self.keys, self._slate_request = selector.keys, slate_request
        rules, classes = selector.rules_for(request), selector.classes(request)
        self._costs = costs = selector.category_costs(slate_request.k)
        size = np.diff(rules.start)[classes]
        candidate = np.repeat(np.arange(classes.size), size)
        self._first = np.append(0, np.cumsum(size))  # of each candidate's categories
        first = np.repeat(rules.start[classes] - self._first[:-1], size)
        self._category = category = rules.category[first + np.arange(candidate.size)]
        self._system = rules.system[category]
        counts, last = np.zeros(rules.system.size, np.int64), costs.cost.shape[1] - 1
        cost = []
        for position in [*picked.positions.tolist(), -1]:
            at = np.minimum(counts[category], last)
            cost.append(np.bincount(candidate, costs.cost[self._system, at], classes.size))
            if position >= 0:
                np.add.at(counts, category[self._first[position] : self._first[position + 1]], 1)
        # at the end, by category
        self._soft, self._cap = costs.soft[self._system, at], costs.flat[self._system, at]
        # their decrements after the whole slate
        self.decrement = np.bincount(candidate, self._soft, classes.size).astype(np.float64)
        self.is_full = picked.positions.size >= slate_request.k
        opened = self._opened(picked)
        self._bar = opened if not self.is_full else float(picked.marginal[-1]) if slate_request.k else np.inf
        needed = picked.marginal[:, None] + np.array(cost)[:-1]
        # a cap excludes items, also with `fill`
        empty = np.where(np.isinf(cost[-1]), np.inf, opened) + cost[-1]
        needed = np.vstack([needed[slate_request.pinned.size :], *([] if self.is_full else [empty])])
        step = np.argmin(needed, 0) if len(needed) else np.zeros(scores.size, np.int64)
        self.threshold = needed.min(0, initial=np.inf)  # score from which a candidate is picked, and
        self.rival = np.append(picked.positions[slate_request.pinned.size :], -1)[step]  # its rival; -1: an empty slot

    def _opened(self, picked: Picked) -> float:
        """The score that would fill an empty slot."""
        return -np.inf if picked.positions.size < self._slate_request.min_size else self._slate_request.floor

    def without(self, i: int, other: Picked) -> float:
        """Score from which candidate i is picked, if `other` is the slate without it."""
        mine = slice(self._first[i], self._first[i + 1])
        counts = dict.fromkeys(self._category[mine].tolist(), 0)
        steps, last = self._costs.cost[self._system[mine]].tolist(), self._costs.cost.shape[1] - 1
        needed = []
        for position, marginal in zip(other.positions.tolist(), other.marginal.tolist(), strict=True):
            needed.append(marginal + _paid(steps, counts, last))
            for category in self._category[self._first[position] : self._first[position + 1]].tolist():
                if category in counts:
                    counts[category] += 1
        if other.positions.size < self._slate_request.k:
            cost = _paid(steps, counts, last)
            needed.append(cost if math.isinf(cost) else self._opened(other) + cost)
        return min(needed[self._slate_request.pinned.size :], default=np.inf)

    def rule(self, i: int, score: float) -> str:
        """Why candidate i was not picked."""
        if score <= self._bar:
            return "score" if self.is_full else "worth"
        mine = slice(self._first[i], self._first[i + 1])
        soft, system = self._soft[mine], self._system[mine]
        if score - soft.sum() <= self._bar:
            return f"diminishing {self.keys[system[int(np.argmax(soft))]]}"
        full = np.flatnonzero(np.isinf(self._cap[mine]))
        return f"at_most {self.keys[system[full[0]]]}" if full.size else "score"


def _paid(steps: Sequence[Sequence[float]], counts: Mapping[int, int], last: int) -> float:
    """The cost of categories at these counts, summed in order."""
    cost = 0.0
    for step, count in zip(steps, counts.values(), strict=True):
        cost += step[min(count, last)]
    return cost


class Explainer:
    """Explains the slates of one policy."""

    def __init__(self, score_parts: ScoreParts, selector: Selector) -> None:
        self.score_parts, self.selector, self.data = score_parts, selector, selector.data
        # with several terms, a change of one price would change the cost of more groups
        self.single = {constraint.name for constraint in self.data.constraints if len(constraint.terms) == 1}

    def explain(self, asked: Asked) -> Explanation:
        """See `Policy.explain`."""
        data, (request, scores, user, slate_request) = self.data, asked
        pick = self.selector.pick
        picked, free = pick(request, scores, slate_request), pick(request, scores, slate_request, keep=False)
        rank = {position: k for k, position in enumerate(picked.positions.tolist())}
        unguarded = set(free.positions.tolist())
        is_free = set(rank) == unguarded
        path = PricePath(self.selector, asked, free)
        organic = request.columns[data.columns.index(data.organic)].tolist()
        keys = self.selector.formula.of_class if request.local is None else request.local.of_class
        values, classes = scores.tolist(), self.selector.classes(request).tolist()
        parts = self.score_parts.parts(keys, classes, user.codes, request.columns, values)
        reversal = Reversal(self, asked, classes, parts)
        ids = [self._id(item) for item in request.items.tolist()]
        excluded, pinned = set(slate_request.excluded.tolist()), set(slate_request.pinned.tolist())
        thresholds, rivals, decrements = path.threshold.tolist(), path.rival.tolist(), path.decrement.tolist()
        reasons = []
        for i, score in enumerate(values):
            shown = i in rank
            threshold, rival = np.nan, -1
            changes: tuple[Change, ...] = ()
            rule = "pinned" if i in pinned else "exclude" if i in excluded else ""
            if not rule and shown != (i in unguarded):
                rule = f"keep {data.slate.keep[0]}" if data.slate.keep is not None else ""
            elif not rule and not shown:
                rule = path.rule(i, score)
            if is_free and i not in pinned and i not in excluded:
                threshold, rival = thresholds[i], rivals[i]
                if shown:
                    other = pick(request, scores, slate_request.without(i), keep=False)
                    threshold = path.without(i, other)
                    rival = next((p for p in other.positions.tolist() if p not in rank), -1)
                changes = reversal.changes(i, shown, threshold, rival)
            decrement = score - float(picked.marginal[rank[i]]) if shown else decrements[i]
            reasons.append(
                Reason(
                    position=i, item=ids[i], organic=organic[i], score=score, parts=parts[i], decrement=decrement,
                    marginal=score - decrement, rank=rank.get(i), rule=rule, threshold=threshold,
                    margin=score - threshold, rival=None if rival < 0 else rival,
                    rival_item=None if rival < 0 else ids[rival], changes=changes,
                )
            )  # fmt: skip
        return Explanation(tuple(reasons), data.policy_id, data.organic)

    def _id(self, item: int) -> Any:
        if item < 0:
            return None
        return item if self.data.items is None else self.data.items[item]


class Reversal:
    """Finds the changes that reverse decisions about one request."""

    def __init__(
        self, explainer: Explainer, asked: Asked, classes: list[int], parts: Sequence[Sequence[ScorePart]]
    ) -> None:
        data, selector, (request, scores, user, slate_request) = explainer.data, explainer.selector, asked
        self._uses: list[Uses] = [
            {(p.name, p.group): (p.price, p.use) for p in own if p.kind == "price" and p.name in explainer.single}
            for own in parts
        ]
        self._payers: dict[tuple[str, Any], dict[int, float]] = {}
        for i, uses in enumerate(self._uses):
            for group, (_, use) in uses.items():
                self._payers.setdefault(group, {})[i] = use
        self._organic, self._now = data.organic, request.columns[data.columns.index(data.organic)].tolist()
        slope = sum(weight for column, weight in data.weights if column == data.organic)
        self._slopes = [slope] * scores.size
        if data.organic in selector.formula.columns:
            table = user.table if request.local is None else request.local.table
            paid = table[selector.formula.columns.index(data.organic)].tolist()
            self._slopes = [slope - paid[klass] for klass in classes]
        self._scores = scores.tolist()
        masked = scores.copy()
        masked[slate_request.excluded] = -np.inf
        of_item = selector.formula.of_item if request.local is None else request.local.of_item
        cost = selector.category_costs(slate_request.k).cost
        self._largest = max(float(np.abs(scores).max(initial=0.0)), float(cost[np.isfinite(cost)].sum()))
        rules = selector.rules_for(request)
        counts = np.zeros(rules.system.size, np.int64)
        fill = slate_request.pinned.size, slate_request.k, slate_request.min_size, slate_request.floor
        self._read = (masked, request.key, of_item), (rules.array, cost, counts), fill, slate_request.pinned

    def changes(self, i: int, shown: bool, threshold: float, rival: int) -> tuple[Change, ...]:
        """Changes of the organic column and of a price, each verified before it is reported."""
        short = threshold - self._scores[i]
        if not math.isfinite(short):
            return ()
        out = []
        if (slope := self._slopes[i]) > 0:
            out.append(Change("column", self._organic, None, self._now[i], self._now[i] + short / slope))
        mine, theirs = self._uses[i], self._uses[rival] if rival >= 0 else {}
        for group, (price, use) in sorted(mine.items(), key=lambda entry: -abs(entry[1][0] * entry[1][1])):
            apart = use - theirs.get(group, (price, 0.0))[1]
            if abs(apart) > 1e-12:
                change = Change("price", *group, price, price - short / apart)
                # a cap's price stays a price, a floor's a bonus
                if price * change.to >= 0 and (self._is_alone(short, group) or self._reverses(i, shown, change)):
                    out.append(change)
                    break
        return tuple(out)

    def _is_alone(self, short: float, group: tuple[str, Any]) -> bool:
        """Whether a price moves only one candidate, by more than rounding: then its threshold decides."""
        return len(self._payers[group]) == 1 and abs(short) > _CLEAR * self._largest

    def _reverses(self, i: int, shown: bool, change: Change) -> bool:
        """Whether the decision reverses at the change, and not before: the price also moves others of the group."""
        from oasis_alloc.kernels.serve.reversal import reverses

        payers = self._payers[change.name, change.group]
        use = np.zeros(len(self._scores))
        use[list(payers)] = list(payers.values())
        return bool(reverses(i, shown, (change.to - change.now, use), _TRIAL, *self._read))
