"""What a what-if question changes: limits, weights, dates and songs, checked before anything is solved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from oasis_alloc.common.labels import is_none, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.text_tables import number
from oasis_alloc.common.verdicts import NO_LIMIT
from oasis_alloc.data.by_group import as_number
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.dates import moved
from oasis_alloc.forecast.opting import opted
from oasis_alloc.problem import Problem
from oasis_alloc.results.sweep import constraint_of, varied
from oasis_alloc.session import Session

_SHOWN = 6  # changes of one constraint that are written out


def changed(
    problem: Problem,
    limits: Mapping[str, Any] | None,
    weights: Mapping[str, float] | None,
    dates: Mapping[Any, Any] | None,
    opt_in: Mapping[Any, Any] | None,
    opt_out: Any,
    slices: str | None,
    by: str,
    promotion: str | None,
) -> tuple[Problem, list[str]]:
    """The changed problem, and a sentence per change. Raises `ProblemError`, and changes nothing then."""
    said: list[str] = []
    for name, weight in _mapping("weights", weights).items():
        problem = _weighted(problem, name, weight)
        said.append(f"the weight of {name} is {number(float(weight), 4)}")
    if promotion is None and "promotion" in problem.candidates.columns:
        promotion = "promotion"
    candidates, sentences = opted(problem.candidates, opt_in, opt_out, by, promotion)
    said += sentences
    session = Session(problem)
    given = _mapping("limits", limits)
    for name, limit in given.items():
        said += _limits_in_words(problem, name, limit)
    try:
        session.change(limits=given or None, candidates=None if candidates is problem.candidates else candidates)
    except ProblemError as error:
        raise ProblemError(str(error).replace("change(", "what_if(", 1)) from None
    problem, sentences = moved(session.problem, dates, slices, by)
    return problem, said + sentences


def _mapping(what: str, given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ProblemError(f"what_if({what}={shown(given)}): expected {{name: new {what[:-1]}}}.")
    return dict(given)


def _weighted(problem: Problem, name: object, weight: object) -> Problem:
    """The problem with another weight of one term of its objective."""
    new = as_number(weight)
    if new is None or not np.isfinite(new):
        raise ProblemError(
            f"what_if(weights=...): the weight of {name!r} is {shown(weight)}; expected a finite number."
        )
    try:
        knob = varied(problem, str(name), False)
    except ProblemError:
        knob = None
    if knob is None or knob.words != "weight":
        linear = problem.maximize.linear
        known = [*map(str, linear.terms if linear is not None else ()), *(f.name for f in problem.maximize.functions)]
        raise ProblemError(f"what_if(weights=...): the objective has no term {name!r}.{did_you_mean(name, known)}")
    try:
        return knob.at(new)
    except ProblemError as error:
        raise ProblemError(f"what_if(weights=...): {name!r} at {new:g} gives no valid problem: {error}") from error


def _limits_in_words(problem: Problem, name: str, limit: object) -> list[str]:
    """A sentence per changed group; refuses negative units."""
    place = problem.names.index(name) if name in problem.names else -1
    band = constraint_of(problem.functions[place]) if place >= 0 else None
    if band is None:  # the session says which names there are
        return [f"the limit of {name} is changed"]
    counts = all(term.coefficient > 0 and term.column is None for term in band.measure.terms)
    by_label = limit if isinstance(limit, Mapping) else {None: limit}
    said = []
    for label, one in by_label.items():
        new = as_number(one)
        where = f"what_if(limits=...): {name}" + ("" if label is None else f", {label!r}")
        lifted = is_none(one) or (new is not None and (new <= -NO_LIMIT if band.sense == ">=" else new >= NO_LIMIT))
        if new is not None and counts and new < 0 and not lifted:
            raise ProblemError(f"{where}: the limit is {new:g} units; expected a number of at least 0.")
        of = name if label is None else f"{name} of {label!r}"
        to = "lifted" if lifted else (f"{band.sense} {number(new, 6)}" if new is not None else "given by group")
        said.append(f"{of} is {to}")
    if len(said) > _SHOWN:
        said = [*said[: _SHOWN - 1], f"and {len(said) - _SHOWN + 1:,} more limits of {name}"]
    return said
