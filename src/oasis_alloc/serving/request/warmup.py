"""Every kernel of serving called once with arrays of the types that requests have, before there are requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from oasis_alloc.common.arrays import readonly


class Warmed(Protocol):
    """What is called of a policy."""

    def encode(self, ids: Any) -> Any:
        """Numbers of items by their ids."""

    def warm_draws(self) -> object:
        """Compile what draws need."""

    @property
    def is_calibrated(self) -> bool:
        """Whether columns of requests are mapped."""


def kernels() -> dict[str, Any]:
    """The compiled functions that requests of every policy call, by name; draws under rules call further ones."""
    from oasis_alloc.kernels.draw import sample
    from oasis_alloc.kernels.serve import (
        checked,
        diversify,
        diversify_window,
        reversal,
        select_one,
        select_users,
    )
    from oasis_alloc.kernels.serve import (
        score as serve,
    )

    return {
        "score": serve.score, "best": serve.best, "checked_scores": checked.checked_scores,
        "checked_best": checked.checked_best, "pick_scored": select_one.pick_scored,
        "pick_one": select_one.pick_one, "keep_scored": select_one.keep_scored, "keep_one": select_one.keep_one,
        "select_users": select_users.select_users, "reverses": reversal.reverses, "add": serve.add,
        "charge": serve.charge, "mmr": diversify.mmr, "dpp": diversify.dpp, "dpp_window": diversify_window.dpp_window,
        "systematic": sample.systematic, "smooth": sample.smooth,
    }  # fmt: skip


def warmup(policy: Warmed, draws: bool = True) -> dict[str, float]:
    """See `Policy.warmup`; types do not depend on the policy, so one does for all that follow it."""
    run = kernels()
    items, out, marginal, info = np.full(1, -1), np.zeros(1, np.int64), np.zeros(1), np.zeros(4)
    columns, scores = np.zeros((1, 1)), np.zeros(1)
    of_item, table, blend = np.zeros((2, 1), np.uint32), readonly(np.zeros((1, 1))), np.zeros(1)
    rules, counts, costs = np.zeros(5, np.int64), np.zeros(0, np.int64), np.zeros((0, 1))
    pointers, segment = readonly(np.zeros(2, np.int64)), np.zeros(1, np.int64)
    unsigned = readonly(np.zeros(1, np.uint32))
    tables, class_of = readonly(np.zeros((1, 2, 1))), readonly(np.zeros(1, np.uint32))
    prices_of_one, bits = (blend, of_item, table), np.zeros(1, np.uint64)
    scored = (1, items, columns, *prices_of_one)
    request, unscored = (scores, items, of_item), (items, columns, blend, of_item, scores)
    by_category, fill, slate, keep = (rules, costs, counts), (0, 1, 0, 0.0), (out, marginal), (scores, costs, 0.5)
    vectors, trial = (np.zeros((1, 1), np.float32), items), (scores, np.zeros(1, np.bool_))
    prices, slates = (blend, of_item, tables, segment), (scores, np.zeros((1, 1), np.int64))
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("score", (*scored, scores)),
        ("best", (*scored, 1, 0, 0.0, scores, out)),
        ("checked_scores", (1, items, columns, -1, True, *prices_of_one, bits)),
        ("checked_best", (1, items, columns, *prices_of_one, bits, 1, 0, 0.0, out)),
        ("pick_scored", (1, request, by_category, fill, slate)),
        ("pick_one", (1, table, 1, 0, unscored, by_category, slate)),
        ("keep_scored", (1, request, by_category, fill, keep, slate, info)),
        ("keep_one", (1, table, (1, 0), unscored, by_category, keep, slate)),
        (
            "select_users",
            (0, 1, (pointers, items, columns), prices, (out, out), (rules, costs, costs, -1, 0.0), True, slates),
        ),
        ("reverses", (0, False, (0.0, scores), trial, request, by_category, fill, out[:0])),
    ]
    for column in (None, readonly(np.zeros(1, np.float32)), readonly(np.zeros(1))):
        if column is not None:
            calls.append(("add", (0, 1, 1.0, column, scores)))
        calls.append(("charge", (0, 1, (pointers, unsigned), class_of, (tables, segment, 0), column, scores)))
    calls += [
        ("mmr", (1, request, by_category, fill, vectors, 0.5, slate, keep)),
        ("dpp", (1, request, by_category, fill, vectors, 0.5, slate, keep)),
        ("dpp_window", (1, request, by_category, fill, vectors, (0.5, 1), slate, keep)),
        ("systematic", (scores, 1, 0, 0, out)), ("smooth", (scores, 1, 1.0, scores)),
    ]  # fmt: skip
    steps: list[tuple[str, Callable[[], object]]] = [(name, partial(run[name], *call)) for name, call in calls]
    if policy.is_calibrated:
        steps += [
            (name, partial(of, *call)) for name, of, call in _calibrating(items, scores, of_item, table, bits, out)
        ]
    policy.encode(())  # makes the mapping of ids
    if draws:
        steps.append(("draws", policy.warm_draws))
    seconds: dict[str, float] = {}
    for name, call in steps:
        started = time.perf_counter()
        call()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
    return seconds


def _calibrating(
    items: Any, scores: Any, of_item: Any, table: Any, bits: Any, out: Any
) -> list[tuple[str, Callable[..., object], tuple[Any, ...]]]:
    """Calls of what policies with calibrated columns run besides."""
    from oasis_alloc.kernels.serve import calibrate, score_calibrated

    columns, plan, blend = np.zeros((4, 1)), np.zeros(6), np.zeros(1)
    prices, kind = (blend, of_item, table), np.zeros(1, np.int64)
    checked = (1, items, columns)
    return [
        ("calibrate", calibrate.calibrate, (0, 1, items, columns, 1, plan, of_item, columns.copy())),
        ("calibrated_scores", score_calibrated.calibrated_scores, (*checked, -1, True, *prices, bits, plan)),
        ("calibrated_best", score_calibrated.calibrated_best, (*checked, *prices, bits, 1, 0, 0.0, out, plan)),
        (
            "best_calibrated", score_calibrated.best_calibrated,
            (1, items, np.zeros((2, 2, 1)), False, *prices, 1, 0, 0.0, scores, out, plan),
        ),
        (
            "score_calibrated", score_calibrated.score_calibrated,
            (1, items, np.zeros((2, 2, 1)), False, *prices, scores, plan),
        ),
        (
            "calibrate_users", calibrate.calibrate_users,
            (kind, kind, items, scores, 0, kind, np.zeros(6), of_item, scores.copy()),
        ),
    ]  # fmt: skip
