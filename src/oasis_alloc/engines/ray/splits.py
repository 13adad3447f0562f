"""The pairs that decisions show, as an actor keeps them: by number of the decision and by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from oasis_alloc.common.ascending import without
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.pieces import ChunkPart
from oasis_alloc.engines.ray.found import places_of
from oasis_alloc.engines.shown import pairs_of_users
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program


class Compared(NamedTuple):
    """An earlier decision next to a new one, chunk by chunk; positions."""

    more: list[Ints]  # pairs that only the new one shows
    less: list[Ints]  # pairs that only the earlier one shows
    shown: list[Ints]  # those that the earlier one shows to the users of `Split`


class Split(NamedTuple):
    """What an actor says of a decision."""

    undecided: list[list[ChunkPart]]  # by chunk
    found: list[PairArrays] | None  # these pairs, by chunk, unless they are many
    n_shown: int
    values: Floats  # by chunk, of the pairs shown
    loads: Floats  # by branch, of the same
    bounds: Floats  # by chunk: what the best slates are worth
    users: list[Ints]  # by chunk: with pairs that are undecided, or that earlier decisions decide otherwise
    shown: list[Ints]  # the pairs shown to these
    earlier: dict[int, Compared | None]  # by number; None where it is not known, or differs much


class Splits:
    """The decisions that an actor remembers: 4 bytes per pair shown, each."""

    def __init__(self) -> None:
        self._of: dict[int, dict[int, list[ChunkPart]]] = {}

    def keep(self, number: int, parts: dict[int, list[ChunkPart]], alive: Sequence[int]) -> None:
        """Remember some chunks of a decision, and forget decisions that nobody needs any more."""
        self._of = {k: of for k, of in self._of.items() if k == number or k in alive}
        none = np.empty(0, np.uint32)
        own = {chunk: [part._replace(first=none) for part in of] for chunk, of in parts.items()}
        self._of.setdefault(number, {}).update(own)

    def parts(self, number: int, chunks: Sequence[int]) -> list[list[ChunkPart]] | None:
        """The pairs that a decision shows, chunk by chunk, as they are kept; None where it is not known here."""
        of = self._of.get(number, {})
        return [of[chunk] for chunk in chunks] if all(chunk in of for chunk in chunks) else None

    def shown(self, number: int, chunks: Sequence[int]) -> list[Ints] | None:
        """The positions of the pairs that a decision shows, chunk by chunk; None where it is not known here."""
        parts = self.parts(number, chunks)
        return None if parts is None else [places_of(part)[1] for part in parts]

    def compare(self, number: int, other: int, chunks: Sequence[int]) -> tuple[list[Ints], list[Ints]] | None:
        """(pairs that only the first shows, those that only the second shows), chunk by chunk."""
        mine, theirs = self.shown(number, chunks), self.shown(other, chunks)
        if mine is None or theirs is None:
            return None
        both = list(zip(mine, theirs, strict=True))
        return [without(own, of) for own, of in both], [without(of, own) for own, of in both]

    def next_to(
        self, program: Program, number: int, chunks: Sequence[int], undecided: Sequence[Ints], alive: Sequence[int],
        room: int,
    ) -> tuple[list[Ints], list[Ints], dict[int, Compared | None]]:  # fmt: skip
        """(users, the pairs shown to them, the earlier decisions) of `Split`, as far as they are at most `room`."""
        cuts = {k: self.compare(number, k, chunks) for k in alive}
        near = {k: cut for k, cut in cuts.items() if cut is not None and sum(map(_size, cut)) <= room}
        users = []
        for at in range(len(chunks)):
            touched = [undecided[at], *(cut[side][at] for cut in near.values() for side in (0, 1))]
            some = np.unique(program.users_of(np.concatenate(touched)))
            users.append(some if _size(undecided) <= room else some[:0])

        def of(k: int) -> list[Ints]:
            shown = self.shown(k, chunks)
            assert shown is not None  # compared above, or made just now
            return [pairs_of_users(own, program.indptr, some) for own, some in zip(shown, users, strict=True)]

        earlier = {k: Compared(*near[k], of(k)) if k in near else None for k in alive}
        return users, of(number), earlier


def _size(parts: Sequence[Ints]) -> int:
    return sum(part.size for part in parts)
