"""Other dates of campaigns in a problem whose users have a key of time: caps of 0 outside a flight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from oasis_alloc.common.labels import same, shown
from oasis_alloc.data.by_group import Labels, place_of, spread
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.results.sweep import constraint_of, with_limit
from oasis_alloc.statement.measures import exposure

_NAME = "changed flights"


def moved(problem: Problem, dates: object, slices: str | None, by: str) -> tuple[Problem, list[str]]:
    """The problem with other flights, and a sentence per flight.

    A flight is `{label: (first, last)}`, both included, in labels of the key `slices` of the users. Caps of 0 of the
    same groups that are in the problem are lifted inside the flight.
    """
    if dates is None:
        return problem, []
    if not isinstance(dates, Mapping):
        raise ProblemError(f"what_if(dates={shown(dates)}): expected {{label: (first, last)}}.")
    users = problem.candidates.users
    if slices is None or slices not in users:
        known = ", ".join(users) or "none"
        raise ProblemError(
            f"what_if(dates=..., slices={slices!r}): expected a key of the users in the order of time, such as 'day', "
            f"by which the problem knows when a slot is. Keys of the users: {known}."
        )
    times = Labels(users[slices].labels.tolist())
    grouping = problem.candidates.grouping((slices, by))
    labels = Labels(problem.candidates.grouping(by).labels)
    inside: dict[Any, tuple[int, int]] = {}
    said = []
    for label, span in dates.items():
        place = place_of(label, labels.places, labels, "what_if(dates=...)")
        first, last = _span(label, span, times, slices)
        inside[same(labels[place])] = first, last
        said.append(f"{by} {label!r} runs from {slices} {times[first]!r} to {times[last]!r}")
    at = {same(time): k for k, time in enumerate(times)}
    out: dict[Any, float] = {}
    lifted: list[Any] = []
    for time, label in grouping.labels:
        if same(label) in inside:
            first, last = inside[same(label)]
            if first <= at[same(time)] <= last:
                lifted.append((time, label))
            else:
                out[time, label] = 0.0
    return _with_caps(problem, (slices, by), out, lifted), said


def _span(label: Any, span: object, times: Labels, slices: str) -> tuple[int, int]:
    """Positions of the first and the last slice of a flight."""
    if not isinstance(span, (tuple, list)) or len(span) != 2:
        raise ProblemError(f"what_if(dates=...): the flight of {label!r} is {shown(span)}; expected (first, last).")
    found = []
    for one in span:
        try:
            found.append(place_of(one, times.places, times, slices))
        except ProblemError:
            raise ProblemError(
                f"what_if(dates=...): the flight of {label!r} has the {slices} {shown(one)}, but this plan is of "
                f"{times[0]!r} to {times[-1]!r}. What is past cannot be planned, and later times need candidates."
            ) from None
    if found[1] < found[0]:
        raise ProblemError(
            f"what_if(dates=...): the flight of {label!r} ends at {span[1]!r}, before it starts at {span[0]!r}."
        )
    return found[0], found[1]


def _with_caps(problem: Problem, keys: tuple[str, str], out: dict[Any, float], inside: list[Any]) -> Problem:
    functions = []
    for name, function in zip(problem.names, problem.subject_to, strict=False):
        band = constraint_of(function)
        is_alike = band is not None and set(band.measure.by) == set(keys) and band.sense == "<="
        if band is not None and is_alike:
            labels = Labels(problem.candidates.grouping(band.measure.by).labels)
            limits = spread(band.limit, labels, name, free=np.nan)
            turned = band.measure.by != keys
            lifted = [labels.places[same(label[::-1] if turned else label)] for label in inside]
            lifted = [g for g in lifted if limits[g] == 0.0]
            if lifted:
                limits[lifted] = np.nan
                left = {one: float(x) for one, x in zip(labels, limits, strict=True) if x == x}
                function = with_limit(function, left).named(name)
        functions.append(function)
    if out:
        taken = sum(name.startswith(_NAME) for name in problem.names)
        functions.append((exposure(by=keys) <= out).named(f"{_NAME} {taken + 1}" if taken else _NAME))
    return problem.replace(subject_to=functions)
