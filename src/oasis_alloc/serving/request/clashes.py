"""Keys of items that have the name of an argument, such as `items` or `user`: a mistaken call says how to give them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

from oasis_alloc.errors import InputError, OasisAllocError

Call = TypeVar("Call", bound=Callable[..., Any])


def clashing(calls: Iterable[Callable[..., Any]], keys: Iterable[str]) -> frozenset[str]:
    """The keys that are names of arguments of one of the calls.

    >>> sorted(clashing([lambda items, columns, k=None, **attributes: None], ["k", "items", "artist"]))
    ['items', 'k']
    """
    codes = [call.__code__ for call in calls]
    return frozenset(keys).intersection(*[{name for code in codes for name in code.co_varnames[: code.co_argcount]}])


def explain_clashes(of: object, names: Iterable[str], keys: Iterable[str]) -> None:
    """Have the calls of an object explain such keys; where there are none, no request pays for it."""
    calls = [getattr(of, name) for name in names]
    if clashes := clashing(calls, keys):
        for call in calls:
            setattr(of, call.__name__, explained(call, clashes))


def explained(call: Call, keys: Iterable[str] | None = None) -> Call:
    """The call, whose errors say where the labels of such a key go.

    Python itself refuses an argument that is given twice, with a `TypeError`, before any check of this package.
    `keys` are the items' keys; by default those of the `policy` of the object that is called.
    """

    @wraps(call)
    def answered(*args: Any, **given: Any) -> Any:
        try:
            return call(*args, **given)
        except (TypeError, InputError) as error:
            key = _meant(str(error), given, _keys(args) if keys is None else keys)
            if key is None or (isinstance(error, TypeError) and "multiple values" not in str(error)):
                raise
            raise InputError(
                f"{key}=... is an argument of this call ({str(error).removesuffix('.')}). The items have a key with "
                f"this name: give its labels as attributes={{{key!r}: [...]}}."
            ) from None

    return answered  # type: ignore[return-value]


def _keys(args: tuple[Any, ...]) -> Iterable[str]:
    try:
        found: Iterable[str] = args[0].policy.data.item_keys
        return found
    except (AttributeError, IndexError, OasisAllocError):  # a store may have no policy
        return ()


def _meant(message: str, given: Iterable[str], keys: Iterable[str]) -> str | None:
    """The key that an error is about."""
    both = [key for key in given if key in keys]
    return next((key for key in both if f"'{key}'" in message or message.startswith((f"{key}=", f"{key}:"))), None)
