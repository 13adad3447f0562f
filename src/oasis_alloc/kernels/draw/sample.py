"""Draws slates that contain each item with exactly its probability: systematic and pivotal sampling.

Probabilities become whole numbers of 2^-52, so sums of them are exact and a draw is the same on every machine. Numbers
are drawn from SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) as from a counter: with all arithmetic modulo 2^64 and
G = 0x9E3779B97F4A7C15,

    mix(z):   z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9;  z = (z ^ z >>> 27) * 0x94D049BB133111EB;  return z ^ z >>> 31
    stream(seed, number) = mix(mix(seed + G) + number * G)
    draw i = 1, 2, ... of a stream = mix(stream + i * G)
    a number in [0, 1) = (draw >>> 11) * 2^-53;   a whole number below n = ((draw >>> 32) * n) >>> 32

so that a draw depends only on its seed and stream (for example the user), in any order and on any number of threads.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.solve.ties import spread_around
from oasis_alloc.kernels.solve.visit import plain_root

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ONE = 1 << 52  # the probability 1: whole numbers up to twice that are exact as float64, too
STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_1 = np.uint64(1)
_11, _27, _30, _31, _32 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_UNIT = 2.0**-53


@jit
def mix(z: np.uint64) -> np.uint64:
    """The mixer of SplitMix64."""
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


@jit
def stream(seed: int, number: int) -> np.uint64:
    """The state from which a stream's draws are counted: draw i is mix(state + i G)."""
    return mix(mix(np.uint64(seed) + STEP) + np.uint64(number) * STEP)


@jit
def uniform(draw: np.uint64) -> float:
    """A number in [0, 1) of a draw."""
    return np.float64(draw >> _11) * _UNIT


@jit
def whole(x: float) -> int:
    """A probability in whole numbers of 2^-52, rounded down; 0 below 0, ONE above 1."""
    return int(min(max(x, 0.0), 1.0) * ONE)


@jit
def first_wins(p: int, q: int, draw: np.uint64) -> bool:
    """Which of two probabilities strictly between 0 and ONE takes most of their sum; the other gets the rest.

    Deville and Tille's duel (Biometrika 85:89, 1998): (p + q, 0) or (0, p + q) where p + q is at most ONE, else
    (ONE, p + q - ONE) or the other way round, with the chances that keep both means.
    """
    if p + q <= ONE:
        return bool(uniform(draw) * np.float64(p + q) < np.float64(p))
    return bool(uniform(draw) * np.float64(2 * ONE - p - q) < np.float64(ONE - q))


@jit
def _split(x: Floats, out: Ints) -> tuple[int, int]:
    """Fill out with fractional entries from its front and certain ones from its end: (how many, where these begin)."""
    m = 0
    certain = x.size
    for i in range(x.size):
        q = whole(x[i])
        if q >= ONE:
            certain -= 1
            out[certain] = i
        elif q > 0:
            out[m] = i
            m += 1
    return m, certain


@jit
def _with_certain(out: Ints, found: int, certain: int, most: int) -> int:
    """Move certain entries behind those found; returns how many there are then."""
    for j in range(certain, out.size):
        if found < most:
            out[found] = out[j]
            found += 1
    return found


@jit
def systematic(x: Floats, most: int, seed: int, number: int, out: Ints) -> int:
    """Draw entries with inclusion probabilities x (n,), by Madow's method over a random order; returns how many.

    One random start and steps of 1 along the sums of x: entry i is in where a step falls into its stretch (Madow, Ann.
    Math. Stat. 20:333, 1949). There are floor or ceil of sum x of them, at most `most`. out (n,) gets their numbers
    first, in no order, and is scratch after these.
    """
    m, certain = _split(x, out)
    n = x.size
    state = stream(seed, number)
    state += STEP
    place = np.int64(mix(state) >> np.uint64(12))  # uniform in [0, ONE)
    found = not_literal(0)
    most = min(most, n)
    room = most - (n - certain)
    draw = np.uint64(0)
    for j in range(np.uint64(m)):
        if j & _1:  # a draw gives two places
            draw <<= _32
        else:
            state += STEP
            draw = mix(state)
        other = j + (((draw >> _32) * (np.uint64(m) - j)) >> _32)
        i = np.uint64(out[other])
        out[other] = out[j]
        place += np.int64(x[i] * ONE)  # whole(), between 0 and 1
        if place >= ONE:
            place -= ONE
            if found < room:  # one more than that only where sum x is above `most` by rounding
                out[found] = i
                found += 1
    return _with_certain(out, found, certain, most)


@jit
def pivotal(x: Floats, most: int, seed: int, number: int, out: Ints) -> int:
    """Draw entries with inclusion probabilities x (n,), by the pivotal method over a random order; returns how many.

    Entries meet one after the other until one of the two is in or out (`first_wins`); the last one is in with what it
    has left. Inclusions are negatively associated, and there are floor or ceil of sum x of them, at most `most`. out is
    as in `systematic`.
    """
    m, certain = _split(x, out)
    n = x.size
    state = stream(seed, number)
    found = not_literal(0)
    most = min(most, n)
    room = most - (n - certain)
    holder = -1
    left = 0  # the holder's probability; 0: no holder
    for j in range(m):
        state += STEP
        draw = mix(state)
        other = j + np.int64(((draw >> _32) * np.uint64(m - j)) >> _32)
        i = out[other]
        out[other] = out[j]
        q = whole(x[i])
        if left == 0:
            holder, left = i, q
            continue
        state += STEP
        won = holder if first_wins(left, q, mix(state)) else i
        left += q
        if left < ONE:
            holder = won
            continue
        holder = holder + i - won
        left -= ONE
        if found < room:
            out[found] = won
            found += 1
    if left > 0 and found < room:
        state += STEP
        if uniform(mix(state)) * ONE < left:
            out[found] = holder
            found += 1
    return _with_certain(out, found, certain, most)


@jit
def smooth(scores: Floats, size: int, gamma: float, out: Floats) -> None:
    """Write x = clip((s - t) / gamma, 0, 1) with the smallest t >= 0 for which sum x <= size: see visit.py.

    Ties that the smoothing cannot resolve share the remaining slots (ties.py).
    """
    c = np.empty(scores.size)
    m = not_literal(0)
    total = 0.0
    for i in range(scores.size):
        if scores[i] > 0.0:
            c[m] = scores[i]
            m += 1
            total += min(scores[i] / gamma, 1.0)
    if total > size:
        t, _ = plain_root(c, m, size, gamma, 0.0)
        spread_around(scores, scores.size, size, t, gamma, out)
        return
    for i in range(scores.size):
        out[i] = min(max(scores[i] / gamma, 0.0), 1.0)
