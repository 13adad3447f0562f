"""Layer 1 of the gate: how long parts take as a multiple of a frozen yardstick, in one process, interleaved.

Every round times the yardstick and the part twice each, in an order that a drift of the machine's speed leaves alone.
The ratio is that of the minima over all rounds; the same minima of the two halves say how far two measurements of one
thing are apart (A/A), and so what a run can tell. Seconds are of processor time: a part waits for nothing, so what
others take of the cores is nobody's slowdown.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

import oasis_alloc as oa
from benchmarks.counters import caps_alone, floors_and_shares, market, ruled
from benchmarks.yardstick import one_pass, settled
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower
from oasis_alloc.program.program import Program

Call = Callable[[], object]

_SIZE = 3
_VISITS, _FIRST_MOVE = 8, 0.02
_ROUNDS = 40
_FEWEST_ROUNDS, _LONGEST = 20, 1.5  # seconds that rounds of a slow part may take together
_SHORTEST = 5e-4  # seconds of a block: calls are repeated until it takes as long
_WARM = 0.05  # seconds of calls that are not timed
_LEAST = 1.15  # a ratio that may not be told from the one kept
_SPREADS = 6.0
_STEADY = (_LEAST - 1.0) / _SPREADS  # more spread than this is measured again, twice as long
_TRIES = 3
_MEASUREMENTS = 3  # of which the middle one is kept


@dataclass(frozen=True)
class Measured:
    """Seconds of a part over those of the yardstick, and how far two measurements of one thing were apart."""

    ratio: float
    spread: float
    seconds: float

    @property
    def threshold(self) -> float:
        """How many times the ratio that is kept may be exceeded before that means something.

        >>> round(Measured(2.0, 0.01, 1.0).threshold, 3), round(Measured(2.0, 0.05, 1.0).threshold, 3)
        (1.15, 1.3)
        """
        return max(_LEAST, 1.0 + _SPREADS * self.spread)


def measure(part: Call, yardstick: Call, rounds: int | None = None) -> Measured:
    """Interleave the two; again, and twice as long, while the run is too noisy to see a slowdown of 1.15."""
    best: Measured | None = None
    for call in (part, yardstick):
        _warm(call)
    if rounds is None:
        each = 2.0 * (max(_SHORTEST, _seconds(part, 1)) + max(_SHORTEST, _seconds(yardstick, 1)))
        rounds = max(_FEWEST_ROUNDS, min(_ROUNDS, int(_LONGEST / each)))
    for _ in range(_TRIES):
        found = _once(part, yardstick, rounds)
        if best is None or found.spread < best.spread:
            best = found
        if best.spread <= _STEADY:
            break
        rounds *= 2
    assert best is not None  # there is a try or more
    return best


def compare(part: Call, yardstick: Call, limit: float | None) -> tuple[Measured, bool]:
    """Measure, and once more where the part is slower than its limit lets it be: (it, whether it is the second)."""
    found = measure(part, yardstick)
    if limit is None or found.ratio <= limit * found.threshold:
        return found, False
    return measure(part, yardstick), True


def usual_ratio(part: Call, yardstick: Call) -> float:
    """The middle one of three measurements: what is worth keeping."""
    return statistics.median(measure(part, yardstick).ratio for _ in range(_MEASUREMENTS))


def _once(part: Call, yardstick: Call, rounds: int) -> Measured:
    counts = {call: _repeats(call) for call in (part, yardstick)}
    least: dict[tuple[Call, int], float] = {(call, half): np.inf for call in counts for half in (0, 1)}
    enabled = gc.isenabled()
    gc.disable()
    try:
        for k in range(rounds):
            order = [(yardstick, 0), (part, 0), (part, 1), (yardstick, 1)]
            for call, half in order if k % 2 else [(c, 1 - h) for c, h in order]:
                least[call, half] = min(least[call, half], _seconds(call, counts[call]))
    finally:
        if enabled:
            gc.enable()
    one, other = ({call: least[call, half] for call in counts} for half in (0, 1))
    spread = max(max(one[c], other[c]) / min(one[c], other[c]) - 1.0 for c in counts)
    seconds = {call: min(one[call], other[call]) for call in counts}
    return Measured(seconds[part] / seconds[yardstick], spread, seconds[part])


def _seconds(call: Call, times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - started) / times


def _warm(call: Call) -> None:
    """Call until whatever adapts to what it is called with, has."""
    end = time.process_time() + _WARM
    call()
    while time.process_time() < end:
        call()


def _repeats(call: Call) -> int:
    fastest = min(_seconds(call, 1) for _ in range(3))
    return max(1, int(np.ceil(_SHORTEST / fastest)))


@contextmanager
def parts() -> Iterator[tuple[Call, dict[str, Call]]]:
    """(the yardstick, {name: part}); all on one thread, at prices that no solver had a say in."""
    given = market(2_000, 100, 300)
    candidates = given.candidates
    keys = candidates.items["campaign"]
    value = np.asarray(candidates.columns["value"]).reshape(candidates.n_users, -1)
    code = np.asarray(keys.codes)[candidates.item].astype(np.uint16).reshape(value.shape)
    caps = np.maximum(1.0, 0.75 * given.campaign)
    price, threshold = settled(value, code, caps, _SIZE)
    unit = float(np.sort(value, axis=1)[:, -_SIZE:].mean())
    gamma = 0.03 * unit
    plain, columns, few = caps_alone(given), floors_and_shares(given), market(500, 100, 300)
    rows = np.concatenate([price, np.zeros(price.size), np.full(20, 0.01 * unit), [-0.05]])
    program = lower(plain)
    direction = np.random.default_rng(0).standard_normal(price.size)
    small = caps_alone(market(200, 50, 60))
    numbers, values = np.array(candidates.item), np.array(candidates.columns["value"])
    with Threads(program, 1) as engine:
        visit = engine.visit(price, gamma)
        found: dict[str, Call] = {
            f"8 visits, gamma {share:g}": partial(visits, program, price, share * unit) for share in (0.3, 0.03, 0.003)
        }
        found |= {
            "8 visits with a column, gamma 0.03": partial(visits, lower(columns), rows, gamma),
            "8 visits under rules, gamma 0.03": partial(visits, lower(ruled(few)), price, gamma),
            "curvature product": partial(visit.curvature, direction),
            "decide": partial(engine.decide, price, np.full(price.size, 0.01 * unit)),
            "candidates": partial(oa.Candidates.from_arrays, candidates.indptr, numbers, {"value": values}),
            "solve, 1e4 pairs to 1e-6": partial(oa.solve, small, gap=1e-6, threads=1),
        }
        yield partial(one_pass, value, code, price, threshold, gamma), found


def visits(program: Program, price: np.ndarray, gamma: float) -> None:
    """Visits at prices that move less and less, as in a solve; by an engine of their own: all calls are alike."""
    with Threads(program, 1) as engine:
        for k in range(_VISITS):
            engine.visit(price * (1.0 + _FIRST_MOVE * (-0.5) ** k), gamma)
