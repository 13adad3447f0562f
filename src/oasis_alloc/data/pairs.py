"""What writers of frames and files need of candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class PairSource(Protocol):
    """Candidates, to those who write them."""

    @property
    def n_pairs(self) -> int:
        """How many pairs there are."""

    @property
    def n_users(self) -> int:
        """How many users there are."""

    @property
    def indptr(self) -> NDArray[np.int64]:
        """User u has the pairs `indptr[u]:indptr[u + 1]`."""

    @property
    def item(self) -> NDArray[Any]:
        """The item of every pair."""

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """A number of every pair, by name."""

    @property
    def user_ids(self) -> NDArray[Any] | None:
        """The users' own ids."""

    @property
    def item_ids(self) -> NDArray[Any] | None:
        """The items' own ids."""

    @property
    def user_name(self) -> str:
        """What the column of user ids is called."""

    @property
    def item_name(self) -> str:
        """What the column of item ids is called."""

    @property
    def backend(self) -> str | None:
        """The kind of frame that came in."""

    @property
    def _native_ids(self) -> Mapping[str, Any]:
        """Ids as that frame had them, by side."""

    def user_of(self, positions: ArrayLike) -> NDArray[np.int64]:
        """The users of the pairs at these positions."""
