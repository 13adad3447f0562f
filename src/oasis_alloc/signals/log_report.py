"""The report of a log of decisions: calibration, drift and off-policy results, a verdict, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.text_tables import TextTable, number
from oasis_alloc.errors import InputError
from oasis_alloc.signals.log_checks import LogDrift, Predicted, drift, predicted_against
from oasis_alloc.signals.off_policy.arguments import informative, numbers
from oasis_alloc.signals.off_policy.replayed import evaluate_policy, of_one_policy, outcomes_of
from oasis_alloc.signals.off_policy.result import OffPolicy

if TYPE_CHECKING:
    from oasis_alloc.common.types import Table
    from oasis_alloc.policy import Policy
    from oasis_alloc.publish.decisions.reading import Decisions

SCHEMA = 1
_EVERY = "all candidates, weighted by 1 / propensity"
_LEVELS = ("good", "watch", "bad")
_NEW = 0.05  # share of candidates in the second half, of items that the first half lacks, from which to watch


@dataclass(frozen=True)
class Block:
    """A part of the report: how good it is, what was found, and what to do."""

    title: str
    level: str
    finding: str
    actions: tuple[str, ...] = ()
    reliability: Mapping[str, Predicted] | None = None
    drift: LogDrift | None = None
    off_policy: OffPolicy | None = None
    table: TextTable | None = None

    def to_dict(self) -> dict[str, Any]:
        """The block in the form of JSON."""
        out: dict[str, Any] = {"title": self.title, "level": self.level, "finding": self.finding}
        out["actions"] = list(self.actions)
        if self.reliability:
            out["reliability"] = {name: one.to_dict() for name, one in self.reliability.items()}
        if self.drift is not None:
            out["drift"] = jsonable(self.drift)
        if self.off_policy is not None:
            out["off_policy"] = self.off_policy.to_dict()
        return out


@dataclass(frozen=True)
class LogReport:
    """All blocks of a log, with a verdict."""

    source: str
    log: TextTable
    blocks: tuple[Block, ...]

    @property
    def level(self) -> str:
        """The worst level of all blocks: "good", "watch" or "bad"."""
        return max((block.level for block in self.blocks), key=_LEVELS.index)

    @property
    def verdict(self) -> str:
        """One sentence."""
        wrong = [block.title for block in self.blocks if block.level == "bad"]
        watched = [block.title for block in self.blocks if block.level == "watch"]
        if wrong:
            more = f" Watch: {', '.join(watched)}." if watched else ""
            return f"Needs action: {', '.join(wrong)}.{more}"
        return f"Usable, with cautions: {', '.join(watched)}." if watched else "Nothing needs action."

    @property
    def actions(self) -> list[str]:
        """What to do, the most urgent first, each once."""
        ordered = sorted(self.blocks, key=lambda block: -_LEVELS.index(block.level))
        return list(dict.fromkeys(action for block in ordered for action in block.actions))

    def to_dict(self) -> dict[str, Any]:
        """Everything in the form of JSON: `oasis_alloc.signals`, docs/json.md."""
        return {
            "format": "oasis_alloc.signals", "schema": SCHEMA, "source": self.source, "level": self.level,
            "verdict": self.verdict, "actions": self.actions,
            "log": {row[0]: row[1] for row in self.log.rows}, "blocks": [one.to_dict() for one in self.blocks],
        }  # fmt: skip


def report_of(
    decisions: Decisions,
    outcomes: Table,
    outcome: str,
    *,
    source: str,
    policies: Mapping[str, Policy],
    predicted: str | None = None,
    missing: float | None = None,
    policy_id: str | None = None,
    mixed: bool = False,
) -> LogReport:
    """Check a log; `policies` are evaluated on it, `predicted` is the column that predicts the outcome."""
    chosen = of_one_policy(decisions, policy_id, mixed)
    table = chosen.shown("pyarrow", outcomes=outcomes)
    values = informative(outcomes_of(table, outcome, missing))
    blocks = [_calibration(chosen, table, values, predicted), _drift(chosen), _exploration(table)]
    for name, policy in policies.items():
        blocks.append(_off_policy(name, policy, chosen, outcomes, outcome, predicted, missing))
    return LogReport(source, _log(chosen, values), tuple(blocks))


def _log(decisions: Decisions, values: np.ndarray[Any, Any]) -> TextTable:
    times, ids = decisions.table["time"].to_numpy(), sorted(set(decisions.table["policy_id"].to_pylist()))
    span = " to ".join(datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M") for t in (times[0], times[-1]))
    rows = [
        ("decisions", f"{len(decisions):,}"), ("from, to (UTC)", span),
        ("policies", ", ".join(ids[:3]) + (f" and {len(ids) - 3:,} more" if len(ids) > 3 else "")),
        ("items shown", f"{values.size:,}"), ("mean outcome per item shown", number(float(values.mean()), 4)),
    ]  # fmt: skip
    return TextTable(("the log", ""), "lr", rows)


def _calibration(decisions: Decisions, table: Any, values: np.ndarray[Any, Any], predicted: str | None) -> Block:
    name = predicted or _organic(decisions)
    if name is None:
        return Block(
            "calibration", "watch", "No column of predicted outcomes is known.",
            ("Name the logged column that predicts the outcome: --predicted COLUMN.",),
        )  # fmt: skip
    said = []
    for decision in decisions:
        if name not in decision.columns:
            raise InputError(f"request {decision.request!r} was logged without the column {name!r} (--predicted).")
        said += [decision.columns[name][place] for place in decision.slate]
    p = numbers(said, f"column {name!r}")
    if not ((values >= 0.0) & (values <= 1.0)).all():
        return Block(
            "calibration", "watch", "Outcomes are not from 0 to 1, so predictions of them are not judged.",
            ("For calibration, pass outcomes from 0 to 1: divide them by their maximum.",),
        )  # fmt: skip
    logged = table["propensity"].to_pylist()
    found = {"shown": predicted_against(p, values, np.ones(p.size))}
    if all(q is not None and q > 0.0 for q in logged):
        found[_EVERY] = predicted_against(p, values, 1.0 / np.asarray(logged, np.float64))
    one = found["shown"]
    text = (
        f"Of {number(one.reliability.expected, 4)} outcomes that column {name!r} predicts for what was shown, "
        f"{number(one.reliability.occurred, 4)} +- {number(1.96 * one.error, 2)} occurred ({100 * one.ratio:.0f} %). "
        f"Expected calibration error {number(one.reliability.calibration_error, 2)}."
    )
    if not one.is_off:
        return Block("calibration", "good", text, reliability=found)
    action = f"Calibrate column {name!r} with Calibration.fit: values per item shown are off by {_off(one)}."
    every = found.get(_EVERY)
    if every is not None and not every.is_off:
        action += " It is right on average over all candidates, so selection causes the error: correct for it."
    if predicted is None:  # the organic column need not be in units of the outcome
        action += f" If {name!r} does not predict the outcome, name the column that does: --predicted COLUMN."
    return Block("calibration", "watch" if predicted is None else "bad", text, (action,), reliability=found)


def _off(one: Predicted) -> str:
    return f"{100 * abs(one.ratio - 1.0):.0f} % ({'too high' if one.ratio < 1.0 else 'too low'})"


def _organic(decisions: Decisions) -> str | None:
    names = set(decisions.table["organic"].to_pylist())
    return str(next(iter(names))) if len(names) == 1 and None not in names else None


def _drift(decisions: Decisions) -> Block:
    if len(decisions) < 2:
        return Block("drift", "watch", "The log has one decision: nothing can be compared.", ("Read a longer log.",))
    found = drift(decisions)
    moved = [one.column for one in found.columns if one.level == "moved"]
    watched = [one.column for one in found.columns if one.level == "watch"]
    text = (
        f"Compared the first {found.halves[0]:,} decisions with the other {found.halves[1]:,}. "
        f"{100 * found.new_items:.1f} % of the later candidates are items that the first half lacks."
    )
    if moved:
        action = f"Solve again with recent data: {', '.join(moved)} moved within the log."
        return Block("drift", "bad", f"{text} Moved: {', '.join(moved)}.", (action,), drift=found)
    if watched or found.new_items > _NEW:
        action = "Check " + " and ".join([*watched, *(["new items"] if found.new_items > _NEW else [])]) + "."
        return Block("drift", "watch", text, (action,), drift=found)
    return Block("drift", "good", text, drift=found)


def _exploration(table: Any) -> Block:
    logged = table["propensity"].to_pylist()
    absent = sum(q is None for q in logged)
    if absent:
        return Block(
            "exploration", "bad", f"{absent:,} of {len(logged):,} items shown have no propensity.",
            ("Serve policy.sample with an exploration, and log its propensities.",),
        )  # fmt: skip
    p = np.asarray(logged, np.float64)
    least, sure = float(p.min()), float((p >= 1.0).mean())
    if not (least > 0.0 and p.max() <= 1.0 + 1e-9):
        return Block(
            "exploration", "bad", f"Propensities are from {least:g} to {p.max():g}, outside (0, 1].",
            ("Log the propensities of policy.sample: others are not probabilities.",),
        )  # fmt: skip
    text = (
        f"{100 * (1.0 - sure):.1f} % of the items shown had a propensity below 1; the smallest is "
        f"{number(least, 3)}, which allows a weight of {number(1.0 / least, 3)}."
    )
    if sure == 1.0:
        return Block("exploration", "bad", text, ("Explore: a log of best slates says nothing about other policies.",))
    return Block("exploration", "good", text)


def _off_policy(
    name: str,
    policy: Policy,
    decisions: Decisions,
    outcomes: Table,
    outcome: str,
    predicted: str | None,
    missing: float | None,
) -> Block:
    title = f"policy {name}"
    try:
        found = evaluate_policy(policy, decisions, outcomes, outcome, predicted=predicted, missing=missing, mixed=True)
    except InputError as error:
        return Block(title, "bad", f"It cannot be evaluated: {error}", (f"Repair the log or {name}: see {title}.",))
    actions: Sequence[str]
    if found.refused:
        actions = (f"Explore more before judging {name}: choose_exploration says how much.",)
        return Block(title, "bad", found.verdict, actions, off_policy=found)
    best = found.best
    if not found.is_compared:
        actions = (f"Log longer before judging {name}: too few outcomes distinguish it from the logged policy.",)
    elif best.difference_low > 0.0:
        actions = (f"Test {name} on live traffic: the log says that it is better.",)
    elif best.difference_high < 0.0:
        actions = (f"Do not publish {name}: the log says that it is worse.",)
    else:
        actions = (f"Log longer or explore more to tell {name} from the logged policy.",)
    level = "watch" if found.cautions or best.difference_low <= 0.0 <= best.difference_high else "good"
    return Block(title, level, found.verdict, tuple(actions), off_policy=found)


def text_of(report: LogReport) -> str:
    """The report for a terminal."""
    lines = [report.verdict, ""]
    lines += [f"- {action}" for action in report.actions] + ([""] if report.actions else [])
    lines += [f"{block.level:5s} {block.title}: {block.finding}" for block in report.blocks]
    return "\n".join(lines)
