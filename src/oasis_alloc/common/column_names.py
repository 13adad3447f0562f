"""What the columns of answers are called, in frames and in files, next to columns of the caller with any names."""

from __future__ import annotations

from collections.abc import Iterable


def answer_names(answers: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """What the columns of an answer are called next to columns that have their names already.

    Names of the caller's ids and columns are never changed: an answer that would have one of them has `_` behind it,
    as often as it takes.

    >>> answer_names(["x", "score"], ["user", "x"])
    {'x': 'x_', 'score': 'score'}
    """
    used, out = set(taken), {}
    for answer in answers:
        name = answer
        while name in used:
            name += "_"
        used.add(name)
        out[answer] = name
    return out
