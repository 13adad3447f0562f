"""`oa.evaluate_policy`: a policy is replayed on logged decisions, request by request, and its value is estimated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.policy import Policy
from oasis_alloc.publish.decisions.reading import Decisions
from oasis_alloc.serving.exploration import Exploration
from oasis_alloc.signals.off_policy.arguments import informative, logged_propensities, numbered, numbers, options
from oasis_alloc.signals.off_policy.arrays import evaluated
from oasis_alloc.signals.off_policy.estimators import Rows
from oasis_alloc.signals.off_policy.result import OffPolicy
from oasis_alloc.signals.off_policy.units import added

if TYPE_CHECKING:
    from oasis_alloc.common.types import Table
    from oasis_alloc.publish.decisions.schema import Decision

_NAMED = 5  # policies that an error lists


@suggesting
def evaluate_policy(
    policy: Policy,
    decisions: Decisions,
    outcomes: Table,
    outcome: str,
    *,
    exploration: Exploration | Mapping[str, float] | None = None,
    predicted: str | Callable[[Decision], ArrayLike] | None = None,
    missing: float | None = None,
    policy_id: str | None = None,
    mixed: bool = False,
    by_user: bool | None = None,
    threshold: float | None = None,
    model_error: float | None = None,
    interval: str = "bootstrap",
    confidence: float = 0.95,
    bounds: tuple[float, float] | None = None,
    max_weight: float | None = None,
    min_effective: float = 30.0,
    resamples: int = 1_000,
    seed: int = 0,
) -> OffPolicy:
    """Estimate what a policy would have earned per request, by replaying it on a log of drawn slates.

    Each logged request is given to the policy: its candidates, columns, labels, `k`, pinned and excluded items. The
    probabilities with which the policy shows the items that were logged, divided by the logged propensities, are the
    weights.

    Parameters
    ----------
    policy
        The policy to evaluate. Without an exploration it is evaluated as `select`, which shows one slate.
    decisions
        From `read_decisions`, with propensities: log those of `policy.sample`.
    outcomes, outcome
        A frame with the columns `request`, `item` and the one that `outcome` names, as in `Decisions.shown`.
    exploration
        Of the policy to evaluate; None for its own.
    predicted
        Predicted outcomes of all candidates, for the doubly robust and the switch estimator: the name of a logged
        column, or a function of a `Decision` that returns one number per candidate. Not fitted on the same outcomes.
    missing
        The outcome of an item that is not in `outcomes`, such as 0; by default such an item is an error.
    policy_id
        Evaluate on the decisions of this policy alone, with all its overlays.
    mixed
        Accept a log of several policies. It is valid where each decision has its own propensities.
    by_user
        Whether requests of one user count as one unit, for intervals; by default if all decisions have a user.
    threshold, model_error, interval, confidence, bounds, max_weight, min_effective, resamples, seed
        As in `off_policy`.

    Returns
    -------
    OffPolicy
        Values are per request. `found.difference` compares with the policy that was logged.

    Raises
    ------
    InputError
        For decisions without propensities, of several policies or at several rates, outcomes that are missing or not
        numbers, a request that the policy refuses, and as in `off_policy`.

    Notes
    -----
    Propensities of `Sample` are of being shown at any place. So an item's outcome may depend on the request and the
    item, not on its place or the other items.

    Example
    -------
    >>> import tempfile, numpy as np, pandas as pd, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [0.9, 0.5, 0.4], "s": [0.1, 0.2, 0.9]})
    >>> def policy(column):
    ...     return oa.solve(oa.Problem(cands, oa.total(column), slate=oa.Slate(1))).policy()
    >>> now, other, columns = policy("r"), policy("s"), {"r": [0.9, 0.5, 0.4], "s": [0.1, 0.2, 0.9]}
    >>> streams, rng = [], np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with oa.DecisionLog(folder) as log:
    ...         for k in range(400):
    ...             slate, p = now.sample([0, 1, 2], columns, rng=k, exploration={"share": 0.5})
    ...             kept = log.record(f"r{k}", now, [0, 1, 2], columns, slate, propensities=p)
    ...             streams.append((f"r{k}", slate[0], float(rng.random() < [0.2, 0.3, 0.6][slate[0]])))
    ...     decisions = oa.read_decisions(folder)
    >>> frame = pd.DataFrame(streams, columns=["request", "item", "streams"])
    >>> found = oa.evaluate_policy(other, decisions, frame, "streams")           # shows item 2, worth 0.6
    >>> one = found["self-normalized"]
    >>> one.low < 0.6 < one.high and one.difference_low > 0.0
    True
    """
    what = "evaluate_policy"
    given = options(interval, confidence, resamples, seed, min_effective, bounds, what)
    if not isinstance(policy, Policy):
        raise InputError(f"{what}({shown(policy)}): expected a Policy, from solution.policy() or Policy.load.")
    if not isinstance(decisions, Decisions):
        raise InputError(f"{what}: decisions is {shown(decisions)}; expected what read_decisions returns.")
    chosen = of_one_policy(decisions, policy_id, mixed)
    rule = Exploration.of(policy.data.exploration if exploration is None else exploration)
    table = chosen.shown("pyarrow", outcomes=outcomes)
    r = informative(outcomes_of(table, outcome, missing))
    logged = logged_propensities(_logged(table), r.shape)
    target, expected, model, direct = _replay(policy, chosen, rule, predicted)
    request = np.repeat(np.arange(len(chosen)), [len(one.slate) for one in chosen])
    user = _users(chosen, by_user, interval)
    unit, n_units = (np.arange(len(chosen)), len(chosen)) if user is None else numbered(user, len(chosen), "users")
    if n_units < 2:
        raise InputError(f"{what}: there is one independent unit; expected the requests of two or more users.")
    most = max(int(np.bincount(request, minlength=1).max()), int(np.ceil(expected.max())))
    rows = Rows(
        target / logged, r, unit[request], added(np.ones(len(chosen)), unit, n_units),
        added(expected, unit, n_units), most, model, None if direct is None else added(direct, unit, n_units),
    )  # fmt: skip
    return evaluated(rows, given, threshold, model_error, max_weight, what)


def of_one_policy(decisions: Decisions, policy_id: str | None, mixed: bool) -> Decisions:
    """The decisions of one policy, at one rate; `InputError` if there are several and nothing was chosen."""
    bases = [name.partition("~")[0].partition("+")[0] for name in decisions.table["policy_id"].to_pylist()]
    counts = Counter(bases)
    if policy_id is not None:
        if policy_id not in counts:
            raise InputError(
                f"policy_id={shown(policy_id)}: the log has no such policy.{did_you_mean(str(policy_id), counts)}"
            )
        decisions = Decisions(decisions.table.filter(np.array([name == policy_id for name in bases])))
    elif len(counts) > 1 and not mixed:
        listed = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(_NAMED))
        more = f" and {len(counts) - _NAMED:,} more" if len(counts) > _NAMED else ""
        raise InputError(
            f"the log has decisions of {len(counts):,} policies: {listed}{more}. Choose one with policy_id=, or pass "
            "mixed=True if each decision was logged with its own propensities."
        )
    if not len(decisions):
        raise InputError("the log has no decisions.")
    rates = sorted(set(decisions.table["rate"].to_pylist()))
    if len(rates) > 1:
        raise InputError(
            f"decisions were logged at the rates {', '.join(f'{rate:g}' for rate in rates[:_NAMED])}; expected one "
            "rate. Read the times of each rate by themselves: read_decisions(folder, since=, until=)."
        )
    return decisions


def outcomes_of(table: Any, outcome: str, missing: float | None) -> Floats:
    """(n,) the outcome of every item shown; `missing` for those that have none."""
    if outcome not in table.column_names:
        raise InputError(
            f"outcomes: there is no column {shown(outcome)}.{did_you_mean(str(outcome), table.column_names)}"
        )
    otherwise = None if missing is None else as_real(missing)
    if missing is not None and otherwise is None:
        raise InputError(f"missing={shown(missing)}: expected a number, or None.")
    values = table[outcome].to_pylist()
    absent = [row for row, value in enumerate(values) if value is None]
    if absent and otherwise is None:
        row = absent[0]
        raise InputError(
            f"outcomes: {len(absent):,} of {len(values):,} items shown have no {outcome!r}; the first is item "
            f"{shown(table['item'][row].as_py())} of request {shown(table['request'][row].as_py())}. Pass missing=0.0 "
            "if items without a row had no outcome; leave out requests whose outcomes are not known yet."
        )
    if not values:
        raise InputError("the log shows no items: all slates are empty.")
    filled: list[Any] = [otherwise if value is None else value for value in values]
    return numbers(filled, f"outcomes, {outcome!r}")


def _logged(table: Any) -> list[float]:
    values: list[float] = table["propensity"].to_pylist()
    absent = [row for row, value in enumerate(values) if value is None]
    if absent:
        raise InputError(
            f"{len(absent):,} of {len(values):,} items shown were logged without a propensity, first in request "
            f"{shown(table['request'][absent[0]].as_py())}. Serve policy.sample with an exploration and log its "
            "propensities; slates of select say nothing about other policies."
        )
    return values


def _replay(
    policy: Policy,
    decisions: Decisions,
    rule: Exploration,
    predicted: str | Callable[[Decision], ArrayLike] | None,
) -> tuple[Floats, Floats, Floats | None, Floats | None]:
    """What the policy does in every request.

    The probabilities of the items shown, the number of items that it shows by request, and if there are predictions,
    those of the items shown and of what it shows by request.
    """
    target: list[Floats] = []
    expected, direct, model = np.empty(len(decisions)), np.empty(len(decisions)), []
    for row, one in enumerate(decisions):
        try:
            q = probabilities(policy, one, rule)
        except InputError as error:
            raise InputError(f"request {shown(one.request)} cannot be replayed: {error}") from error
        places = np.asarray(one.slate, np.int64)
        target.append(q[places])
        expected[row] = q.sum()
        if predicted is not None:
            f = _predicted(predicted, one)
            model.append(f[places])
            direct[row] = float(q @ f)
    every = np.concatenate(target)
    return every, expected, np.concatenate(model) if model else None, direct if model else None


def probabilities(policy: Policy, one: Decision, rule: Exploration) -> Floats:
    """(n_candidates,) the probability with which a policy shows each candidate of a logged request."""
    if policy.data.items is not None:
        items = policy.encode(one.items)
    elif len(one.items) and isinstance(one.items[0], str):
        raise InputError(
            f"the policy numbers items and has no ids; the log has ids such as {shown(one.items[0])}. Solve with "
            "item_ids."
        )
    else:
        items = np.asarray(one.items, np.int64)
    columns = {name: np.asarray(values, np.float64) for name, values in one.columns.items()}
    user, excluded = dict(one.labels) or None, sorted(one.excluded) or None
    if not one.pinned:
        return policy.propensities(items, columns, user=user, k=one.k, exclude=excluded, exploration=rule)
    if rule.share > 0.0 or rule.smoothing > 0.0:
        raise InputError("it has pinned items, which sample does not draw; pass exploration={} to replay select.")
    out = np.zeros(len(items))
    out[policy.select(items, columns, user=user, k=one.k, pinned=list(one.pinned), exclude=excluded)] = 1.0
    return out


def _predicted(predicted: str | Callable[[Decision], ArrayLike], one: Decision) -> Floats:
    where = f"predicted, request {shown(one.request)}"
    if callable(predicted):
        return numbers(predicted(one), where, (len(one.items),))
    if predicted not in one.columns:
        raise InputError(f"{where}: there is no column {shown(predicted)}.{did_you_mean(str(predicted), one.columns)}")
    return numbers(np.asarray(one.columns[predicted]), where, (len(one.items),))


def _users(decisions: Decisions, by_user: bool | None, interval: str) -> list[str] | None:
    """The user of each decision, or None if requests are the units."""
    if by_user is False or (by_user is None and interval == "bernstein"):
        return None
    found: list[str | None] = decisions.table["user"].to_pylist()
    known = [user for user in found if user is not None]
    if by_user and len(known) < len(found):
        raise InputError(
            f"by_user=True: {len(found) - len(known):,} of {len(found):,} decisions have no user. Log users with "
            "DecisionLog(secret=...), or pass by_user=False."
        )
    if by_user and interval == "bernstein":
        raise InputError("interval='bernstein' needs units of bounded size, which users are not; pass by_user=False.")
    return known if len(known) == len(found) else None
