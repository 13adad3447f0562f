"""Frames of answers next to ids of any name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.column_names import answer_names

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from oasis_alloc.candidates import Candidates


def answers_frame(
    candidates: Candidates, positions: ArrayLike, answers: Mapping[str, ArrayLike], backend: str | None
) -> Any:
    """Return a frame of ids and answers of the pairs at `positions`, none of them called like the ids."""
    names = answer_names(answers, (candidates.user_name, candidates.item_name))
    return candidates.frame(positions, {names[name]: values for name, values in answers.items()}, backend)
