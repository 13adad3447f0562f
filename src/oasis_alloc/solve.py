"""solve(problem): lower it, hand it to a solver, certify what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import same, shown
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import Labels, numbers_of, place_of, spread
from oasis_alloc.errors import ProblemError, did_you_mean
from oasis_alloc.problem import Problem
from oasis_alloc.results.answer import may_cancel
from oasis_alloc.solution import Solution
from oasis_alloc.statement.measures import Limit

if TYPE_CHECKING:
    from oasis_alloc.engines.base import Engine
    from oasis_alloc.program.program import Program
    from oasis_alloc.solvers.monitor import Progress, Status, Watch

Prices = Mapping[str, Any]

_MOST_APART = 1e12  # times that one weight of a relaxation may be another: no sum holds both of more


def solve(
    problem: Problem,
    *,
    solver: str = "dual",
    gap: float = 1e-4,
    time_limit: float | None = None,
    pass_limit: float | None = None,
    threads: int | None = None,
    start: Solution | Prices | None = None,
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    resume: str | PathLike[str] | None = None,
    on_conflict: str = "infeasible",
    relax_weights: Mapping[str, Limit] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Solution:
    """Find an allocation and prices, with a proof of how good they are.

    Parameters
    ----------
    problem
        What to maximise, subject to what.
    solver
        "dual" (ours, the default), or the reference "conic" (HiGHS through cvxpy; "conic:clarabel" and "conic:osqp"
        name others).
    gap
        Stop when `(bound - value) / max(|value|, |bound|, sum of the absolute parts of the objective)` is at most this;
        positive.
    time_limit, pass_limit
        Seconds, and full-pass equivalents, after which the best answer so far is returned with a status that says so.
        Steps end and the answer's certificate is made after that: `passes` is less than 5 above `pass_limit`. What is
        done where the constraints conflict, to tell which or to relax them, is not limited by passes.
    threads
        Host threads; the answer does not depend on them. None takes all cores.
    start
        An earlier solution, or `{constraint name: {label: price}}`: prices to start from. Labels that are gone are
        dropped, new ones start at 0.
    checkpoint, checkpoint_every
        A file that the state of the solve is written to, at most once in so many seconds and when the solve ends:
        prices, the optimiser's state and the best allocation. It is replaced in one step, so it is whole whenever the
        process dies. Where it cannot be written (a full disk, a folder that has gone), the solve goes on, tries again
        after so many seconds, and gives a `CheckpointWarning`, one a reason; the answer is never lost. One that ended
        without an allocation is written as well; going on from it proves the same again.
    resume
        A checkpoint of this same problem to go on from, which may be the file that is written to. The answer is within
        the gap asked for, as without the break; `passes` and `seconds` count both, the limits this call alone.
    on_conflict
        What to do where the constraints cannot all be met: "infeasible" returns no allocation and names the conflict;
        "relax" returns the best allocation among those that relax the limits by the smallest total, status `RELAXED`;
        its `bound` is of every allocation that relaxes them by no more.
    relax_weights
        What a missed unit counts for in that total, `{constraint name: weight}` with a number, one number per group or
        `{label: number}` for a weight; positive, 1 where nothing is said. "infeasible" names its conflicts by them too.
        Limits of different columns are added up in their own units, so give weights where these differ.
    progress
        Called with a `Progress` about once a pass; returning True, also NumPy's, stops the solve. Anything else that is
        no boolean lets it go on, so that a function may return what it likes.

    Returns
    -------
    Solution
        Never without its certificate; `status` says how the solve ended and what to do next. Ctrl-C returns the best
        answer so far, status `INTERRUPTED`, where there is one; before that, and a second time, it interrupts.

    Raises
    ------
    ProblemError
        For an unknown solver, a gap or limit that is not positive, prices of the wrong shape, a weight that is not
        positive or of no constraint, a checkpoint of another problem.
    SolverError
        Where a reference solver breaks down.
    CertificateError
        Where a bound turns out to be below the value of an allocation: a fault of this library, please report it.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     np.array([0, 2, 4]), np.array([0, 1, 0, 1]), columns={"relevance": np.array([0.9, 0.5, 0.8, 0.7])},
    ...     items={"campaign": ["a", "b"]})
    >>> cap = (oa.exposure(by="campaign") <= {"a": 1.0}).named("cap")
    >>> solution = oa.solve(oa.Problem(cands, oa.total("relevance"), [cap], oa.Slate(1)))
    >>> solution.status.name, round(solution.value, 6)
    ('SOLVED', 1.6)
    """
    # numba, scipy.sparse and HiGHS are loaded by the first solve, not by the import of the package
    from oasis_alloc.common.verdicts import ROUNDING
    from oasis_alloc.engines import engine_for
    from oasis_alloc.program.lowering import lower
    from oasis_alloc.program.variants import without_idle_limits
    from oasis_alloc.results.certified import infeasible_answer, parts_of, relaxed_answer, solved_answer
    from oasis_alloc.solvers.conic import ask_reference
    from oasis_alloc.solvers.domain import domain_conflict
    from oasis_alloc.solvers.monitor import Conflicting, Status, Stop, Watch
    from oasis_alloc.solvers.presolve import look_ahead
    from oasis_alloc.solvers.registry import solver_named
    from oasis_alloc.solvers.relaxation import best_relaxed, decided, least_relaxation, neutral, without_ties
    from oasis_alloc.solvers.resume import Keeping
    from oasis_alloc.solvers.worth import worth

    if not isinstance(problem, Problem):
        raise ProblemError(f"solve() takes an oa.Problem, got {type(problem).__name__}.")
    numbers = {"time_limit": time_limit, "pass_limit": pass_limit, "threads": threads}
    numbers = {name: number for name, number in numbers.items() if number is not None}
    for name, number in {**numbers, "gap": gap, "checkpoint_every": checkpoint_every}.items():
        real = as_real(number)
        if not (real is not None and 0.0 < real < np.inf):
            raise ProblemError(f"solve({name}={shown(number)}): expected a positive number.")
    if threads is not None and as_whole(threads) is None:
        raise ProblemError(f"solve(threads={threads!r}): expected a whole number of threads.")
    if progress is not None and not callable(progress):
        raise ProblemError(f"solve(progress={progress!r}): expected a callable, which is given the state.")
    if on_conflict not in ("infeasible", "relax"):
        hint = did_you_mean(on_conflict, ("infeasible", "relax"))
        raise ProblemError(f"solve(on_conflict={on_conflict!r}): there is no such choice.{hint}")
    run = solver_named(solver)
    keeping = Keeping.of(checkpoint, checkpoint_every, resume, solver, start is not None)
    watch = Watch(gap, time_limit, pass_limit, progress)
    program = lower(problem)
    weights = None if relax_weights is None else weights_by_row(program, relax_weights)
    if weights is None and on_conflict == "relax":
        weights = np.ones(program.n_rows)  # the total that is relaxed by the least is in the limits' own units
    first = None if start is None else start_prices(problem, program, start)

    def engine_of(some: Program) -> Engine:
        return engine_for(some, threads)

    status: Status | None = None
    with engine_of(program) as engine:
        watch.n_pairs = program.n_pairs
        survey = engine.survey()
        engine.program = program = without_idle_limits(program, survey.least, survey.most)
        z = None if first is None else program.variables(first)
        ahead = look_ahead(engine)
        watch.lowest, watch.scale = ahead.lowest, ahead.scale
        watch.rounding = ROUNDING * ahead.scale
        watch.free = ahead.free
        if ahead.free is not None:
            watch.offer_bound(ahead.free, np.zeros(program.n_rows))
        if may_cancel(problem):
            watch.parts = parts_of(problem, program)
        try:
            if not ahead.hopeless:
                with suppress(Conflicting):
                    z = keeping.begin(engine, watch, z)
                    if not watch.reached:
                        run(engine, watch, z)
            if watch.best is None or not watch.best.feasible:
                asked = neutral(program)
                least = decided(engine, engine_of, watch, least_relaxation(engine, engine_of, watch, asked))
                if least.proven:
                    if weights is not None and not np.array_equal(asked, weights):
                        least = least_relaxation(engine, engine_of, watch, weights)
                    least = without_ties(engine, watch, least)
                    if on_conflict == "relax":
                        again = ask_reference if solver == "dual" else None
                        relaxed = best_relaxed(engine, engine_of, watch, run, least, again)
                        keeping.end(engine, watch)
                        return relaxed_answer(Solution, problem, program, engine, watch, relaxed, solver)
                    keeping.end(engine, watch)
                    return infeasible_answer(Solution, problem, program, engine, watch, least, solver)
                watch.may_conflict = False
                if least.x.size:
                    watch.offer(worth(engine, least.positions, least.x))
                run(engine, watch, None if watch.prices is None else program.variables(watch.prices))
            if not watch.proven and solver == "dual":
                ask_reference(engine, watch)
            if watch.best is not None and np.isneginf(watch.best.value):
                conflict = domain_conflict(engine, engine_of, watch, watch.best)
                if conflict is not None:
                    keeping.end(engine, watch)
                    return infeasible_answer(Solution, problem, program, engine, watch, conflict, solver, value=-np.inf)
        except Stop as stop:
            status = stop.status
        except KeyboardInterrupt:
            if watch.prices is None:
                raise  # nothing is known yet
            status = Status.INTERRUPTED
        if watch.best is None or not watch.best.feasible or watch.prices is None:
            _fall_back(engine, watch)
        if status is None:
            status = Status.SOLVED if watch.proven else Status.STALLED
        elif watch.proven:
            status = Status.SOLVED
        keeping.end(engine, watch)
        if status is Status.INTERRUPTED and not (watch.best and watch.best.feasible):
            raise KeyboardInterrupt  # no answer to return; a checkpoint has what was found
        assert watch.best is not None  # _fall_back leaves both
        assert watch.prices is not None
        return solved_answer(Solution, problem, program, engine, watch, watch.best, watch.prices, status, solver)


def _fall_back(engine: Engine, watch: Watch) -> None:
    """An allocation from the prices alone, where the solve ended before the finisher: scaled until all caps hold."""
    from oasis_alloc.solvers.repair import scaled
    from oasis_alloc.solvers.worth import worth

    program = engine.program
    if watch.prices is None:
        prices = np.zeros(program.n_rows)
        visit = engine.visit(prices, 1e-9 * (engine.survey().size or 1.0))
        watch.offer_bound(visit.bound + program.conjugate(prices), prices)
    assert watch.prices is not None  # offered just now at the latest
    positions, x = scaled(engine, watch.prices)
    watch.offer(worth(engine, positions, x))


def weights_by_row(program: Program, given: Mapping[str, Limit]) -> Floats:
    """Weights of a missed unit, (n_rows,), the least one 1: only their ratios matter."""
    if not isinstance(given, Mapping):
        raise ProblemError(
            f"relax_weights= takes {{constraint name: weight}}, with a number, one number a group or {{label: number}} "
            f"for a weight; got {type(given).__name__}."
        )
    hard = {block.name: block for block in program.blocks if block.function.is_constraint}
    out = np.ones(program.n_rows)
    for name, weight in given.items():
        if name not in hard:
            known = any(block.name == name for block in program.blocks)
            raise ProblemError(
                f"relax_weights: {name!r} is no hard constraint, so it is never relaxed; leave it out."
                if known
                else f"relax_weights: no constraint is named {name!r}.{did_you_mean(name, list(hard))}"
            )
        try:
            frozen = numbers_of(weight, "relax_weights", "weight")
        except ProblemError as error:
            raise ProblemError(f"relax_weights: the weights of {name!r} are not numbers ({error})") from error
        numbers = np.array(list(frozen.values()) if isinstance(frozen, dict) else [frozen]).ravel()
        bad = numbers[~(np.isfinite(numbers) & (numbers > 0))]
        if bad.size:
            raise ProblemError(
                f"relax_weights: a weight of {name!r} is {bad[0]:g}; expected positive finite numbers. A limit that "
                "may be missed for nothing is better left out of the problem."
            )
        out[hard[name].rows] = spread(
            frozen, hard[name].labels, f"relax_weights of {name!r}", free=1.0, what="the array"
        )
    rows = [out[block.rows] for block in hard.values() if len(block.labels)]
    if not rows:
        return out
    stated: Floats = np.concatenate(rows)
    costs = np.concatenate([(out * program.unit)[block.rows] for block in hard.values()])  # of what a pair adds
    if costs.max() > _MOST_APART * costs.min():
        raise ProblemError(
            f"relax_weights: weights of {stated.min():g} and {stated.max():g} (1 where nothing is said) make what a "
            "candidate adds to one limit count more than 1e12 times what it adds to another, so that one of the two "
            "counts for nothing. Take weights that are closer."
        )
    return out / float(stated.min())


def start_prices(problem: Problem, program: Program, start: Solution | Prices) -> Floats:
    """Prices by row from an earlier solution or {name: {label: price}}, matched by name and label."""
    given: Prices = start.prices_by_label if isinstance(start, Solution) else start
    if not isinstance(given, Mapping):
        raise ProblemError(
            f"start= takes a Solution or {{constraint name: {{label: price}}}}, got {type(start).__name__}."
        )
    prices = np.zeros(program.n_rows)
    known = {block.name: block for block in program.blocks}
    for name, numbers in given.items():
        if name not in known:
            if isinstance(start, Solution):
                continue  # a constraint that is gone
            raise ProblemError(f"start: no constraint or function is named {name!r}.{did_you_mean(name, list(known))}")
        block = known[name]
        try:
            frozen = numbers_of(numbers, "start", "price")
        except ProblemError as error:
            raise ProblemError(f"start: the prices of {name!r} are not numbers ({error})") from error
        if isinstance(frozen, dict):  # groups that are gone have no price here
            places = Labels(block.labels).places
            known_labels = {label: price for label, price in frozen.items() if same(label) in places}
            if frozen and not known_labels and not isinstance(start, Solution):
                place_of(next(iter(frozen)), places, block.labels, f"start: {name!r}")
            frozen = spread(known_labels, block.labels, f"start: {name!r}", free=0.0)
            if any(price != price for price in known_labels.values()):
                raise ProblemError(f"start: the prices of {name!r} are not all finite.")
        values = np.asarray(frozen, dtype=np.float64)
        if values.shape != (len(block.labels),):
            raise ProblemError(
                f"start: {name!r} has {values.shape} prices; expected (n_groups,) = ({len(block.labels)},)."
            )
        if not np.isfinite(values).all():
            raise ProblemError(f"start: the prices of {name!r} are not all finite.")
        prices[block.rows] = values
    return prices
