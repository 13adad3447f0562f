"""Texts that a variable of the environment holds, such as secrets, which arguments and files only name."""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, urlsplit

from oasis_alloc.errors import InputError

_NAMES = "env:"
_SECRET = ("password", "passwd", "pwd", "secret", "token", "key", "credential")  # in names of a query


def variable_in(source: object) -> str | None:
    """The variable that "env:NAME" names; None for anything else.

    >>> variable_in("env:RADIO_KEY"), variable_in("radio.key"), variable_in(None)
    ('RADIO_KEY', None, None)
    """
    return source.removeprefix(_NAMES) if isinstance(source, str) and source.startswith(_NAMES) else None


def text_of(source: str, argument: str) -> str:
    """A text, or that of the variable that it names; InputError if the environment does not have it.

    >>> text_of("redis://localhost:6379/0", "redis")
    'redis://localhost:6379/0'
    """
    variable = variable_in(source)
    if variable is None:
        return source
    if not os.environ.get(variable):
        raise InputError(f"{argument}={source!r}: the environment has no variable {variable!r}.")
    return os.environ[variable]


def has_secret(address: object) -> bool:
    """True if an address has a password, or something in its query that may be one: it must not be in a file.

    >>> has_secret("redis://:word@host/0"), has_secret("redis://host/0?password=word"), has_secret("redis://host/0")
    (True, True, False)
    """
    if not isinstance(address, str) or "://" not in address:
        return False
    try:
        parts = urlsplit(address)
    except ValueError:  # not an address; what follows may be a password all the same
        return "@" in address
    names = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    return ":" in parts.netloc.rpartition("@")[0] or any(word in name for name in names for word in _SECRET)


def without_password(address: str) -> str:
    """An address as messages may show it: without password and query.

    >>> without_password("postgresql://ads:se@cret@db/ads?sslkey=x"), without_password("ledger.db")
    ('postgresql://ads:***@db/ads', 'ledger.db')
    """
    scheme, sign, rest = address.partition("?")[0].partition("://")
    server, slash, path = rest.partition("/")
    user, _, host = server.rpartition("@")
    if ":" not in user or not sign:
        return f"{scheme}{sign}{rest}"
    return f"{scheme}://{user.partition(':')[0]}:***@{host}{slash}{path}"
