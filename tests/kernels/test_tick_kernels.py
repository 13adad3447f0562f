"""Kernels of ticks against the same in NumPy, with and without limits, prices of both signs, and stopped goals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oasis_alloc.kernels.pace import limits, prices

N = 500


def numbers(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    cap = np.where(rng.random(N) < 0.3, np.inf, rng.integers(0, 90, N).astype(float))
    floor = np.where((rng.random(N) < 0.4) | ~np.isfinite(cap), -np.inf, np.floor(0.7 * np.where(cap < np.inf, cap, 0)))
    price = np.where(rng.random(N) < 0.2, 0.0, rng.normal(0.0, 0.5, N))
    return {
        "cap": cap, "floor": floor, "price": price, "high": np.where(cap < np.inf, 1.0, 0.0),
        "low": np.where(floor > -np.inf, -1.0, 0.0), "scale": rng.uniform(0.05, 0.5, N),
        "used": rng.integers(0, 9, N).astype(float), "unit": np.where((cap < np.inf) & (cap > 0), cap, 1.0),
        "live": rng.random(N) < 0.9, "elapsed": rng.random(N), "before": rng.integers(0, 60, N).astype(float),
        "of_rest": rng.random(N), "of_all": rng.random(N) * (rng.random(N) < 0.9), "seen": rng.random(N),
        "start": rng.uniform(0, 50, N), "end": rng.uniform(40, 99, N), "whole": rng.random(N) < 0.5,
    }  # fmt: skip


def missed(d: dict[str, Any], floor: Any, cap: Any) -> Any:
    inside = np.clip(d["used"], floor, cap)
    planned = np.where(d["price"] > 0, cap, np.where(d["price"] < 0, floor, inside))
    planned = np.where(np.isfinite(planned), planned, d["used"] + np.sign(d["price"]) * d["unit"])
    return d["used"] - planned


def limited(d: dict[str, Any], wanted: Any) -> Any:
    out = np.clip(wanted, d["low"], d["high"])
    return np.where(d["live"], np.where(d["price"] * out < 0, 0.0, out), d["price"])


@pytest.mark.parametrize("seed", range(3))
def test_steps_are_those_of_numpy(seed: int) -> None:
    d, out = numbers(seed), np.empty(N)
    floor, cap = d["floor"] * 0.1, d["cap"] * 0.1
    interval = prices.Interval(d["live"], d["price"], d["low"], d["high"], d["scale"], d["used"], floor, cap, d["unit"])
    error = missed(d, floor, cap)
    prices.errors(d["price"], d["used"], floor, cap, d["unit"], out)
    assert (out == error).all()
    near = np.minimum(d["elapsed"], 1.0 - d["elapsed"])
    tau = np.maximum(np.clip(0.9 * near, 0.02, max(0.1, 0.02)), 1.0 / (0.25 * d["unit"]))
    wanted = limited(d, d["price"] + d["scale"] * np.clip(error / (d["unit"] * tau), -0.25, 0.25))
    for caps_only in (False, True):
        prices.adaptive(interval, d["elapsed"], 0.02, 0.1, 0.9, 0.25, caps_only, out)
        assert (out == (np.where(d["live"], np.maximum(wanted, 0.0), wanted) if caps_only else wanted)).all()
    x = np.clip(error / (d["unit"] * 0.05), -0.25, 0.25)
    prices.mirror(interval, 0.05, 0.25, False, out)
    assert (out == limited(d, d["price"] + d["scale"] * x)).all()
    prices.mirror(interval, 0.05, 0.25, True, out)
    entropic = d["scale"] * np.sinh(np.arcsinh(d["price"] / d["scale"]) + x)
    assert out == pytest.approx(limited(d, entropic), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_limits_are_those_of_numpy(seed: int) -> None:
    d, out, flags = numbers(seed), np.empty(N), np.empty(N, np.bool_)
    hard = np.stack([d["cap"], np.where(d["whole"], 40.0, np.inf), np.full(N, np.inf)])
    had = np.stack([np.zeros(N), d["before"] * 0.5, d["before"] * 0.9])
    limits.left(hard, d["before"], had[1:], out)
    left = np.maximum((hard - (d["before"] - had)).min(axis=0), 0.0)
    assert (out == left).all()
    for replicas, replica in ((1, 0), (7, 2), (7, 6)):
        limits.share(d["whole"], left, replicas, replica, out)
        units = np.floor(np.where(d["whole"] & np.isfinite(left), left, 0.0) + 1e-9)
        odd = units // replicas + (replica < units % replicas)
        assert (out == np.where(d["whole"] & np.isfinite(left), odd, left / replicas)).all()
    least = np.where(d["whole"], 1.0, 0.0)
    limits.stopped(50.0, d["start"], d["end"], least, ~d["live"], left, flags)
    off = (d["start"] > 50.0) | (d["end"] <= 50.0) | (left < least) | (left <= 0.0)
    assert (flags == (off & d["live"])).all()
    rows = np.empty((7, N))
    limits.planned(
        60.0, 50.0, limits.Flights(d["cap"], d["floor"], d["start"], d["end"], ~d["live"]), d["before"],
        d["before"] + d["used"], limits.Due(d["of_rest"], d["of_all"], d["seen"]), rows, flags,
    )  # fmt: skip
    assert (flags == (d["live"] & (d["start"] < 60.0) & (d["end"] > 50.0))).all()
    assert (rows[0] == d["used"]).all()
    with np.errstate(invalid="ignore"):
        for k, limit in ((1, d["floor"]), (2, d["cap"])):
            rest = np.maximum(limit - d["before"], 0.0)
            for row, part in ((k, rest * d["of_rest"]), (k + 2, limit * d["of_all"]), (k + 4, rest * d["seen"])):
                assert (rows[row] == np.where(np.isfinite(limit), part, limit)).all()


def test_moves_that_are_worth_serving() -> None:
    price, scale, flag = np.array([0.5, -0.2]), np.array([0.1, 0.1]), np.zeros(2, np.bool_)
    low, high = np.array([-1.0, -1.0]), np.array([1.0, 1.0])

    def moved(to: list[float], stopped: Any = flag) -> bool:
        return limits.is_moved(np.array(to), price, stopped, flag, low, high, scale, 0.01)

    assert not moved([0.5, -0.2])
    assert not moved([0.5009, -0.2])
    assert moved([0.502, -0.2])
    assert moved([0.5, 0.0])
    assert limits.is_moved(np.array([1.0]), np.array([0.9999]), flag[:1], flag[:1], low, high, scale, 0.01)
    assert moved([0.5, -0.2], np.array([True, False]))


def test_prices_of_terms_add_up_what_goals_moved() -> None:
    out = np.array([1.0, 2.0, 3.0])
    row, group = np.array([0, 1, 1]), np.array([0, 0, 2])
    price, base = np.array([0.5, 0.25]), np.array([0.5, 0.0])
    assert limits.add_moved(row, group, np.array([1.0, 2.0, -1.0]), price, base, out)
    assert out.tolist() == [1.5, 2.0, 2.75]
    assert not limits.add_moved(row, group, np.ones(3), base, base, out)
    assert out.tolist() == [1.5, 2.0, 2.75]
