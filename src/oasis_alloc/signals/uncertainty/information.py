"""What it would be worth to know the uncertain columns before allocating."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.documents import Document
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError, SolverError
from oasis_alloc.problem import Problem
from oasis_alloc.session import Session
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.signals.uncertainty.weighted import DrawnObjective


@dataclass(frozen=True, eq=False)
class InformationValue(Document, form="information_value"):
    """What perfect information is worth; made by `perfect_information`. `print` shows it as a sentence.

    Attributes
    ----------
    value, standard_error
        Mean gain over the draws, in units of the objective, and the standard error of that mean.
    low, high
        Limits of the mean gain in these draws, proven by the bounds of all solves if every draw is solved.
    without, informed
        Mean objective of the best allocation for the mean of the draws, and of the best allocation of each draw.
    gains
        (n_solved,): what knowing the draw adds in each of them.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> print(oa.InformationValue(5.0, 0.5, 4.9, 5.1, 100.0, 105.0, np.array([4.5, 5.5])))
    perfect information is worth 5 +- 0.5 (standard error), 5 % of the objective
    """

    value: float
    standard_error: float
    low: float
    high: float
    without: float
    informed: float
    gains: Floats

    def __str__(self) -> str:
        share = self.value / abs(self.without) if self.without else np.nan
        return (
            f"perfect information is worth {self.value:,.3g} +- {self.standard_error:,.2g} (standard error), "
            f"{100 * share:.2g} % of the objective"
        )


@suggesting
def perfect_information(
    problem: Problem, draws: Draws, *, gap: float = 1e-4, limit: int | None = None, threads: int | None = None
) -> InformationValue:
    """Solve for the mean of the draws and for draws alone: the mean difference is the value of perfect information.

    It is the most that better predictions can be worth, in units of the objective (Raiffa and Schlaifer, Applied
    Statistical Decision Theory, 1961). If it is small, effort is better spent elsewhere.

    Parameters
    ----------
    problem, draws
        As in `solve_uncertain`.
    gap
        Of every solve; the gains cannot be known better than this share of the objective.
    limit
        How many draws are solved alone, the first ones; None for all. Each takes a few passes from the last one's
        prices.
    threads
        As in `oa.solve`.

    Raises
    ------
    ProblemError
        As `solve_uncertain`; for a limit below 2.
    SolverError
        If the limits of the problem conflict.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.8]})
    >>> draws = oa.Draws(cands, {"r": np.array([[1.2, 0.8], [0.6, 0.8]])})
    >>> worth = oa.perfect_information(oa.Problem(cands, oa.total("r")), draws)
    >>> round(worth.value, 6), worth.gains.round(6).tolist()
    (0.1, [0.0, 0.2])
    """
    if not isinstance(problem, Problem):
        raise ProblemError(f"perfect_information() takes an oa.Problem, got {type(problem).__name__}.")
    if not isinstance(draws, Draws):
        raise ProblemError(f"perfect_information(draws): expected oa.Draws, got {type(draws).__name__}.")
    wanted = as_real(gap)
    if wanted is None or not 0.0 < wanted < np.inf:
        raise ProblemError(f"perfect_information(gap={shown(gap)}): expected a positive number.")
    count = draws.number if limit is None else as_whole(limit)
    if count is None or count < 2:
        raise ProblemError(f"perfect_information(limit={shown(limit)}): expected 2 draws or more, or None for all.")
    drawn, n = DrawnObjective.of(problem, draws), draws.number
    session = Session(drawn.weighted(np.full(n, 1.0 / n)))
    mean = session.solve(gap=wanted, threads=threads)
    if mean.status.name == "INFEASIBLE":
        mean.raise_if_infeasible()
    values = drawn.values(mean.pairs, mean.x)
    rest = mean.value - float(values.mean())
    gains, most = np.empty(min(count, n)), np.empty(min(count, n))
    for s in range(gains.size):
        session.change(problem=drawn.weighted(np.eye(1, n, s)[0]))
        best = session.solve(gap=wanted, threads=threads)
        if best.status.name not in ("SOLVED", "STALLED"):
            raise SolverError(f"perfect_information(): the solve of draw {s} ended with {best.status}.")
        gains[s], most[s] = best.value - values[s] - rest, best.bound - values[s] - rest
    value, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(gains.size))
    without = float(values[: gains.size].mean()) + rest
    low = value - max(0.0, mean.bound - mean.value)
    return InformationValue(value, error, low, float(most.mean()), without, without + value, gains)
