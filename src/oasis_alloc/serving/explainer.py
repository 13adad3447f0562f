"""Works out why a slate is what it is: how near every decision was, and the smallest change that would reverse it.

Greedy takes candidates one after the other. As long as a candidate is not taken it changes nothing, so the score from
which on it would be taken is exact: along the path that greedy takes without it, the least of (marginal taken at a step
+ what the candidate's categories cost at that step), or of a slot that stays empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oasis_alloc.serving.data import Floats
from oasis_alloc.serving.explanation import Change, Explanation, Reason
from oasis_alloc.serving.parts import Ledger, Part
from oasis_alloc.serving.requests import Request, User
from oasis_alloc.serving.selection import Picked, Selector, Wishes

_TRIED = ((0.5, False), (1.0 - 1e-6, False), (1.0 + 1e-6, True))  # shares of a change, and whether it reverses by then

Uses = dict[tuple[str, Any], tuple[float, float]]
"""{(constraint, group): (price, use)} of the prices that a candidate pays."""


class Path:
    """What every candidate would have had to be worth at every step of a slate."""

    def __init__(self, selector: Selector, request: Request, picked: Picked, wishes: Wishes) -> None:
        self.keys, self.picked, self.pinned = selector.keys, picked, wishes.pinned.size
        rules, stairs, classes = selector.rules_for(request), selector.stairs(wishes.k), selector.classes(request)
        size = np.diff(rules.start)[classes]
        self.candidate = np.repeat(np.arange(classes.size), size)
        first = np.repeat(rules.start[classes] - np.cumsum(size) + size, size)
        category = rules.category[first + np.arange(self.candidate.size)]
        self.system = rules.system[category]
        counts = np.zeros(rules.system.size, np.int64)
        cost = []
        for position in [*picked.positions.tolist(), -1]:
            at = np.minimum(counts[category], stairs.cost.shape[1] - 1)
            cost.append(np.bincount(self.candidate, stairs.cost[self.system, at], classes.size))
            np.add.at(counts, category[self.candidate == position], 1)
        self.cost = np.array(cost)  # (steps + 1, n)
        self.soft, self.cap = stairs.soft[self.system, at], stairs.flat[self.system, at]  # at the end, by category
        self.is_full = picked.positions.size >= wishes.k
        self.open = -np.inf if picked.positions.size < wishes.least else wishes.floor
        self.bar = self.open if not self.is_full else float(picked.marginal[-1]) if wishes.k else np.inf

    def threshold(self, i: int) -> tuple[float, int | None]:
        """(score from which on candidate i is taken, whose place it takes); None for an empty slot."""
        needed = self.picked.marginal[self.pinned :] + self.cost[self.pinned : -1, i]
        if not self.is_full:
            needed = np.append(needed, self.open + self.cost[-1, i])
        if not needed.size:
            return np.inf, None
        step = self.pinned + int(np.argmin(needed))
        taken = self.picked.positions
        return float(needed.min()), int(taken[step]) if step < taken.size else None

    def decrement(self, i: int) -> float:
        """What decrements take off candidate i after the whole slate."""
        return float(self.soft[self.candidate == i].sum())

    def rule(self, i: int, score: float) -> str:
        """Why candidate i was not taken."""
        mine = self.candidate == i
        if score <= self.bar:
            return "score" if self.is_full else "worth"
        if score - self.soft[mine].sum() <= self.bar:
            return f"diminishing {self.keys[self.system[mine][int(np.argmax(self.soft[mine]))]]}"
        full = np.flatnonzero(mine)[np.isinf(self.cap[mine])]
        return f"at_most {self.keys[self.system[full[0]]]}" if full.size else "score"


class Explainer:
    """Explains the slates of one policy."""

    def __init__(self, ledger: Ledger, selector: Selector) -> None:
        self.ledger, self.selector, self.data = ledger, selector, selector.data
        # of several terms, a change of one price would change more than these groups pay
        self.single = {constraint.name for constraint in self.data.constraints if len(constraint.terms) == 1}

    def explain(self, request: Request, scores: Floats, user: User, wishes: Wishes) -> Explanation:
        """See `Policy.explain`."""
        data, pick, n = self.data, self.selector.pick, scores.size
        picked, free = pick(request, scores, wishes), pick(request, scores, wishes, keep=False)
        rank = {position: k for k, position in enumerate(picked.positions.tolist())}
        unguarded = set(free.positions.tolist())
        path = Path(self.selector, request, free, wishes)
        organic = request.columns[data.columns.index(data.organic)]
        keys = self.selector.formula.of_class if request.local is None else request.local.of_class
        classes = self.selector.classes(request).tolist()
        parts = [
            self.ledger.parts(keys, classes[i], user.codes, request.columns[:, i], float(scores[i])) for i in range(n)
        ]
        uses = [self._uses(own) for own in parts]
        ids = [self._id(item) for item in request.items.tolist()]
        excluded, pinned = set(wishes.excluded.tolist()), set(wishes.pinned.tolist())
        reasons = []
        for i in range(n):
            score, shown = float(scores[i]), i in rank
            threshold, rival = np.nan, None
            changes: tuple[Change, ...] = ()
            rule = "pinned" if i in pinned else "exclude" if i in excluded else ""
            if not rule and shown != (i in unguarded):
                rule = f"keep {data.slate.keep[0]}" if data.slate.keep is not None else ""
            elif not rule and not shown:
                rule = path.rule(i, score)
            if set(rank) == unguarded and i not in pinned and i not in excluded:
                if shown:
                    other = pick(request, scores, wishes.without(i), keep=False)
                    threshold, _ = Path(self.selector, request, other, wishes).threshold(i)
                    rival = next((p for p in other.positions.tolist() if p not in rank), None)
                else:
                    threshold, rival = path.threshold(i)
                changes = self._changes(request, scores, wishes, uses, i, shown, threshold, rival, classes[i], user)
            decrement = score - float(picked.marginal[rank[i]]) if shown else path.decrement(i)
            reasons.append(
                Reason(
                    position=i, item=ids[i], organic=float(organic[i]), score=score, parts=parts[i],
                    decrement=decrement, marginal=score - decrement, rank=rank.get(i), rule=rule, threshold=threshold,
                    margin=score - threshold, rival=rival, rival_item=None if rival is None else ids[rival],
                    changes=changes,
                )
            )  # fmt: skip
        return Explanation(tuple(reasons), data.policy_id, data.organic)

    def _id(self, item: int) -> Any:
        if item < 0:
            return None
        return item if self.data.items is None else self.data.items[item]

    def _changes(
        self, request: Request, scores: Floats, wishes: Wishes, uses: Sequence[Uses], i: int, shown: bool,
        threshold: float, rival: int | None, klass: int, user: User,
    ) -> tuple[Change, ...]:  # fmt: skip
        """Changes of the organic column and of a price, tried before they are told."""
        short = threshold - float(scores[i])
        if not np.isfinite(short):
            return ()
        out = []
        data, place = self.data, self.selector.formula.columns
        table = user.table if request.local is None else request.local.table
        slope = sum(weight for column, weight in data.weights if column == data.organic)
        if data.organic in place:
            slope -= float(table[place.index(data.organic), klass])
        if slope > 0:
            now = float(request.columns[data.columns.index(data.organic), i])
            out.append(Change("column", data.organic, None, now, now + short / slope))
        mine, theirs = uses[i], uses[rival] if rival is not None else {}
        for (name, group), (price, use) in sorted(mine.items(), key=lambda entry: -abs(entry[1][0] * entry[1][1])):
            apart = use - theirs.get((name, group), (price, 0.0))[1]
            if abs(apart) > 1e-12:
                change = Change("price", name, group, price, price - short / apart)
                # a cap's price stays a price, a floor's a bonus
                if price * change.to >= 0 and self._reverses(request, scores, wishes, uses, i, shown, change):
                    out.append(change)
                    break
        return tuple(out)

    def _uses(self, parts: Sequence[Part]) -> Uses:
        return {
            (part.name, part.group): (part.price, part.use)
            for part in parts
            if part.kind == "price" and part.name in self.single
        }

    def _reverses(
        self,
        request: Request,
        scores: Floats,
        wishes: Wishes,
        uses: Sequence[Uses],
        i: int,
        shown: bool,
        change: Change,
    ) -> bool:
        """Whether a price at the change, and not before it, reverses: others of the group are moved by it as well."""
        use = np.array([own.get((change.name, change.group), (0.0, 0.0))[1] for own in uses])
        for share, reverses in _TRIED:
            moved = scores - share * (change.to - change.now) * use
            if ((i in self.selector.pick(request, moved, wishes, keep=False).positions) != shown) != reverses:
                return False
        return True
