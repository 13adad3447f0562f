"""Texts that a variable of the environment holds, such as secrets, which arguments and files only name."""

from __future__ import annotations

_NAMES = "env:"


def variable_in(source: object) -> str | None:
    """The variable that "env:NAME" names; None for anything else.

    >>> variable_in("env:RADIO_KEY"), variable_in("radio.key"), variable_in(None)
    ('RADIO_KEY', None, None)
    """
    return source.removeprefix(_NAMES) if isinstance(source, str) and source.startswith(_NAMES) else None
