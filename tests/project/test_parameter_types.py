"""Parameters of public functions and methods have types that an editor can use: none is `Any` or `object` as a whole.

What a type says within a container (`Mapping[str, Any]`) is left to mypy.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import oasis_alloc
from oasis_alloc import markets, telemetry

# Why a parameter has no type of its own. Fields of results are made by solves and readers, and hold the labels and
# settings of callers as they came.
ALLOWED = {
    "Slate.size": "a field too; what callers may pass is in the `__init__` for type checkers",
    "Slate.at_least": "like size",
    "DriftEffect.label": "a label as the caller gave it; a field of a result",
    "Conflict.label": "a label as the caller gave it; a field of a result",
    "ShadowPrice.label": "a label as the caller gave it; a field of a result",
    "Candidates.no_column(name)": "what was asked for, whatever it is; the message quotes it",
    "Outlook.label": "a label as the caller gave it; a field of a result",
    "Move.label": "a label as the caller gave it; a field of a result",
    "CampaignForecast.label": "a label as the caller gave it; a field of a result",
    "Miss.label": "a label as the caller gave it; a field of a result",
    "Served.policy(how)": "arguments of Solution.policy",
    "Competitor.label": "a label as the caller gave it; a field of a result",
    "LimitCurve.label": "a label as the caller gave it; a field of a result",
    "Reasons.label": "a label as the caller gave it; a field of a result",
    "limit_curve(label)": "a label of any type that candidates may have",
    "reasons(label)": "a label of any type that candidates may have",
    "Solution.what_if(changes)": "arguments of what_if",
    "PolicyStore.score(request)": "further arguments of Policy.score",
    "PolicyStore.boosts(request)": "further arguments of Policy.boosts",
    "PolicyStore.select(request)": "further arguments of Policy.select",
    "Problem.replace(changes)": "arguments of Problem",
    "Requests.from_frames(how)": "arguments of Candidates.from_frames",
    "Requests.from_parquet(how)": "arguments of Requests.from_frames",
    "Reproduction.solve(changes)": "arguments of solve",
    "quote(fields)": "fields of QuoteRequest",
    "UncertainSolution.policy(how)": "arguments of Solution.policy",
    "frontier(options)": "arguments of solve",
}
VAGUE = {"Any", "object", "typing.Any"}


def parts(annotation: str) -> Iterator[str]:
    """The members of a union.

    >>> list(parts("Mapping[str, Any] | None"))
    ['None', 'Mapping[str, Any]']
    """
    node = ast.parse(annotation, mode="eval").body
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield ast.unparse(node.right)
        node = node.left
    yield ast.unparse(node)


def vague(function: Callable[..., Any]) -> Iterator[str]:
    """Names of the parameters that may be anything, or have no type."""
    signature = inspect.signature(function)
    for name, parameter in signature.parameters.items():
        written = parameter.annotation
        if written is inspect.Parameter.empty:
            if name not in ("self", "cls"):
                yield name
        elif VAGUE & set(parts(written if isinstance(written, str) else inspect.formatannotation(written))):
            yield name


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Functions and classes that a module offers, without those that it imports from elsewhere."""
    for name in dir(module):
        item = getattr(module, name)
        home = getattr(item, "__module__", None) or ""
        if not name.startswith("_") and callable(item) and home.startswith(module.__name__):
            yield name, item


def found(name: str, item: Any) -> Iterator[str]:
    """`function(parameter)`, `Class.method(parameter)`, and for what makes an object `Class.parameter`."""
    if not inspect.isclass(item):
        yield from (f"{name}({parameter})" for parameter in vague(item))
        return
    if "__init__" in vars(item) and not issubclass(item, BaseException):
        yield from (f"{name}.{parameter}" for parameter in vague(item.__init__) if not parameter.startswith("_"))
    for method in dir(item):
        member = inspect.unwrap(getattr(item, method))
        home = getattr(member, "__module__", None) or ""
        if not method.startswith("_") and inspect.isroutine(member) and home.startswith("oasis_alloc"):
            yield from (f"{name}.{method}({parameter})" for parameter in vague(member))


FOUND = {
    one for module in (oasis_alloc, telemetry, markets) for name, item in public(module) for one in found(name, item)
}


def test_no_public_parameter_may_be_anything() -> None:
    new = sorted(FOUND - set(ALLOWED))
    assert not new, f"give these a type, such as those of common/types.py, or a reason in {__name__}.ALLOWED: {new}"


def test_what_is_allowed_is_needed() -> None:
    assert sorted(set(ALLOWED) - FOUND) == []


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [("Any", True), ("object", True), ("Any | None", True), ("Mapping[str, Any] | None", False), ("int", False)],
)
def test_a_vague_parameter_is_found(annotation: str, expected: bool) -> None:
    def function(given):  # type: ignore[no-untyped-def]
        return given

    assert list(vague(function)) == ["given"]
    function.__annotations__ = {"given": annotation}
    assert (list(vague(function)) == ["given"]) is expected
