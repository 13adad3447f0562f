"""What a pacer is to reach: goals by group, with floors and caps, over a flight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import same, shown
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.curves import Mode
from oasis_alloc.pacing.goal import Goal

if TYPE_CHECKING:
    from oasis_alloc.solution import Solution

Numbers = Mapping[Any, float] | None


@suggesting
class Plan(ByFields):
    """Goals of the groups of one measure, for `oa.Pacer`; plans are added up by `+`.

    Parameters
    ----------
    by
        The key, or keys, of the groups, such as "campaign". The policy has to have prices by it: state a constraint of
        this measure in the problem, be it one that does not bind.
    start, end
        The flight in UNIX seconds.
    caps, floors
        `{label: total over the flight}`; a group may have both, and then its price may have either sign.
    column
        What is counted; None counts showings.
    daily, hourly
        `{label: total}`: hard caps per day and per hour, next to the flight's.
    starts, ends
        `{label: UNIX seconds}` of goals whose flight differs from the plan's.
    mode
        "even" (with the traffic), "asap", "front-loaded", points `[(share of traffic, share of the goal), ...]`, or a
        function; one for all goals, or `{label: mode}`.
    penalty
        What missing a unit costs, in units of the objective: prices never leave [-penalty, penalty].
    soft
        True for caps that prices hold and nothing stops.

    Raises
    ------
    InputError
        For a floor above its cap, negative or missing numbers, and a flight that ends before it starts.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> plan = oa.Plan("campaign", 0.0, 86400.0, caps={"a": 900.0, "b": 400.0}, floors={"a": 800.0}, penalty=0.5)
    >>> plan
    Plan(2 goals by campaign, from 0 to 86400)
    """

    def __init__(
        self,
        by: str | tuple[str, ...],
        start: float,
        end: float,
        *,
        caps: Numbers = None,
        floors: Numbers = None,
        column: str | None = None,
        daily: Numbers = None,
        hourly: Numbers = None,
        starts: Numbers = None,
        ends: Numbers = None,
        mode: Mode | Mapping[Any, Mode] = "even",
        penalty: float = 1.0,
        soft: bool = False,
    ) -> None:
        keys = (by,) if isinstance(by, str) else tuple(by) if isinstance(by, Iterable) else (by,)
        if not all(isinstance(key, str) for key in keys):
            raise InputError(f"Plan(by={shown(by)}): expected a key, such as 'campaign', or a tuple of keys.")
        given = {
            "cap": _by_label("caps", caps), "floor": _by_label("floors", floors), "daily": _by_label("daily", daily),
            "hourly": _by_label("hourly", hourly), "start": _by_label("starts", starts),
            "end": _by_label("ends", ends),
        }  # fmt: skip
        if not any(given[name] for name in ("cap", "floor", "daily", "hourly")):
            raise InputError("Plan: there are no goals; expected caps=, floors=, daily= or hourly= as {label: number}.")
        modes = {same(label): one for label, one in mode.items()} if isinstance(mode, Mapping) else {}
        shared: Any = "even" if isinstance(mode, Mapping) else mode
        labels = {same(label): label for numbers in (caps, floors, daily, hourly) for label in (numbers or {})}
        for name, named in (("starts", given["start"]), ("ends", given["end"]), ("mode", modes)):
            if unknown := [label for label in named if label not in labels]:
                raise InputError(
                    f"Plan({name}): {shown(unknown[0])} has no goal; give it a cap, a floor, a daily or an hourly cap."
                )
        common = {"start": _real("start", start), "end": _real("end", end)}
        goals = []
        for key, label in labels.items():
            own: dict[str, Any] = common | {name: numbers[key] for name, numbers in given.items() if key in numbers}
            how = {"mode": modes.get(key, shared), "penalty": _real("penalty", penalty), "soft": soft}
            goals.append(Goal(terms=((column, keys, 1.0),), label=label, **own, **how))
        self.goals = _checked(goals)

    @classmethod
    def of_goals(cls, goals: Iterable[Goal]) -> Self:
        """A plan of goals that were made elsewhere."""
        plan = cls.__new__(cls)
        plan.goals = _checked(goals)
        return plan

    @classmethod
    def of(
        cls,
        solution: Solution,
        start: float,
        end: float,
        *,
        slices: str | None = None,
        penalty: float | None = None,
        mode: Mode = "even",
    ) -> Self:
        """The limits of a solution, at its prices.

        Parameters
        ----------
        solution
            Its caps, floors and soft bands become goals. Shares (limits of 0 on several totals) and floors without
            keys, such as a relevance guard, become ratios over traffic.
        start, end
            The flight that it was solved for, in UNIX seconds.
        slices
            A key of the users, in the order of time, such as "hour": limits by it are not goals; their totals say how
            the goals are spread over the flight.
        penalty
            What missing a unit costs; None takes four times the largest price of the solution, at least 1, and the
            penalties of soft bands as they are.
        mode
            As in `Plan`, for goals that no slices spread.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays(
        ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"campaign": ["a", "b"]})
        >>> cap = (oa.exposure(by="campaign") <= {"a": 1.0}).named("cap")
        >>> oa.Plan.of(oa.solve(oa.Problem(cands, oa.total("r"), cap, oa.Slate(1))), 0.0, 3600.0)
        Plan(1 goal by campaign, from 0 to 3600)
        """
        from oasis_alloc.pacing.solved import goals_of

        return cls.of_goals(goals_of(solution, _real("start", start), _real("end", end), slices, penalty, mode))

    def __add__(self, other: object) -> Plan:
        if not isinstance(other, Plan):
            return NotImplemented
        return Plan.of_goals([*self.goals, *other.goals])

    def __len__(self) -> int:
        return len(self.goals)

    def __repr__(self) -> str:
        keys = " and ".join(dict.fromkeys(", ".join(goal.by) or "all" for goal in self.goals))
        start, end = min(goal.start for goal in self.goals), max(goal.end for goal in self.goals)
        n = len(self.goals)
        return f"Plan({n:,} goal{'' if n == 1 else 's'} by {keys}, from {start:g} to {end:g})"


def _checked(goals: Iterable[Goal]) -> tuple[Goal, ...]:
    out = tuple(goal.checked() for goal in goals)
    if not out:
        raise InputError("Plan: there are no goals; expected caps or floors of at least one group.")
    names = [(goal.terms, same(goal.label)) for goal in out]
    if len(set(names)) < len(names):
        twice = next(goal for k, goal in enumerate(out) if names[k] in names[:k])
        raise InputError(f"Plan: there are two goals of {twice} on the same measure; expected one with both limits.")
    return out


def _by_label(name: str, given: Numbers) -> dict[Any, float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"Plan({name}=...): expected {{label: number}}, got {type(given).__name__}.")
    return {same(label): _real(f"{name}[{shown(label)}]", number) for label, number in given.items()}


def _real(name: str, given: object) -> float:
    number = as_real(given)
    if number is None or math.isnan(number):
        raise InputError(f"Plan: {name} is {shown(given)}; expected a number.")
    return number
