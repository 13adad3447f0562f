"""Logs of synthetic bandits whose policies' values are known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Log(NamedTuple):
    """Arguments of `oa.off_policy`, by row."""

    outcomes: Floats
    logged: Floats
    target: Floats
    predicted: Floats
    predicted_target: Floats


@dataclass(frozen=True)
class World:
    """Expected outcomes, what a model predicts of them, and two policies: all by context and action."""

    expected: Floats
    model: Floats
    logging: Floats
    target: Floats

    @property
    def truth(self) -> float:
        """The target policy's value."""
        return float((self.target * self.expected).sum(axis=1).mean())

    @property
    def logged(self) -> float:
        """The logging policy's value."""
        return float((self.logging * self.expected).sum(axis=1).mean())

    def log(self, n: int, rng: np.random.Generator) -> Log:
        """n rounds of the logging policy, with outcomes 0 and 1."""
        context = rng.integers(len(self.expected), size=n)
        below = rng.random(n)[:, None] > self.logging.cumsum(axis=1)[context]
        action = below.sum(axis=1).clip(max=self.expected.shape[1] - 1)
        at = context, action
        outcomes = (rng.random(n) < self.expected[at]).astype(np.float64)
        direct = (self.target * self.model).sum(axis=1)[context]
        return Log(outcomes, self.logging[at], self.target[at], self.model[at], direct)


def world(spread: float = 0.7, seed: int = 7, contexts: int = 20, actions: int = 6) -> World:
    """A world; `spread` is the standard deviation of the policies' logits, so of the logarithms of the weights."""
    rng = np.random.default_rng(seed)
    expected = rng.beta(2.0, 6.0, size=(contexts, actions))
    model = np.clip(expected + rng.normal(0.0, 0.05, size=expected.shape), 0.0, 1.0)
    logits = spread * rng.normal(size=(2, contexts, actions))
    both = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return World(expected, model, both[0], both[1])
