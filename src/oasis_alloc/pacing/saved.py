"""The state of a pacer as one JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from oasis_alloc.common.documents import from_json
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.labels import plain
from oasis_alloc.common.remote_path import name_of, text_at, write_at
from oasis_alloc.errors import InputError

_FORMAT, _SCHEMA = "oasis_alloc.pacer", 1


def write_state(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a state; the file appears whole or not at all."""
    try:
        text = json.dumps({"format": _FORMAT, "schema": _SCHEMA, **state}, default=plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"save(): an event id cannot be written as JSON ({error}); use texts or numbers.") from None
    write_at(path, text)


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a state, or raise `InputError`."""
    try:
        state = from_json(text_at(path))
    except (ValueError, OSError) as error:
        raise InputError(f"{name_of(path)} is not a saved pacer ({reason_of(error)}).") from None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise InputError(f"{name_of(path)} is not a saved pacer; expected a file of pacer.save().")
    if state.get("schema") != _SCHEMA:
        raise InputError(f"{name_of(path)}: schema {state.get('schema')!r}; this version reads {_SCHEMA}.")
    return state
