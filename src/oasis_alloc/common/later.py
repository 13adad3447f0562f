"""Public functions of higher layers that objects of lower ones offer as methods: found by name at the first call."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def public_function(name: str) -> Callable[..., Any]:
    """The function that the package exports under this name.

    A solution has methods such as `what_if` whose code solves again, and so is above solutions. Only the name of the
    function is known here; nothing of it is imported before it is called.

    >>> public_function("what_if").__name__
    'what_if'
    """
    found: Callable[..., Any] = getattr(importlib.import_module("oasis_alloc"), name)
    return found
