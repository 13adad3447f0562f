"""What the columns of answers are called, in frames and in files, next to ids of any name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from oasis_alloc.candidates import Candidates


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


def answers_frame(
    candidates: Candidates, positions: ArrayLike, answers: Mapping[str, ArrayLike], backend: str | None
) -> Any:
    """Return a frame of ids and answers of the pairs at `positions`, none of them called like the ids."""
    names = answer_names(answers, (candidates.user_name, candidates.item_name))
    return candidates.frame(positions, {names[name]: values for name, values in answers.items()}, backend)
