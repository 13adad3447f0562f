"""The part of candidates that writers of frames and files use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class PairSource(Protocol):
    """The interface of candidates for writers."""

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""

    @property
    def n_users(self) -> int:
        """Number of users."""

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
        """Name of the column of user ids."""

    @property
    def item_name(self) -> str:
        """Name of the column of item ids."""

    @property
    def backend(self) -> str | None:
        """The kind of frame that was given."""

    @property
    def _native_ids(self) -> Mapping[str, Any]:
        """Ids in the type of that frame, by side."""

    def user_of(self, positions: ArrayLike) -> NDArray[np.int64]:
        """The users of the pairs at these positions."""
