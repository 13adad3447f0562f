"""solve(problem): lower the problem, run a solver, and certify its answer."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.data.corrupt import CorruptFileError
from oasis_alloc.engines.ray.engine import RayEngine
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.results.answer import may_cancel
from oasis_alloc.solution import Solution
from oasis_alloc.statement.measures import Limit

if TYPE_CHECKING:
    from oasis_alloc.common.types import Floats
    from oasis_alloc.engines.base import Engine
    from oasis_alloc.engines.ray.cluster import Cluster
    from oasis_alloc.program.program import Program
    from oasis_alloc.solvers.kept import WarmStart
    from oasis_alloc.solvers.monitor import Progress
    from oasis_alloc.solvers.progress_display import ProgressDisplay

_log = logging.getLogger("oasis_alloc.solve")

Prices = Mapping[str, Any]


@suggesting
def solve(
    problem: Problem,
    *,
    solver: str = "dual",
    gap: float = 1e-4,
    time_limit: float | None = None,
    pass_limit: float | None = None,
    engine: RayEngine | None = None,
    threads: int | None = None,
    start: Solution | Prices | None = None,
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    resume: str | PathLike[str] | None = None,
    on_conflict: str = "infeasible",
    relax_weights: Mapping[str, Limit] | None = None,
    progress: Callable[[Progress], object] | bool | None = None,
) -> Solution:
    """Find an allocation and prices, with a proof of how good they are.

    Parameters
    ----------
    problem
        The problem to solve.
    solver
        "dual" (ours, the default), or the reference "conic" (HiGHS through cvxpy; "conic:clarabel" and "conic:osqp"
        name others).
    gap
        Stop when `(bound - value) / max(|value|, |bound|, sum of the absolute parts of the objective)` is at most this;
        positive.
    time_limit, pass_limit
        Seconds, and full-pass equivalents, after which the best answer so far is returned with a status that says so.
        The current step is finished and the certificate is computed after that, so `passes` is less than 5 above
        `pass_limit`. If constraints conflict, the search for the conflict or its relaxation is not limited by passes.
    engine
        `oa.RayEngine(...)` runs the passes on a Ray cluster, over candidates in files; None runs them in this process.
        The answer is the same to rounding, mostly to the last bit (`docs/cluster.md`).
    threads
        Host threads; the answer does not depend on them. None takes all cores.
    start
        An earlier solution, of this problem or a similar one, or `{constraint name: {label: price}}`. Labels that no
        longer exist are dropped. A solution also has its smoothing and its allocation: the same problem is proven by
        one visit, and one with a few changes takes a few passes (docs/solving-again.md).
    checkpoint, checkpoint_every
        A file for the state of the solve: prices, the optimizer's state and the best allocation; an address such as
        s3://bucket/state is a file in object storage. It is written at most once per `checkpoint_every` seconds and
        when the solve ends. It is replaced in one step, so it is complete whenever the process dies. If it
        cannot be written (a full disk, a deleted folder), the solve goes on, tries again after `checkpoint_every`
        seconds, and gives one `CheckpointWarning` per reason; the answer is never lost.
        A solve that ends without an allocation writes it too; resuming from it gives the same proof again.
    resume
        A checkpoint of this same problem to go on from; it may be the same file as `checkpoint`. The answer is within
        the requested gap, as without the interruption; `passes` and `seconds` count both runs, the limits only this
        one.
    on_conflict
        What to do if the constraints cannot all be met: "infeasible" returns no allocation and names the conflict;
        "relax" returns the best allocation among those that relax the limits by the smallest total, status `RELAXED`.
        Its `bound` holds for every allocation that relaxes them by no more.
    relax_weights
        Weight of a missed unit in that total, `{constraint name: weight}`, where a weight is a number, one number per
        group or `{label: number}`; positive, 1 by default. They also decide which conflicts "infeasible" names. Limits
        of different columns are summed in their own units, so give weights if the units differ.
    progress
        True shows how far the solve is, at least every two seconds: a bar in a notebook and on a terminal, plain lines
        on a stderr that is neither. It says when kernels are compiled. A callable is called with a `Progress` about
        once per pass. If it returns True (or NumPy's True), the solve stops; with any other value it goes on. None and
        False show nothing.

    Returns
    -------
    Solution
        Always with its certificate; `status` says how the solve ended and what to do next. Ctrl-C returns the best
        answer so far, status `INTERRUPTED`. If there is no answer yet, or on a second Ctrl-C, `KeyboardInterrupt` is
        raised.

    Raises
    ------
    ProblemError
        For an unknown solver, a gap or limit that is not positive, prices of the wrong shape, a weight that is not
        positive or not of a constraint, a checkpoint of another problem.
    SolverError
        If a reference solver fails.
    CertificateError
        If a bound is below the value of an allocation: a bug in this library, please report it.

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
    return solved(
        problem,
        Options(
            solver, gap, time_limit, pass_limit, engine, threads, start, checkpoint, checkpoint_every, resume,
            on_conflict, relax_weights, progress,
        ),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Options:
    """The arguments of `solve` besides the problem."""

    solver: str
    gap: float
    time_limit: float | None
    pass_limit: float | None
    engine: RayEngine | None
    threads: int | None
    start: Solution | Prices | None
    checkpoint: str | PathLike[str] | None
    checkpoint_every: float
    resume: str | PathLike[str] | None
    on_conflict: str
    relax_weights: Mapping[str, Limit] | None
    progress: Callable[[Progress], object] | bool | None


Beginning = tuple["Program", "WarmStart | None"]  # a problem as arrays, and what is known of it


LeaveOut = Callable[[Problem, frozenset[str]], "Program"]  # the program without these constraints


def solved(
    problem: Problem,
    asked: Options,
    begin: Callable[[Problem, Options], Beginning] | None = None,
    leave_out: LeaveOut | None = None,
) -> Solution:
    """As `solve`; `begin` and `leave_out` are what a session has in place of lowering the problem."""
    _check_arguments(problem, asked)
    while True:
        try:
            return _solved(problem, asked, begin, leave_out)
        except CorruptFileError as error:  # with each, a partition is left out, if the engine is to do so
            rest = None if asked.engine is None or begin else asked.engine._without(problem.candidates, error)
            if rest is None:
                raise
            problem = problem.replace(candidates=rest)
            _log.warning("a partition is left out, and the solve begins again: %s", error)


def _solved(
    problem: Problem,
    asked: Options,
    begin: Callable[[Problem, Options], Beginning] | None,
    leave_out: LeaveOut | None,
) -> Solution:
    with _shown(asked.progress) as (report, display), _started(asked.engine) as cluster:
        # numba, scipy.sparse and HiGHS are loaded by the first solve, not by the import of the package
        from oasis_alloc.engines import engine_for
        from oasis_alloc.program.idle import idle_constraints, rows_besides
        from oasis_alloc.results.certified import answer_of, parts_of
        from oasis_alloc.results.left_out import with_left_out
        from oasis_alloc.solvers.monitor import Monitor
        from oasis_alloc.solvers.registry import solver_named
        from oasis_alloc.solvers.resume import Checkpointer
        from oasis_alloc.solvers.stages import Outcome, Task, carry_out, prepare

        run, threads = solver_named(asked.solver), asked.threads
        report = report if cluster is None else cluster.metrics.reporting(report)
        has_start = asked.start is not None
        checkpointer = Checkpointer.of(asked.checkpoint, asked.checkpoint_every, asked.resume, asked.solver, has_start)
        monitor = Monitor(asked.gap, asked.time_limit, asked.pass_limit, report)
        program, warm = beginning(problem, asked, cluster) if begin is None else begin(problem, asked)
        relaxes = asked.on_conflict == "relax"
        weights = _weights(program, asked.relax_weights, relaxes)
        if asked.solver != "dual" or (warm is not None and not warm.known.any()):
            warm = None  # there is nothing to start from
        _log.info("solve by %s to a gap of %.1e: %s", asked.solver, asked.gap, _in_short(problem))

        def engine_of(some: Program) -> Engine:
            return engine_for(some, threads, cluster)

        def answered(opened: Engine, weights: Floats | None, warm: WarmStart | None) -> tuple[Solution, Outcome]:
            trivially_infeasible = prepare(opened, monitor)
            if may_cancel(problem):
                monitor.measure_parts(parts_of(problem, opened.program))
            task = Task(opened, engine_of, monitor, checkpointer, asked.solver, run, weights, warm, relaxes)
            outcome = carry_out(task, trivially_infeasible)
            return answer_of(Solution, problem, opened, monitor, outcome, asked.solver, threads), outcome

        def told(answer: Solution) -> Solution:
            if cluster is not None:
                cluster.metrics.told(answer)
            return _told(answer, display)

        with engine_of(program) as opened:
            idle = idle_constraints(program, len(problem.subject_to), *opened.slate_reach())
            if not idle:
                return told(answered(opened, weights, warm)[0])
        rows = rows_besides(program, idle)
        fewer = lowered(problem, asked, cluster, idle) if leave_out is None else leave_out(problem, idle)
        with engine_of(fewer) as opened:
            fewer_weights = None if weights is None else weights[rows]
            solution, outcome = answered(opened, fewer_weights, None if warm is None else warm.of_rows(rows))
        with engine_of(program) as opened:
            return told(with_left_out(solution, opened, outcome.shown(monitor)))


def _started(engine: RayEngine | None) -> AbstractContextManager[Cluster | None]:
    """The actors of a solve on a cluster, until the end of the block."""
    return nullcontext() if engine is None else engine._started()


def _weights(program: Program, given: Mapping[str, Limit] | None, relaxes: bool) -> Floats | None:
    """The weight of a missed unit by row; None for those by which conflicts are named."""
    from oasis_alloc.solvers.start import weights_by_row

    if given is None:
        return np.ones(program.n_rows) if relaxes else None  # relaxations are summed in the limits' own units
    return weights_by_row(program, given)


@contextmanager
def _shown(
    progress: Callable[[Progress], object] | bool | None,
) -> Iterator[tuple[Callable[[Progress], object] | None, ProgressDisplay | None]]:
    """(what to call about once a pass, the display where one was asked for)."""
    if progress is True:
        from oasis_alloc.solvers.progress_display import ProgressDisplay

        with ProgressDisplay() as display:
            display.stage("starting")
            yield _logged(display), display
    else:
        yield _logged(progress or None), None


def _logged(call: Callable[[Progress], object] | None) -> Callable[[Progress], object] | None:
    """The same, with a line in the log for each pass where the level asks for it."""
    if not _log.isEnabledFor(logging.DEBUG):
        return call

    def report(state: Progress) -> object:
        _log.debug(
            "%s: pass %.1f, bound %.8g, value %.8g, gap %.1e, violation %.1e, smoothing %.1e, %.2f s",
            state.stage, state.passes, state.bound, state.value, state.gap, state.violation, state.smoothing,
            state.seconds,
        )  # fmt: skip
        return None if call is None else call(state)

    return report


def _told(solution: Solution, display: ProgressDisplay | None) -> Solution:
    """The solution, after a line of the log and of the display said how the solve ended."""
    numbers = f"{solution.passes:,.1f} passes in {solution.seconds:,.3g} seconds"
    if solution.status.name != "INFEASIBLE":
        numbers = f"value {solution.value:,.8g}, gap {solution.gap:.1e}, violation {solution.violation:.1e}, {numbers}"
    text = f"{solution.status}: {numbers}"
    _log.log(logging.WARNING if solution.status.name == "STALLED" else logging.INFO, "%s", text)
    if display is not None:
        display.leave(text)
    return solution


def _in_short(problem: Problem) -> str:
    candidates = problem.candidates
    of = f"{candidates.n_users:,} users, {candidates.n_items:,} items, {candidates.n_pairs:,} pairs"
    groups = sum(len(problem.labels(name)) for name in problem.names)
    return f"{of}; constraints and functions: {len(problem.names)}, of {groups:,} groups"


def beginning(problem: Problem, asked: Options, cluster: Cluster | None = None) -> Beginning:
    """The problem lowered from its statement, and what the start says about it."""
    program = lowered(problem, asked, cluster)
    return program, None if asked.start is None else warm_start(program, problem, asked.start)


def lowered(
    problem: Problem, asked: Options, cluster: Cluster | None, without: frozenset[str] = frozenset()
) -> Program:
    """The problem as arrays, without some of its constraints."""
    from oasis_alloc.program.lowering import lower

    return lower(problem, threads=asked.threads, elsewhere=cluster, without=without)


def warm_start(program: Program, problem: Problem, start: Solution | Prices) -> WarmStart:
    """What a solution, or prices by name and label, say about a program."""
    from oasis_alloc.solvers.kept import WarmStart, allocation_for, matched, places
    from oasis_alloc.solvers.start import start_prices

    if not isinstance(start, Solution):
        return WarmStart(*start_prices(program, start))
    names = set(start.prices) & set(problem.names)
    where = places(program, {name: start.problem.labels(name) for name in names})
    prices, known = matched(program, where, start.prices)
    kept = start._kept
    if kept is None:
        return WarmStart(prices, known)
    smoothed = None if kept.smoothed is None else matched(program, where, kept.smoothed)[0]
    allocation = allocation_for(program, problem.candidates, start.problem.candidates, kept)
    return WarmStart(prices, known, smoothed, kept.gamma, kept.recovered, kept.typical, allocation, kept.violation)


def check_options(problem: Problem, given: Mapping[str, object]) -> None:
    """Raise what `solve` would raise for these arguments, except for checkpoints, before anything is computed."""
    from oasis_alloc.solvers.registry import solver_named

    parameters = inspect.signature(solve).parameters
    defaults = {name: one.default for name, one in parameters.items() if name != "problem"}
    asked = Options(**{**defaults, **given})
    _check_arguments(problem, asked)
    solver_named(asked.solver)
    for name in asked.relax_weights or ():
        if name not in problem.names:
            raise ProblemError(f"relax_weights: no constraint is named {name!r}.{did_you_mean(name, problem.names)}")


def _check_arguments(problem: object, asked: Options) -> None:
    """Raise `ProblemError` for an invalid argument of `solve`."""
    if not isinstance(problem, Problem):
        raise ProblemError(f"solve() takes an oa.Problem, got {type(problem).__name__}.")
    if not (asked.engine is None or isinstance(asked.engine, RayEngine)):
        raise ProblemError(
            f"solve(engine={shown(asked.engine)}): expected oa.RayEngine(...), or None for this process."
        )
    limits = {"time_limit": asked.time_limit, "pass_limit": asked.pass_limit, "threads": asked.threads}
    numbers = {name: number for name, number in limits.items() if number is not None}
    for name, number in {**numbers, "gap": asked.gap, "checkpoint_every": asked.checkpoint_every}.items():
        real = as_real(number)
        if not (real is not None and 0.0 < real < np.inf):
            raise ProblemError(f"solve({name}={shown(number)}): expected a positive number.")
    threads, progress, on_conflict = asked.threads, asked.progress, asked.on_conflict
    if threads is not None and as_whole(threads) is None:
        raise ProblemError(f"solve(threads={threads!r}): expected a whole number of threads.")
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ProblemError(
            f"solve(progress={shown(progress)}): expected True, or a callable that takes the state; None for none."
        )
    if on_conflict not in ("infeasible", "relax"):
        hint = did_you_mean(on_conflict, ("infeasible", "relax"))
        raise ProblemError(f"solve(on_conflict={on_conflict!r}): there is no such choice.{hint}")
