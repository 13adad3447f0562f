"""Suggestions for an unknown name: the nearest known one, in milliseconds even among hundreds of thousands."""

from __future__ import annotations

import difflib
import operator
import string
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MANY = 200  # names above which most are ruled out before difflib: each comparison takes 10 to 50 microseconds
_AS_TEXT = 2_000  # names that are not strings and are converted to text for the comparison
_COMPARED = 64  # names left for difflib
_COMPARED_LONG = 8  # the same of names that are longer than `_LONGEST`
_LEFT = 4_096  # names left after a comparison of a few characters
_FEW = 4  # characters of each end for this comparison
_BLOCK = 16_384  # names that are compared together
_SAMPLE = 256  # names in the sample that shows which characters nearly all names share
_SHARED = 0.9  # share of names with the same character from which that character is ignored
_ALIKE = 0.6  # smallest similarity of a suggestion: difflib's own
_LONGEST = 80  # characters of a name that are compared from each end, or shown
_LONGEST_OF_ALL = 2_000  # characters of a name from which the others are ignored
_ROOM = "\n" * _LONGEST
_LINE_END = ord("\n")
_SHOWN = 12  # names that are listed
_COLUMNS = 1_000  # names above which none is a column of a table


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, and the known names.

    The text starts with a space, so that it can follow a full stop.

    >>> did_you_mean("relevence", ["relevance", "promotion"])
    " Did you mean 'relevance'? Known: relevance, promotion."
    >>> did_you_mean("zzz", ["relevance"])
    ' Known: relevance.'
    >>> did_you_mean("zzz", [])
    ' No names are known.'
    """
    names = known if isinstance(known, list) else list(known)  # copying many names is slow
    if not names:
        return " No names are known."
    doubled = f"{name} (column "
    if len(names) <= _COLUMNS and any(isinstance(other, str) and other.startswith(doubled) for other in names):
        several = " and ".join(repr(other) for other in names if str(other).startswith(doubled))
        return f" Several columns of the table have this name. They were renamed to {several}."
    near = nearest(name, names)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(_cut(str(other)) for other in names[:_SHOWN])
    more = f", ... ({len(names):,} in all)" if len(names) > _SHOWN else ""
    return f"{hint} Known: {listed}{more}."


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def nearest(name: object, names: Sequence[Any]) -> list[Any]:
    """Return the nearest of some names in a list, or an empty list if no name is near. Case matters least.

    A list that is used repeatedly may cache its `Spelled` in an attribute `spelled`.

    >>> nearest("relevence", ["promotion", "relevance"]), nearest("ROCK", ["rocks", "rock"]), nearest("zzz", ["rock"])
    (['relevance'], ['rock'], [])
    """
    text = str(name)[:_LONGEST_OF_ALL]
    pool = list(names) if len(names) <= _MANY else _pool(text, names)
    folded, exact = difflib.SequenceMatcher(), difflib.SequenceMatcher()
    best: tuple[float, int, float] = (_ALIKE, -1, 0.0)
    found: list[Any] = []
    for other in pool:
        spelled, asked, same = _differing(str(other)[:_LONGEST_OF_ALL], text)
        share = 2.0 * same / max(1, 2 * same + len(spelled) + len(asked))  # of the ratio, from what was left out
        folded.set_seqs(spelled.lower(), asked.lower())
        if share + (1.0 - share) * folded.real_quick_ratio() < best[0]:
            continue
        if share + (1.0 - share) * folded.quick_ratio() < best[0]:
            continue
        ratio = share + (1.0 - share) * folded.ratio()
        if ratio >= best[0]:
            exact.set_seqs(spelled, asked)
            equal = same + sum(map(operator.eq, spelled.lower(), asked.lower()))
            now = (ratio, equal, share + (1.0 - share) * exact.ratio())
            if now > best:
                best, found = now, [other]
    return found


def _differing(one: str, other: str) -> tuple[str, str, int]:
    """What is left to compare of two texts: all of short ones; of long ones, what is between equal beginnings and ends.

    Also the number of letters in each that are left out because they are equal. Comparisons take quadratic time.
    """
    if max(len(one), len(other)) <= _LONGEST:
        return one, other, 0
    begin = _agreeing(one, other)
    one, other = one[begin:], other[begin:]
    end = _agreeing(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    return one[:_LONGEST], other[:_LONGEST], begin + end


def _agreeing(one: str, other: str) -> int:
    """The number of letters before the first that differs."""
    differs = map(operator.ne, one, other)
    return next((k for k, unlike in enumerate(differs) if unlike), min(len(one), len(other)))


def _pool(text: str, names: Sequence[Any]) -> list[Any]:
    """The names among many that are worth a comparison; they include the right one if it exists."""
    try:
        looked_up = hasattr(names, "places")  # else all names are scanned
        if len(text) <= _LONGEST * (4 if looked_up else 1) and (near := _one_edit(text, names)):
            return near
        spelled = getattr(names, "spelled", None) or Spelled(names)
    except TypeError:  # names that are not strings
        if len(names) > _AS_TEXT:
            return _spelled_alike(text, names)
        spelled = Spelled(list(map(str, names)))
    return [names[k] for k in spelled.alike(text)]


def _one_edit(text: str, names: Sequence[Any]) -> list[Any]:
    """The names that differ from a text by one letter removed, inserted, changed or swapped with the next.

    If a list has the `places` of its names, they are looked up instead of scanned.
    """
    letters = sorted({*text, *string.ascii_letters, *string.digits, *"_- ."})
    cuts = [(text[:k], text[k:]) for k in range(len(text) + 1)]
    made = {a + b[1:] for a, b in cuts if b} | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    made |= {a + letter + rest for a, b in cuts for letter in letters for rest in (b, b[1:])}
    places = getattr(names, "places", None)
    return list(filter(made.__contains__, names)) if places is None else [one for one in made if one in places]


def _spelled_alike(text: str, names: Sequence[Any]) -> list[Any]:
    """The integer with this spelling, among many names that are not strings: 7 for '7'."""
    try:
        return [int(text)] if int(text) in names else []
    except ValueError:
        return []


class Spelled:
    """The characters of many names as arrays.

    A Python loop over 300,000 names takes 100 ms. NumPy takes 10 ms, in blocks that fit into a cache: it compares a few
    characters of all names, and all characters of the best ones. Raises `TypeError` for names that are not strings.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._blocks = [_Block(names[begin : begin + _BLOCK]) for begin in range(0, len(names), _BLOCK)]
        self._sample = _Block(names[:: max(1, len(names) // _SAMPLE)])

    def alike(self, text: str) -> list[int]:
        """Positions of the names that have the most characters in common with a text, counted from both ends."""
        letters = [tuple({_code(one.lower(), one), _code(one.upper(), one)}) for one in text]
        front, back = self._sample.telling(letters)
        few, every = (
            [(end[:number], len(letters) - len(end)) for end in (front, back)] for number in (_FEW, len(letters))
        )
        scores = np.concatenate([block.scores(letters, *few) for block in self._blocks])
        left = _largest(scores, _LEFT)
        scores = _Block([self._names[k] for k in left.tolist()]).scores(letters, *every)
        number = _COMPARED if len(text) <= _LONGEST else _COMPARED_LONG
        return left[_largest(scores, number)].tolist()  # type: ignore[no-any-return]  # integers


class _Block:
    """The characters of some names, one name after the other."""

    def __init__(self, names: Sequence[str]) -> None:
        # padding before the first name and after the last one, for short names
        joined = "\n".join((_ROOM[1:], *names, _ROOM))
        as_bytes = joined.isascii()
        plain = joined.encode("ascii") if as_bytes else joined.encode("utf-32-le", "surrogatepass")
        self._codes: NDArray[Any] = np.frombuffer(plain, np.uint8 if as_bytes else np.uint32)
        self._starts, self._ends = self._places(names)
        self._lengths = (self._ends - self._starts).astype(np.int32)

    def _places(self, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where names start and end, without the padding before them.

        They are where line ends are, which takes a third of the time of asking every name for its length.
        """
        ends = np.flatnonzero(self._codes[_LONGEST : self._codes.size - _LONGEST + 1] == _LINE_END)
        if ends.size == len(names):
            starts = np.empty_like(ends)
            starts[:1] = 0
            starts[1:] = ends[:-1] + 1
            return starts, ends
        lengths = np.fromiter(map(len, names), np.int64, len(names))  # some have line ends of their own
        ends = np.cumsum(lengths + 1) - 1
        return ends - lengths, ends

    def telling(self, letters: list[tuple[int, ...]]) -> tuple[list[int], list[int]]:
        """Distances from the front, and from the back, at which the text's letter is not nearly universal."""
        asked = range(min(len(letters), _LONGEST))
        front, back = ([k for k in asked if self._equal(letters, k, end).mean() <= _SHARED] for end in (0, 1))
        return front, back

    def scores(self, letters: list[tuple[int, ...]], *asked: tuple[list[int], int]) -> NDArray[Any]:
        """How similar each name is to the text, by the letters at these distances from the front and from the back.

        If one letter is changed, all others are at the same distance. If one is inserted or removed, the letters before
        and after it agree. A difference in length counts against a name. The distances come with the number of letters
        that nearly all names share, which are not compared.
        """
        equal, run = [], []  # letters in common, all of them and those before the first difference
        for end, (distances, shared) in enumerate(asked):
            unbroken = np.ones(self._ends.size, np.bool_)
            equal.append(np.full(self._ends.size, shared, np.int16))
            run.append(equal[end].copy())
            for distance in distances:
                hits = self._equal(letters, distance, end)
                equal[end] += hits
                unbroken &= hits
                run[end] += unbroken
        n = len(letters)
        aligned = np.maximum(np.maximum(*equal), np.minimum(run[0] + run[1], np.minimum(self._lengths, n)))
        return 4 * aligned + equal[0] + equal[1] - np.abs(self._lengths - n)  # type: ignore[no-any-return]  # an array

    def _equal(self, letters: list[tuple[int, ...]], distance: int, end: int) -> NDArray[np.bool_]:
        """Where the names have the text's letter, in either case, at a distance from the front or the back."""
        at = -1 - distance if end else distance
        found = self._codes[_LONGEST + at :].take(self._ends if end else self._starts, mode="clip")
        equal = found == letters[at][0]
        if len(letters[at]) > 1:
            equal |= found == letters[at][1]
        equal &= self._lengths > distance
        return equal  # type: ignore[no-any-return]  # of booleans


def _code(one: str, instead: str) -> int:
    return ord(one) if len(one) == 1 else ord(instead)


def _largest(scores: NDArray[Any], number: int) -> NDArray[np.int64]:
    """Positions of the largest entries."""
    if scores.size <= number:
        return np.arange(scores.size)
    cutoff = np.partition(scores, -number)[-number]
    return np.concatenate((np.flatnonzero(scores > cutoff), np.flatnonzero(scores == cutoff)))[:number]
