"""The inputs of requests: columns and keys of the policy's problem, and their form in errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.nearest import did_you_mean

if TYPE_CHECKING:
    from oasis_alloc.serving.data import PolicyData

ANY = "any"  # the kind of labels on which no price or rule depends
_LONGEST = 120  # maximum number of characters of a request's value in an error


@dataclass(frozen=True)
class Schema:
    """The required and optional inputs of a request to a policy; see `Policy.schema`.

    Parameters
    ----------
    columns
        Names of the columns that `select` reads, in their order: one number per candidate. `score` reads
        `policy.columns`, the first of them; `boosts` and `explain` read `organic` as well.
    organic
        The column by which the host ranks.
    user_keys, item_keys
        `{name: kind}` of all keys that the problem's users and items had, whether or not a price depends on them. The
        kind is that of the labels, "int", "uint", "float", "bool" or "str", and "any" if nothing depends on the key.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2], [0, 1], {"r": [0.9, 0.5]}, users={"market": ["SE"], "hour": [3]}, items={"artist": [7, 8]})
    >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure(by="market") <= 1.5)).policy()
    >>> policy.schema.columns, policy.schema.user_keys, policy.schema.item_keys
    (('r',), {'market': 'str', 'hour': 'any'}, {'artist': 'any'})
    """

    columns: tuple[str, ...]
    organic: str
    user_keys: Mapping[str, str] = field(default_factory=dict)
    item_keys: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain lists and dicts, for JSON.

        >>> Schema(("r",), "r", {"market": "str"}).to_dict()
        {'columns': ['r'], 'organic': 'r', 'user_keys': {'market': 'str'}, 'item_keys': {}}
        """
        return {
            "columns": list(self.columns),
            "organic": self.organic,
            "user_keys": dict(self.user_keys),
            "item_keys": dict(self.item_keys),
        }


def schema_of(data: PolicyData) -> Schema:
    """The schema of a policy's requests."""

    def kinds(known: Iterable[str], used: Mapping[str, Sequence[Any]]) -> Mapping[str, str]:
        return {key: kind_of(used[key]) or ANY if key in used else ANY for key in known}

    of_items = {key: of.labels for key, of in data.item_keys.items()}
    known = data.known
    return Schema(
        data.selected,
        data.organic,
        kinds(data.user_keys if known is None else known.user_keys, data.user_keys),
        kinds(data.item_keys if known is None else known.item_keys, of_items),
    )


def kind_of(labels: Sequence[Any]) -> str | None:
    """ "int", "uint", "float", "bool" or "str": what all the labels (or ids) are, or None where they are of two kinds.

    >>> kind_of((3, 5)), kind_of(("a",)), kind_of((2**64 - 1,)), kind_of((1, "a"))
    ('int', 'str', 'uint', None)
    """
    kinds: set[type] = set(map(type, labels))
    for kind, name in ((str, "str"), (bool, "bool"), (float, "float")):
        if kinds == {kind}:
            return name
    if bool not in kinds and all(issubclass(kind, Integral) for kind in kinds):
        return "uint" if labels and max(labels) >= 1 << 63 else "int"
    return None


def known_keys(data: PolicyData) -> tuple[dict[str, None], dict[str, None]]:
    """Names of the keys that requests may bring, of users and of items."""
    if data.known is None:
        return dict.fromkeys(data.user_keys), dict.fromkeys(data.item_keys)
    return dict.fromkeys(data.known.user_keys), dict.fromkeys(data.known.item_keys)


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of a message about a name that a request brought, whatever that is."""
    return did_you_mean(name if isinstance(name, str) and len(name) <= 200 else "", known)


def shown(value: object) -> str:
    """A request's value for an error message: its `repr`, cut if it is long.

    >>> shown("x"), len(shown("x" * 10**6)), shown(10**5000)
    ("'x'", 123, 'a number of thousands of digits')
    """
    if isinstance(value, (str, bytes)):
        value = value[: _LONGEST + 1]
    elif isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > _LONGEST:
        return f"a {type(value).__name__} of {len(value):,} entries"
    try:
        text = repr(value)
    except ValueError:  # Python does not print numbers of more than 4,300 digits
        return "a number of thousands of digits"
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def readable(text: str) -> str:
    """A text for a log or a terminal: characters that are not printable are escaped.

    >>> readable("a\\nCRITICAL b\\x1b[31m")
    'a\\\\nCRITICAL b\\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def names_of(keys: Iterable[object]) -> list[str]:
    """The names that are strings: a column of a table may have another kind of name."""
    return [key for key in keys if isinstance(key, str)]
