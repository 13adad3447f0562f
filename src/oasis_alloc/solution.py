"""The result of `solve`: an allocation, prices, and their certificate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.later import public_function
from oasis_alloc.common.seeds import Rng
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import SolverError
from oasis_alloc.results.answer import Answer, by_label
from oasis_alloc.results.answer_columns import answers_frame
from oasis_alloc.statement.stay_close import Earlier

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy
    from oasis_alloc.results.plots import SolutionPlots
    from oasis_alloc.results.price_list import ShadowPrices
    from oasis_alloc.results.report import Expectation
    from oasis_alloc.results.rounding import Rounded
    from oasis_alloc.serving.exploration import Exploration


class Solution(Answer):
    """An allocation with its prices and its proof; `print(solution)` shows a report of one screen.

    Attributes
    ----------
    status
        How the solve ended; its text says what to do next.
    value, bound, gap
        Objective of the allocation; a proven upper bound of the optimum; and `(bound - value) / max(|value|, |bound|,
        sum of the absolute parts of the objective)`.
    violation
        The largest of `excess / max(|limit|, sum of the absolute contributions to the total)` over all limits; up to
        1e-6 all are kept. Like the gap, it does not depend on units or on other limits.
    prices, totals
        `{name of a constraint or function: array}`, one entry per group in the order of `problem.labels(name)`. A price
        is what one more unit of the limit would add to the objective: >= 0 for a cap, <= 0 for a floor. A total is what
        this plan delivers, without the earlier amounts of `Measure.delivered_so_far`.
    passes, seconds
        Full passes over the pairs (parts of passes are added up); wall time in seconds.
    diminished
        What the decrements of the slate subtract from `value`.
    sizes
        `{name of a constraint: array}`: sums of absolute contributions; exact where a limit is missed, else a bound.
    conflicts
        For an infeasible problem: the limits in conflict, and by how much each must be relaxed. For a relaxed one: the
        limits that are missed, and by how much.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(np.array([0, 2]), np.array([0, 1]), columns={"r": np.array([0.9, 0.5])})
    >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    >>> solution.allocation
    array([1., 0.])
    """

    @cached_property
    def allocation(self) -> Floats:
        """Probability of every pair, (n_pairs,), in the candidates' order; `pairs` and `x` are its non-zeros.

        With `slot_weights`, it is the attention that a pair gets: at most the weight of the first slot. Candidates from
        Parquet files: `SolverError` if it would need more than their `memory`.
        """
        self.raise_if_infeasible()
        self._check_room("allocation")
        out = np.zeros(self.problem.candidates.n_pairs)
        out[self.pairs] = self.x
        out.flags.writeable = False
        return out

    @suggesting
    def to_frame(self, backend: str | None = None) -> Any:
        """The non-zeros as a frame of the kind of the candidates' frames: ids and `x` (`x_` if an id has that name).

        Parameters
        ----------
        backend
            "pandas", "polars" or "pyarrow"; None takes the kind of the candidates' frame.
        """
        self.raise_if_infeasible()
        return answers_frame(self.problem.candidates, self.pairs, {"x": self.x}, backend)

    @suggesting
    def groups_frame(self, name: str | None = None, backend: str | None = None) -> Any:
        """Limits, totals and prices of the groups of one constraint or function, or of all of them, as a frame.

        One row per group, in the order of `problem.labels(name)`: a column for each key of its measure, then `lower`,
        `upper` (infinite where there is no limit), `total` and `price`. Without a name, all constraints and functions
        follow one another, with `name`, `kind` ("constraint", "soft", "function") and `group`, the label as text, in
        place of the keys. `backend` is as in `to_frame`.

        Raises `ProblemError` for an unknown name, `SolverError` for an infeasible problem.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
        >>> caps = (oa.exposure(by="song") <= {"a": 0.5}).named("caps")
        >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1)))
        >>> print(solution.groups_frame("caps", "pandas")[["song", "upper", "total"]].to_string(index=False))
        song  upper  total
           a    0.5    0.5
           b    inf    0.5
        """
        from oasis_alloc.results.groups import groups_frame

        return groups_frame(self, name, backend)

    @property
    def plot(self) -> SolutionPlots:
        """Plots: `plot.delivery()`, `plot.prices()` and `plot.frontier(curve)`, see `SolutionPlots`."""
        from oasis_alloc.results.plots import SolutionPlots

        return SolutionPlots(self)

    def with_names(self, names: Mapping[str, Mapping[Any, str]]) -> Solution:
        """The same solution, whose reports, prices, plots and HTML show these names next to labels.

        `names` is `{key: {label: name}}`; labels without one are shown as they are. Prices, the frame of one constraint
        and files are the same. Raises `ProblemError` for a key that the candidates do not have.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
        >>> caps = (oa.exposure(by="song") <= {"a": 0.5}).named("caps")
        >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1)))
        >>> print(*solution.with_names({"song": {"a": "Aria"}}).shadow_prices())
        one more impression for song 'a' Aria (caps) would add 0.4 r
        """
        from oasis_alloc.results.naming import checked_names

        return replace(self, label_names=checked_names(self.problem, names))

    def to_dict(self) -> dict[str, Any]:
        """Certificate, statement, groups and conflicts as plain texts and numbers, for JSON; see `docs/json.md`.

        It does not include the allocation: use `to_frame` or `save` for that.
        """
        from oasis_alloc.results.documents import document_of

        return document_of(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write allocation, prices, certificate and the statement as text to one file, for `oa.load_solution`.

        A safetensors container under a digest, without code; an existing file is replaced in one step. Raises
        `SolverError` for an infeasible problem, `InputError` for labels or ids that cannot be written, and `OSError`.
        """
        from oasis_alloc.results.saved import save

        self.raise_if_infeasible()
        save(self, path)

    @suggesting
    def round(self, rng: Rng = 0) -> Rounded:
        """Draw one whole slate per user such that every pair is shown with exactly its probability x.

        With `slot_weights`, x is attention: every pair gets a place, and the mean weight of its place (0 if it is not
        shown) is exactly x.

        Parameters
        ----------
        rng
            An integer seed in [0, 2^63), or a `numpy.random.Generator` that draws one; it decides a user's slate.

        Returns
        -------
        Rounded
            The pairs shown, their propensities and totals; with `slot_weights` also places and their probabilities.

        Notes
        -----
        Every slate keeps its size, `at_least` and, where categories nest or two systems of them cross, `at_most`. Where
        categories nest, each has floor or ceil of its sum of x, so the mean effect of `diminishing` on the value is
        exact, too. With three crossing keys, or items with several labels, a draw can exceed a cap of a category,
        usually by one item (docs/sampling.md). `keep` and limits on totals hold on average.
        With `slot_weights`, a user's x is decomposed into at most n + 1 orderings of its n items, of which one is
        drawn; each keeps size, `at_least` and all caps. `keep` holds for the mean of the column weighted by place.
        `numpy.random.Generator.choice(replace=False, p=x / sum x)` does not do this: its 0.95 becomes 0.80.

        Raises
        ------
        InputError
            If `rng` is neither of the two.
        ProblemError
            With `slot_weights`, if a user mixes items of crossing categories, and more of each than its cap: then there
            may be no orderings within the caps whose mean is x.
        SolverError
            For an infeasible problem.

        Example
        -------
        >>> import numpy as np, oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]})
        >>> capped = oa.solve(oa.Problem(cands, oa.total("r"), oa.total("r") <= 1.4, oa.Slate(1)))
        >>> slates = capped.round(rng=1)
        >>> len(slates.pairs), bool((slates.propensity == capped.allocation[slates.pairs]).all())
        (2, True)
        """
        from oasis_alloc.results.rounding import rounded

        return rounded(self, rng)

    def best_slates(self) -> Rounded:
        """Choose one whole slate per user, for functions by (user, genre) such as calibration; nothing is drawn.

        The best found for scores at the prices of what couples users plus the user's own functions: by greedy picks,
        one of them Steck's rule, and exchanges. Its `value` compares with `bound`; `docs/diversity.md` has more.
        Raises `ProblemError` without a function by user, with more rules of slates than a size, or with files.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [0.9, 0.8, 0.4]}, users={"who": ["ann"]},
        ...     items={"genre": ["folk", "folk", "pop"]})
        >>> far = oa.kl(oa.exposure(by=("who", "genre")), 1.0)
        >>> oa.solve(oa.Problem(cands, oa.total("r") - 2.0 * far, slate=oa.Slate(2))).best_slates().pairs
        array([0, 2])
        """
        from oasis_alloc.results.best_slates import best_slates

        return best_slates(self)

    @property
    def prices_by_label(self) -> dict[str, dict[Any, float]]:
        """`{name: {label: price}}`: prices by key, as `solve(start=...)` accepts, also when campaigns have changed."""
        return by_label(self.problem, self.prices)

    def scores(self) -> Floats:
        """Priced score of every pair, (n_pairs,): its value minus the prices of everything it uses."""
        from oasis_alloc.engines import engine_for
        from oasis_alloc.program.lowering import lower

        self.raise_if_infeasible()
        self._check_room("scores()")
        program = lower(self.problem, unweighted=True)
        prices = [self.prices[block.name] for block in program.blocks]
        with engine_for(program, 1) as engine:
            return engine.scores(np.concatenate(prices) if prices else np.empty(0))

    @suggesting
    def policy(
        self,
        valid_for: float | None = None,
        organic: str | None = None,
        users: bool | None = None,
        exploration: Exploration | Mapping[str, float] | None = None,
        unproven: bool = False,
    ) -> Policy:
        """Make a policy: the prices, weights and slate rules of this solution, ready to score and select in a service.

        Parameters
        ----------
        valid_for
            Seconds from now after which the policy is stale; None for never.
        organic
            The column by which the host ranks without promotions; by default "relevance", else the objective's first.
        users
            Whether requests may give users by number, `user=17`; None means yes for up to 16 million users.
        exploration
            How much `Policy.sample` explores: `oa.Exploration(...)` or its numbers by name. None draws the best slate.
        unproven
            True allows prices of a solve that ended before the requested gap was proven (status `TIME_LIMIT`, `STALLED`
            ...). Such prices can be far off, so they must be requested.

        Raises
        ------
        SolverError
            For an infeasible problem, and for an unproven answer without `unproven=True`.
        ProblemError
            For an unknown column, and for seconds that are not positive.
        InputError
            For an invalid exploration.

        Example
        -------
        >>> import numpy as np, oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays(np.array([0, 2]), np.array([0, 1]), columns={"r": np.array([0.9, 0.5])})
        >>> solution = oa.solve(oa.Problem(cands, oa.total("r") , oa.exposure() <= 0.5, slate=oa.Slate(1)))
        >>> bool((solution.policy().score([0, 1], {"r": [0.9, 0.5]}) == solution.scores()).all())
        True
        """
        from oasis_alloc.policy import Policy
        from oasis_alloc.serving.build import policy_data
        from oasis_alloc.serving.exploration import Exploration

        self.raise_if_infeasible()
        if self.status.name not in ("SOLVED", "RELAXED") and not unproven:
            raise SolverError(
                f"the solve ended before its gap was proven ({self.status}; gap {self.gap:.1e}, violation "
                f"{self.violation:.1e}), so its prices may be far off. {self.status.advice.capitalize()}; or use "
                "them anyway with policy(unproven=True)."
            )
        rule = None if exploration is None else Exploration.of(exploration).numbers()
        return Policy(policy_data(self, valid_for, organic, users, rule))

    def what_if(self, **changes: Any) -> Any:
        """What the plan would be with other limits, weights, dates or songs: an `oa.WhatIf`.

        `changes` and errors are those of `oa.what_if`: `limits=`, `weights=`, `dates=`, `opt_in=` and so on.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays(
        ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
        >>> caps = (oa.exposure(by="song") <= {"a": 1.0}).named("caps")
        >>> plan = oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1)))
        >>> round(plan.what_if(limits={"caps": {"a": 0.5}}).value.change, 6)
        -0.2
        """
        return public_function("what_if")(self, **changes)

    def churn(self, previous: Solution) -> float:
        """Share of the slots of this solution that an earlier one did not have, `1 - sum min(x, y) / sum x`, in [0, 1].

        Pairs are matched by the ids of users and items, as in `stay_close`, so the earlier problem may have
        other candidates: new users and items count as changed. 0 if nothing is shown.

        Raises
        ------
        ProblemError
            For anything but a solution with an allocation, and for ids of another type.

        Example
        -------
        >>> import numpy as np, oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays(
        ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
        >>> free, capped = (
        ...     oa.solve(oa.Problem(cands, oa.total("r"), rules, oa.Slate(1)))
        ...     for rules in ([], [oa.exposure(by="song") <= 1.5]))
        >>> round(capped.churn(free), 6)
        0.25
        """
        self.raise_if_infeasible()
        return Earlier.of(previous, "churn(previous)").churn(self.problem.candidates, self.pairs, self.x)

    def _check_room(self, what: str) -> None:
        """Raise SolverError if one number per pair needs more memory than streamed candidates allow."""
        stream, n_bytes = self.problem.candidates.stream, 8 * self.problem.candidates.n_pairs
        if stream is not None and n_bytes > stream.budget.limit:
            raise SolverError(
                f"{what} has one number per pair, {n_bytes:,} bytes, and memory= of the candidates allows "
                f"{stream.budget.limit:,}. Use pairs and x, or to_frame(), for the pairs that are shown."
            )

    @suggesting
    def shadow_prices(self, limit: int | None = None) -> ShadowPrices:
        """Every price that is not 0, with its limit, its total and a sentence, largest weight first.

        The weight of a price is `|price| * max(1, |limit|)`: what the whole limit is worth. Functions without
        a limit count one unit. `limit` is the maximum number of entries. The list shows itself as a table, with what
        the signs of prices mean, and has `to_frame()`. Raises `SolverError` for an infeasible problem.

        Example
        -------
        >>> import numpy as np, oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays(np.array([0, 2]), np.array([0, 1]), columns={"r": np.array([0.9, 0.5])})
        >>> slots = (oa.exposure() <= 1.5).named("slots")
        >>> print(*oa.solve(oa.Problem(cands, oa.total("r"), slots, oa.Slate(2))).shadow_prices())
        one more impression allowed by 'slots' would add 0.5 r
        """
        from oasis_alloc.results.shadow_prices import shadow_prices

        return shadow_prices(self, limit)

    @suggesting
    def report(self, after_selection: Mapping[str, Expectation] | None = None) -> str:
        """One screen of text: how the solve ended, what it achieved, and what one more unit of each limit would cost.

        `print(solution)` shows the same. `after_selection` is `{column: oa.SelectedError}`: for each, the report says
        how much of the column's total should occur, because selection favors candidates that are overestimated.
        """
        from oasis_alloc.results.report import report

        return report(self, after_selection)

    __str__ = report

    def __repr__(self) -> str:
        numbers = f"value={self.value:.8g}, bound={self.bound:.8g}, gap={self.gap:.1e}, violation={self.violation:.1e}"
        less = f", without {len(self.excluded):,} corrupt partitions" if self.excluded else ""
        return f"Solution({self.status}, {numbers}{less})"

    def _repr_html_(self) -> str:
        from oasis_alloc.results.report import report_html

        return report_html(self)
