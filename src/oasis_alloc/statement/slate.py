"""The rules for the slate of one user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.data.by_group import as_number, labeled, numbers_of
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.by_user import ByUser, by_user, per_user

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates

_MOST = 2**31 - 1  # slots: more than any user has candidates
Sizes = int | npt.NDArray[np.int64]
Steps = float | npt.NDArray[np.float64]
SizesLike = npt.ArrayLike | Mapping[Any, int]  # a text is the name of a column of users


@suggesting
@dataclass(frozen=True, eq=False)
class Slate(ByFields):
    """The rules that every user's slate keeps: size, caps, diminishing values, guards and slot weights.

    `X_u = {x : 0 <= x <= 1, at_least <= sum(x) <= size, sum(x_i, i in c) <= at_most[key] for every category c of every
    key, sum(r_i x_i) >= M - (1 - keep) |M|, M the most that sum(r_i x_i) can be under the other rules}`.

    Parameters
    ----------
    size
        Number of slots, at least 1; a user with fewer candidates fills fewer. Or one number per user,
        >= 0: the name of a column of users, `{id: number}`, a pandas Series whose index has the ids, or (n_users,)
        integers in the order of the users' numbers.
    at_most
        `{key of the items: number}`: the maximum number of items of one category of that key, such as `{"artist": 1,
        "genre": 3}`. Items without a category are not counted; an item with several (a track with three genres) counts
        in each. If the categories of all keys nest (every artist has only one genre), the best slate is a whole slate.
        If they cross, or items have several labels, x may be a mixture of slates that keeps the rules only on average;
        the certificate is exact for these mixtures.
    diminishing
        `{key of the items: step}`: the j-th item of a category (j = 0, 1, ...) adds its value minus `step * j`; or
        an array of decrements >= 0 that never decrease, the last of which is used for all further items.
    keep
        `{column: share}`: every user keeps at least this share, in [0, 1], of the column's sum in their own best slate
        for that column alone, under the same rules. Hard, for each user. If that sum M is negative, the bound is
        `(2 - share) M`: no slate has more than M, so a share of it could not be reached.
    at_least
        Minimum number of filled slots, if the user's candidates and the other rules allow as many; a number, or one
        per user as for `size`.
    slot_weights
        Weight of each slot, from the first: numbers in (0, 1] that never increase, one per slot. Items are shown in
        the order of their priced scores, and `x` is the attention that an item gets: the probability of being shown
        times the weight of its slot. `keep`, `at_least` and `diminishing` then hold for the first k slots, for every k.
        A solve needs one copy of the candidates per distinct weight.

    Raises
    ------
    ProblemError
        If a number is not whole, is out of its range, or is in the wrong order.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.Slate(size=10, at_most={"artist": 2}, diminishing={"genre": 0.1}, keep={"relevance": 0.95})
    Slate(size=10, at_most={'artist': 2}, diminishing={'genre': 0.1}, keep={'relevance': 0.95})
    """

    size: Any  # a number, an array, or a `ByUser` that `laid_out` makes an array of
    at_most: Mapping[str, int] = field(default_factory=dict)
    diminishing: Mapping[str, Steps] = field(default_factory=dict)
    keep: Mapping[str, float] = field(default_factory=dict)
    at_least: Any = 0  # likewise
    slot_weights: npt.NDArray[np.float64] | None = None

    if TYPE_CHECKING:  # what callers pass; the fields are what becomes of it

        def __init__(
            self,
            size: SizesLike,
            at_most: Mapping[str, int] = ...,
            diminishing: Mapping[str, npt.ArrayLike] = ...,
            keep: Mapping[str, float] = ...,
            at_least: SizesLike = 0,
            slot_weights: npt.ArrayLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "size", _sizes(self.size, "size", 1))
        put(self, "at_least", _sizes(self.at_least, "at_least", 0))
        caps = {
            key: _whole(number, f"Slate(at_most={{{key!r}: {number!r}}})", "of items", 1)
            for key, number in _named(self.at_most, "at_most", "key of the items: number").items()
        }
        put(self, "at_most", FrozenMapping(caps))
        steps = {
            key: _steps(key, step)
            for key, step in _named(self.diminishing, "diminishing", "key of the items: step").items()
        }
        put(self, "diminishing", FrozenMapping(steps))
        shares = {c: _share(c, share) for c, share in _named(self.keep, "keep", "column: share").items()}
        if len(shares) > 1:
            raise ProblemError(f"Slate(keep={shares!r}): at most one column can be kept; blend several into one.")
        put(self, "keep", FrozenMapping(shares))
        if self.slot_weights is not None:
            put(self, "slot_weights", _slot_weights(self.slot_weights, self.size))
        if self.is_laid_out and _fits(self.at_least, self.size) and np.any(np.asarray(self.at_least) > self.size):
            raise ProblemError(f"{self!r}: at_least asks for more slots than size has.")

    @property
    def is_laid_out(self) -> bool:
        """False if `size` or `at_least` is by user id or names a column of users, which only candidates have."""
        return not any(isinstance(sizes, (str, dict)) for sizes in (self.size, self.at_least))

    def laid_out(self, candidates: Candidates) -> Slate:
        """The same with sizes in the order of the candidates' users."""
        if self.is_laid_out:
            return self
        sizes: dict[str, Any] = {"size": self.size, "at_least": self.at_least}
        for name, given in sizes.items():
            if isinstance(given, (str, dict)):
                numbers = per_user(given, candidates, f"Slate({name}=...)")
                sizes[name] = _whole_numbers(numbers, name, candidates)
        return replace(self, **sizes)

    def sizes(self, indptr: npt.NDArray[np.int64]) -> tuple[Sizes, Sizes]:
        """(size, at_least), clipped to the largest number of candidates of a user: no slate is longer."""
        longest = max(1, int(np.diff(indptr).max(initial=0)))
        size, at_least = (
            min(given, longest) if isinstance(given, int) else np.minimum(given, longest)
            for given in (self.size, self.at_least)
        )
        return size, at_least

    @property
    def keys(self) -> list[str]:
        """Keys of the items that the rules name, in order."""
        return list(dict.fromkeys([*self.at_most, *self.diminishing]))

    @property
    def is_plain(self) -> bool:
        """True if one size for all users is the only rule."""
        return (
            isinstance(self.size, int)
            and not self.keys
            and not self.keep
            and isinstance(self.at_least, int)
            and self.at_least == 0
            and self.slot_weights is None
        )

    def _parts(self) -> tuple[Any, ...]:
        rules = (self.at_most, self.diminishing, self.keep)
        return (
            _plain(self.size), _plain(self.at_least), _plain(self.slot_weights),
            *(tuple(sorted((name, _plain(value)) for name, value in rule.items())) for rule in rules),
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return self._parts() == other._parts() if isinstance(other, Slate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._parts())

    def __repr__(self) -> str:
        parts = [f"size={_brief(self.size)}"]
        for name in ("at_most", "diminishing", "keep"):
            if rule := getattr(self, name):
                parts.append(f"{name}={{{', '.join(f'{k!r}: {_brief(v)}' for k, v in rule.items())}}}")
        if not isinstance(self.at_least, int) or self.at_least:
            parts.append(f"at_least={_brief(self.at_least)}")
        if self.slot_weights is not None:
            parts.append(f"slot_weights={_brief(self.slot_weights)}")
        return f"Slate({', '.join(parts)})"

    def words(self) -> str:
        """The rules in words: "up to 10, at most 1 of an artist and 3 of a genre"."""
        size = f"{self.size:,}" if isinstance(self.size, int) else "a size given per user"
        if isinstance(self.size, np.ndarray):
            size = f"{int(self.size.max(initial=0)):,}, by user"
        caps = [f"{number:,} of {_article(key)} {key}" for key, number in self.at_most.items()]
        out = [f"up to {size}"]
        if not isinstance(self.at_least, int) or self.at_least:
            out.append(f"at least {self.at_least if isinstance(self.at_least, int) else 'a number given per user'}")
        if caps:
            out.append("at most " + " and ".join([", ".join(caps[:-1]), caps[-1]] if len(caps) > 1 else caps))
        out += [f"diminishing by {key}" for key in self.diminishing]
        out += [f"{share:.0%} of each user's {column} kept" for column, share in self.keep.items()]
        if self.slot_weights is not None:
            out.append("weights by slot")
        return ", ".join(out)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(value.items())
    return tuple(value.tolist()) if isinstance(value, np.ndarray) else value


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return repr(value.tolist()) if value.size <= 5 else f"array of {value.size:,}"
    if isinstance(value, dict):
        return repr(dict(value)) if len(value) <= 5 else f"{{{len(value):,} users}}"
    return repr(value)


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"


def _named(rules: object, name: str, expected: str) -> Mapping[str, Any]:
    named = None if isinstance(rules, str) else labeled(rules, f"Slate({name}=...)", "rule")
    if named is None:
        raise ProblemError(f"Slate({name}={rules!r}): expected {{{expected}}}.")
    for key in named:
        if not isinstance(key, str):
            raise ProblemError(f"Slate({name}=...): {key!r} is not the name of a {expected.partition(':')[0]}.")
    return named


def _whole(number: object, what: str, of: str, minimum: int) -> int:
    whole = as_whole(number)
    if whole is None or whole < minimum:
        raise ProblemError(f"{what}: expected a whole number {of}, at least {minimum}.")
    return whole


def _sizes(given: object, name: str, minimum: int) -> Sizes | ByUser:
    """A whole number; an array of whole numbers >= 0, one per user; a column of users, or {id: number}."""
    if (named := by_user(given, f"Slate({name}=...)")) is not None:
        return named
    if isinstance(given, Integral) or not hasattr(given, "__len__") or isinstance(given, bytes):
        return _whole(given, f"Slate({name}={given!r})", "of slots", minimum)
    array = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ProblemError(
            f"Slate({name}=...): expected a whole number of slots or (n_users,) whole numbers, got {array.dtype} of "
            f"shape {array.shape}."
        )
    if (array < 0).any():
        user = int(np.argmax(array < 0))
        raise ProblemError(f"Slate({name}=...): user {user:,} has {array[user]}; expected whole numbers >= 0.")
    return readonly(array.astype(np.int64))


def _whole_numbers(numbers: npt.NDArray[np.float64], name: str, candidates: Candidates) -> npt.NDArray[np.int64]:
    """Numbers by user as integers >= 0."""
    bad = np.flatnonzero(~((numbers >= 0) & (numbers == np.floor(numbers)) & np.isfinite(numbers)))
    if bad.size:
        user = int(bad[0]) if candidates.user_ids is None else candidates.user_ids[bad[0]]
        user = user.item() if isinstance(user, np.generic) else user
        raise ProblemError(f"Slate({name}=...): user {user!r} has {numbers[bad[0]]:g}; expected whole numbers >= 0.")
    return readonly(np.minimum(numbers, _MOST).astype(np.int64))


def _fits(at_least: Sizes | ByUser, size: Sizes | ByUser) -> bool:
    """False where both are arrays of different lengths, which is refused later, with the candidates."""
    return not (isinstance(at_least, np.ndarray) and isinstance(size, np.ndarray)) or at_least.shape == size.shape


def _steps(key: str, step: object) -> Steps:
    what = f"Slate(diminishing={{{key!r}: ...}})"
    if (number := as_number(step)) is not None:
        if not np.isfinite(number) or number < 0:
            raise ProblemError(f"{what}: the step is {step!r}; expected a finite number >= 0.")
        return number
    if step is None:
        raise ProblemError(f"{what}: expected a number or a list of finite decrements >= 0, got None.")
    array = _by_place(step, what, "decrement")
    if array.ndim != 1 or not array.size or not np.isfinite(array).all() or (array < 0).any():
        raise ProblemError(f"{what}: expected a number or a list of finite decrements >= 0, got {step!r}.")
    falls = np.flatnonzero(np.diff(array) < 0)
    if falls.size:
        at = int(falls[0]) + 1
        raise ProblemError(
            f"{what}: decrement {at} is {array[at]:g}, below the one before it ({array[at - 1]:g}); decrements never "
            "decrease: an item may not gain value from a later place."
        )
    return readonly(array)


def _share(column: str, share: object) -> float:
    number = as_number(share)
    if number is None or not 0 <= number <= 1:
        raise ProblemError(f"Slate(keep={{{column!r}: {share!r}}}): expected a share, a number from 0 to 1.")
    return number


def _by_place(given: object, what: str, word: str) -> npt.NDArray[np.float64]:
    """Numbers by place, from the first: they have no labels, so a Series must be numbered from 0."""
    found = labeled(given, what, word)
    if found is not None and (isinstance(given, Mapping) or list(found) != list(range(len(found)))):
        raise ProblemError(
            f"{what}: {word}s are by place, from the first, not by label, and {type(given).__name__} has labels; "
            "expected a list or an array. From a pandas Series, pass to_numpy()."
        )
    try:
        return np.asarray(numbers_of(given if found is None else list(found.values()), what, word))
    except ProblemError as error:
        raise ProblemError(f"{what}: {given!r} is neither a number nor an array of numbers ({error})") from None


def _slot_weights(given: object, size: Sizes | ByUser) -> npt.NDArray[np.float64]:
    if as_number(given) is not None:
        array = np.asarray(as_number(given))
    else:
        try:
            array = _by_place(given, "Slate(slot_weights=...)", "slot weight")
        except ProblemError as error:
            raise ProblemError(f"Slate(slot_weights={given!r}): expected numbers, one per slot ({error})") from None
    n_slots = (
        size if isinstance(size, int) else array.size if isinstance(size, (str, dict)) else int(size.max(initial=0))
    )
    if array.ndim != 1 or array.size < n_slots or (isinstance(size, int) and array.size != size):
        raise ProblemError(f"Slate(slot_weights=...): shape {array.shape}; expected ({n_slots},), one number per slot.")
    bad = np.flatnonzero(~((array > 0) & (array <= 1)))
    if bad.size:
        counts = f"slot {bad[0]} has the weight {array[bad[0]]:g}"
        raise ProblemError(f"Slate(slot_weights=...): {counts}; expected numbers in (0, 1].")
    rises = np.flatnonzero(np.diff(array) > 0)
    if rises.size:
        at = int(rises[0]) + 1
        raise ProblemError(
            f"Slate(slot_weights=...): slot {at} has the weight {array[at]:g}, more than slot {at - 1} "
            f"({array[at - 1]:g}); expected weights that never increase: items are shown best first."
        )
    return readonly(array)
