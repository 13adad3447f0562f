"""The parameters of tools: their JSON schemas, and the check of what a client sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError

_LABEL = ["string", "number", "boolean"]
_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("a text", {"type": "string"}),
    "number": ("a finite number", {"type": "number"}),
    "whole": ("a whole number", {"type": "integer"}),
    "flag": ("true or false", {"type": "boolean"}),
    "id": ("a text or a whole number", {"type": ["string", "integer"]}),
    "ids": ("a list of texts or whole numbers", {"type": "array", "items": {"type": ["string", "integer"]}}),
    "numbers": ("a list of finite numbers", {"type": "array", "items": {"type": "number"}}),
    "labels": (
        "an object {key: label, or list of labels}",
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [{"type": _LABEL}, {"type": "array", "items": {"type": _LABEL}}],
            },
        },
    ),
    "weights": ("an object of finite numbers", {"type": "object", "additionalProperties": {"type": "number"}}),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool."""

    kind: str
    meaning: str
    required: bool = False


Parameters = Mapping[str, Parameter]


def schema(parameters: Parameters) -> dict[str, Any]:
    """The JSON schema of a tool's arguments."""
    return {
        "type": "object",
        "properties": {name: _KINDS[one.kind][1] | {"description": one.meaning} for name, one in parameters.items()},
        "required": [name for name, one in parameters.items() if one.required],
        "additionalProperties": False,
    }


def checked(tool: str, parameters: Parameters, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, without those that are null; InputError names what is wrong.

    >>> checked("check", {"statement": Parameter("text", "A file.", True)}, {"statement": "a.toml"})
    {'statement': 'a.toml'}
    """
    for name in given:
        if name not in parameters:
            raise InputError(f"{tool} has no parameter {name!r}.{did_you_mean(name, list(parameters))}")
    out = {name: value for name, value in given.items() if value is not None}
    for name, one in parameters.items():
        expected = _KINDS[one.kind][0]
        if one.required and name not in out:
            raise InputError(f"{tool}: {name} is missing; expected {expected}. {one.meaning}")
        if name in out and not _is(one.kind, out[name]):
            raise InputError(f"{tool}: {name} is {shown(out[name])}; expected {expected}. {one.meaning}")
    return out


def _is(kind: str, value: Any) -> bool:
    if kind == "ids":
        return isinstance(value, list) and all(_is("id", one) for one in value)
    if kind == "numbers":
        return isinstance(value, list) and all(_is("number", one) for one in value)
    if kind == "weights":
        return isinstance(value, dict) and all(_is("number", one) for one in value.values())
    if kind == "labels":
        labels = (
            [one for some in value.values() for one in (some if isinstance(some, list) else [some])]
            if (isinstance(value, dict))
            else [None]
        )
        return all(isinstance(one, (str, bool)) or _is("number", one) for one in labels)
    if kind == "number":
        number = as_real(value)
        return number is not None and abs(number) < float("inf")
    if kind == "whole":
        return as_whole(value) is not None
    if kind == "flag":
        return isinstance(value, bool)
    return isinstance(value, str) or (kind == "id" and as_whole(value) is not None)
