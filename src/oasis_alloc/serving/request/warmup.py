"""Every kernel of serving called once with arrays of the types that requests have, before there are requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from oasis_alloc.common.arrays import readonly


class Warmed(Protocol):
    """What is called of a policy."""

    def encode(self, ids: Any) -> Any:
        """Numbers of items by their ids."""

    def warm_draws(self) -> object:
        """Compile what draws need."""


def kernels() -> dict[str, Any]:
    """The compiled functions that requests of every policy call, by name; draws under rules call further ones."""
    from oasis_alloc.kernels.draw import sample
    from oasis_alloc.kernels.serve import (
        diverse_keep,
        diversify,
        diversify_window,
        reversal,
        select_users,
        slate_keep,
        slate_pick,
    )
    from oasis_alloc.kernels.serve import (
        score as serve,
    )

    return {
        "score": serve.score, "best": serve.best, "pick": slate_pick.pick, "keep": slate_keep.keep,
        "select_users": select_users.select_users, "reverses": reversal.reverses, "add": serve.add,
        "charge": serve.charge, "charge_column": serve.charge_column, "mmr": diversify.mmr, "dpp": diversify.dpp,
        "dpp_window": diversify_window.dpp_window, "mmr_keep": diverse_keep.mmr, "dpp_keep": diverse_keep.dpp,
        "dpp_window_keep": diverse_keep.dpp_window, "systematic": sample.systematic, "smooth": sample.smooth,
    }  # fmt: skip


def warmup(policy: Warmed, draws: bool = True) -> dict[str, float]:
    """See `Policy.warmup`; types do not depend on the policy, so one does for all that follow it."""
    from oasis_alloc.kernels.serve.select_users import SlateArrays

    run = kernels()
    items, out, marginal, info = np.full(1, -1), np.zeros(1, np.int64), np.zeros(1), np.zeros(4)
    columns, scores = np.zeros((1, 1)), np.zeros(1)
    of_item, table, blend = np.zeros((2, 1), np.uint32), readonly(np.zeros((1, 1))), np.zeros(1)
    rules, counts, stairs = np.zeros(5, np.int64), np.zeros(0, np.int64), np.zeros((0, 1))
    pointers, segment = readonly(np.zeros(2, np.int64)), np.zeros(1, np.int64)
    unsigned = readonly(np.zeros(1, np.uint32))
    tables, class_of = readonly(np.zeros((1, 2, 1))), readonly(np.zeros(1, np.uint32))
    scored = (1, items, columns, blend, of_item, table)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("score", lambda: run["score"](*scored, scores)),
        ("best", lambda: run["best"](*scored, 1, 0, 0.0, scores, out)),
        ("pick", lambda: run["pick"](1, scores, items, of_item, rules, stairs, counts, 0, 1, 0, 0.0, out, marginal)),
        (
            "keep",
            lambda: run["keep"](
                1, scores, scores, items, of_item, rules, stairs, stairs, counts, 0, 1, 0, 0.0, 0.5, out, marginal, info
            ),
        ),
        (
            "select_users",
            lambda: run["select_users"](
                0, 1, pointers, items, columns, blend, of_item, tables, segment, out, out,
                SlateArrays(rules, stairs, stairs, -1, 0.0), True, scores, np.zeros((1, 1), np.int64),
            ),
        ),
        (
            "reverses",
            lambda: run["reverses"](
                0, False, 0.0, scores, scores, np.zeros(1, np.bool_), scores, items, of_item, rules, stairs, out[:0], 1,
                0, 0.0,
            ),
        ),
        ("charge", lambda: run["charge"](0, 1, pointers, unsigned, class_of, tables, segment, scores)),
    ]
    for dtype in (np.float32, np.float64):
        column = readonly(np.zeros(1, dtype))
        calls.append(("add", lambda column=column: run["add"](0, 1, 1.0, column, scores)))  # type: ignore[misc]
        calls.append(
            (
                "charge_column",
                lambda column=column: run["charge_column"](  # type: ignore[misc]
                    0, 1, pointers, unsigned, class_of, tables, 1, column, segment, scores
                ),
            )
        )
    rows, picked = np.zeros((1, 1), np.float32), (1, scores, items, of_item, rules, stairs, counts, 0, 1, 0, 0.0)
    kept = (scores, stairs, 0.5)
    calls += [
        ("mmr", lambda: run["mmr"](*picked, rows, items, 0.5, out, marginal)),
        ("dpp", lambda: run["dpp"](*picked, rows, items, 0.5, out, marginal)),
        ("dpp_window", lambda: run["dpp_window"](*picked, rows, items, 0.5, 1, out, marginal)),
        ("mmr_keep", lambda: run["mmr_keep"](*picked, rows, items, 0.5, out, marginal, *kept)),
        ("dpp_keep", lambda: run["dpp_keep"](*picked, rows, items, 0.5, out, marginal, *kept)),
        ("dpp_window_keep", lambda: run["dpp_window_keep"](*picked, rows, items, 0.5, 1, out, marginal, *kept)),
        ("systematic", lambda: run["systematic"](scores, 1, 0, 0, out)),
        ("smooth", lambda: run["smooth"](scores, 1, 1.0, scores)),
    ]
    policy.encode(())  # makes the mapping of ids
    if draws:
        calls.append(("draws", policy.warm_draws))
    seconds: dict[str, float] = {}
    for name, call in calls:
        started = time.perf_counter()
        call()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
    return seconds
