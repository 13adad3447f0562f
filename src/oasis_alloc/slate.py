"""What one user's slate may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from types import MappingProxyType

from oasis_alloc.errors import ProblemError


@dataclass(frozen=True)
class Slate:
    """The slate rule of every user: at most `size` items, and at most so many of a category.

    `X_u = {x : 0 <= x <= 1, sum(x) <= size, sum(x_i, i in c) <= at_most[key] for every category c of every key}`.
    Diminishing values and per-user guards will stand here too.

    Parameters
    ----------
    size
        Number of slots, at least 1.
    at_most
        `{key of the items: number}`: at most so many items of one category of that key, such as `{"artist": 1,
        "genre": 3}`. Items without a category are not counted. Several keys must be nested (every artist of one genre
        only): then the best slate is found exactly, by taking items in the order of their priced scores.

    Raises
    ------
    ProblemError
        If a number is not whole or below 1.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.Slate(size=10, at_most={"artist": 2})
    Slate(size=10, at_most={'artist': 2})
    """

    size: int
    at_most: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _whole(self.size, f"Slate(size={self.size!r}): size", "of slots"))
        if not isinstance(self.at_most, Mapping):
            raise ProblemError(f"Slate(at_most={self.at_most!r}): expected {{key of the items: number}}.")
        caps = {}
        for key, number in self.at_most.items():
            if not isinstance(key, str):
                raise ProblemError(f"Slate(at_most=...): {key!r} is not the name of a key of the items.")
            caps[key] = _whole(number, f"Slate(at_most={{{key!r}: {number!r}}}): the number", "of items")
        object.__setattr__(self, "at_most", MappingProxyType(caps))

    def __hash__(self) -> int:
        return hash((self.size, tuple(sorted(self.at_most.items()))))

    def __repr__(self) -> str:
        rules = f", at_most={dict(self.at_most)!r}" if self.at_most else ""
        return f"Slate(size={self.size}{rules})"

    def words(self) -> str:
        """The rules in words: "up to 10, at most 1 of an artist and 3 of a genre"."""
        caps = [f"{most:,} of {_article(key)} {key}" for key, most in self.at_most.items()]
        listed = " and ".join([", ".join(caps[:-1]), caps[-1]] if len(caps) > 1 else caps)
        return f"up to {self.size:,}" + (f", at most {listed}" if caps else "")


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"


def _whole(number: object, what: str, of: str) -> int:
    if not isinstance(number, Integral) or isinstance(number, bool) or number < 1:
        raise ProblemError(f"{what} is a whole number {of}, at least 1.")
    return int(number)
