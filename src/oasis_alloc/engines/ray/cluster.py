"""The actors of a solve: started, asked at the same time, and replaced when they are lost."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.ray.calls import in_turn, put
from oasis_alloc.engines.ray.connection import first_answer, reason_of, resources
from oasis_alloc.engines.ray.metrics import Metrics
from oasis_alloc.engines.ray.stragglers import Watch
from oasis_alloc.engines.ray.worker import Worker, versions
from oasis_alloc.errors import OasisAllocError, ProblemError, SolverError
from oasis_alloc.program.program import Program

if TYPE_CHECKING:
    from oasis_alloc.engines.ray.decision import FarDecision
    from oasis_alloc.engines.ray.driver import RayChunks
    from oasis_alloc.engines.ray.engine import RayEngine

_log = logging.getLogger("oasis_alloc.solve")

Call = tuple[str, Callable[[list[int]], tuple[Any, ...]]]  # a method, and its arguments for some chunks


@dataclass(eq=False)
class Seat:
    """One actor and the chunks that it holds, ascending."""

    actor: Any
    chunks: list[int] = field(default_factory=list)


class Cluster:
    """Actors that hold the same chunks for every program of a solve."""

    def __init__(self, settings: RayEngine) -> None:
        self._settings = settings
        self._seats: list[Seat] = []
        self._engines: dict[int, RayChunks] = {}  # those that are open
        self._keys = itertools.count()
        self._stores: dict[Any, int] = {}
        self._streams: list[Any] = []
        self._deferred: list[tuple[int, str, Callable[[list[int]], tuple[Any, ...]]]] = []  # the first is the engine
        self._edges: Ints | None = None
        self.decisions: WeakSet[FarDecision] = WeakSet()  # whose pairs the actors keep
        self._n_decisions = itertools.count()
        self.watch = Watch(settings.stragglers == "move")
        self.metrics = Metrics()
        self.lost = 0  # actors so far
        self.rounds = 0  # calls of all actors so far

    def engine(self, program: Program) -> RayChunks:
        """An engine for a program, which the actors hold until it is closed."""
        from oasis_alloc.engines.ray.driver import RayChunks

        if program.stream is None:
            raise ProblemError(
                "RayEngine needs candidates in Parquet files that all nodes can read, and these are in memory. Write "
                "them with oa.partition or Candidates.to_parquet, and take Partitions.candidates() or "
                "Candidates.from_parquet."
            )
        made = RayChunks(program, self)
        if self._edges is None:
            self._edges = made.edges
            self._start(made)
        elif not np.array_equal(self._edges, made.edges):
            raise SolverError("programs of one solve have different chunks: a bug in oasis_alloc, please report it.")
        self._engines[made.key] = made
        self.defer(made.key, *made.opening(self._store_of(program)))
        self.defer(made.key, "load", lambda chunks: (made.key, chunks))
        return made

    def reach(self, program: Program) -> tuple[Floats, Floats]:
        """(smallest, largest) total of every row if every candidate could be shown, as `Program.reach`."""
        with self.engine(program) as engine:
            survey = engine.survey()
            return survey.min_totals, survey.max_totals

    def attained(self, program: Program, guarded: bool) -> Floats:
        """(n_users,) the largest sum over a slate, under the program's rules, of the column of `keep`, or of 1."""
        with self.engine(program) as engine:
            return engine.attained(guarded)

    def places(self) -> list[dict[str, Any]]:
        """Node, process and peak memory of every actor."""
        import ray

        calls = [seat.actor.place.remote() for seat in self._seats]
        found: list[dict[str, Any]] = ray.get(calls, timeout=self._settings.answer_timeout)
        return found

    @property
    def seats(self) -> list[Seat]:
        """The actors and their chunks."""
        return self._seats

    def move(self, seat: Seat, heir: Seat, chunks: list[int]) -> bool:
        """Give chunks of one actor to another, with their state; False if that one is lost meanwhile."""
        if self._restore(heir, chunks):
            return False  # which the next call notices; the chunks are where they were
        heir.chunks = sorted([*heir.chunks, *chunks])
        seat.chunks = [chunk for chunk in seat.chunks if chunk not in set(chunks)]
        for key in self._engines:
            seat.actor.drop.remote(key, seat.chunks)
        return True

    @property
    def edges(self) -> Ints:
        """User numbers between chunks, which are those of all programs."""
        assert self._edges is not None  # of the first engine
        return self._edges

    def has(self, key: int) -> bool:
        """True if an engine is open."""
        return key in self._engines

    def next_decision(self) -> int:
        """A number for a decision."""
        return next(self._n_decisions)

    def alive(self) -> list[int]:
        """The numbers of the decisions that something refers to."""
        return sorted(one.number for one in self.decisions)

    def next_key(self) -> int:
        """A number for an engine."""
        return next(self._keys)

    def forget(self, engine: RayChunks) -> None:
        """Drop an engine; actors do so before their next call."""
        if self._engines.pop(engine.key, None) is None:
            return
        if any(key == engine.key and name == "open" for key, name, _ in self._deferred):  # it was of no use
            self._deferred = [call for call in self._deferred if call[0] != engine.key]
        else:
            self.defer(engine.key, "close", lambda chunks: (engine.key,))

    def close(self) -> None:
        """End all actors, or keep them for the next solve."""
        import ray

        idle = self._settings._idle
        for seat in self._seats:
            if idle is None:
                ray.kill(seat.actor)
            else:
                seat.actor.reset.remote()
                idle.append(seat.actor)
        self._end()

    def _end(self) -> None:
        """Forget the actors; decisions are then made from the files where they are asked for."""
        self._seats, self._engines, self._deferred = [], {}, []
        for decision in self.decisions:
            decision.cluster = None

    def defer(self, key: int, name: str, arguments: Callable[[list[int]], tuple[Any, ...]]) -> None:
        """Call a method of all actors before their next call, in the same round.

        It has no result, and repeating it for the same chunks changes nothing.
        """
        self._deferred.append((key, name, arguments))

    def ask(
        self, key: int, name: str, arguments: Callable[[list[int]], tuple[Any, ...]]
    ) -> list[tuple[list[int], Any]]:
        """Call a method for all chunks, on all actors at the same time; (chunks, result) of each call.

        Chunks of actors that are lost meanwhile are asked again at those that have them then.
        """
        self.rounds += 1
        out: list[tuple[list[int], Any]] = []
        first, self._deferred = self._deferred, []
        open_ = [(seat, list(seat.chunks)) for seat in self._seats]
        while open_:
            calls = []
            for seat, chunks in open_:
                each = [(of, given(chunks)) for _, of, given in first] + [(name, (key, *arguments(chunks)))]
                calls.append((seat, *(each[0] if len(each) == 1 else in_turn(each))))
            results, lost = self._gather(calls)
            out += [(chunks, result) for (_, chunks), result in zip(open_, results, strict=True) if result is not _LOST]
            moved = self._replace(lost) if lost else set()
            # what an actor answered before it was lost in the place of another has to leave its state again
            again = moved.union(*(chunks for chunks, _ in out if moved.intersection(chunks)))
            out = [(chunks, result) for chunks, result in out if not again.intersection(chunks)]
            open_ = self._holders(again)
        return out

    def _holders(self, wanted: set[int]) -> list[tuple[Seat, list[int]]]:
        """Which actors hold these chunks now."""
        found = [(seat, [chunk for chunk in seat.chunks if chunk in wanted]) for seat in self._seats]
        return [(seat, some) for seat, some in found if some]

    def _gather(self, calls: list[tuple[Seat, str, tuple[Any, ...]]]) -> tuple[list[Any], list[tuple[Seat, str]]]:
        """(results, `_LOST` where the actor is lost; the actors that are lost, with the reason)."""
        import ray

        shared: dict[int, Any] = {}
        refs = []
        for seat, name, arguments in calls:
            given = [put(argument, shared) for argument in arguments]
            refs.append(getattr(seat.actor, name).remote(*given))
        results: list[Any] = []
        lost: dict[int, tuple[Seat, str]] = {}
        seconds = self._settings.answer_timeout
        end = time.monotonic() + seconds
        for (seat, _, _), ref in zip(calls, refs, strict=True):
            try:
                results.append(ray.get(ref, timeout=max(0.0, end - time.monotonic())))
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, OasisAllocError):
                    raise error.cause from error
                raise
            except ray.exceptions.GetTimeoutError:
                results.append(_LOST)
                lost[id(seat)] = seat, f"it has not answered within {seconds:g} seconds"
            except ray.exceptions.RayError as error:  # of an actor, its node, or a result that was lost with it
                results.append(_LOST)
                lost[id(seat)] = seat, reason_of(error)
        return results, list(lost.values())

    def _start(self, engine: RayChunks) -> None:
        """Start the actors, and deal the chunks out to them in runs of about as many pairs."""
        import ray

        available = max(1, int(resources("cluster_resources").get("CPU", 1)) // self._settings.threads)
        n = min(self._settings.actors or available, engine.n_chunks)
        actors = self._kept(n)
        actors += [self._actor() for _ in range(n - len(actors))]
        ready, late = ray.wait(
            [a.versions.remote() for a in actors], num_returns=n, timeout=self._settings.start_timeout
        )
        if late:
            for actor in actors:
                ray.kill(actor)
            free = {k: v for k, v in resources("available_resources").items() if k in ("CPU", "memory")}
            own = self._settings
            raise SolverError(
                f"{len(late)} of {n} actors did not start within {own.start_timeout:g} seconds. Each asks for "
                f"{own.threads} CPU and {own.actor_memory or 0:,} bytes; free in the cluster: {free}. Ask for less "
                "with actors=, threads= or actor_memory=, or give the cluster time with start_timeout=."
            )
        self._seats = [Seat(actor, chunks) for actor, chunks in zip(actors, engine.dealt(n), strict=True)]
        for found in ready:
            _check_versions(first_answer(found))

    def _kept(self, n: int) -> list[Any]:
        """Up to n actors of the last solve that are alive."""
        import ray

        out: list[Any] = []
        idle = self._settings._idle
        while idle and len(out) < n:
            actor = idle.pop()
            try:
                ray.get(actor.reset.remote(), timeout=self._settings.answer_timeout)
                out.append(actor)
            except ray.exceptions.RayError:  # it is dead, or does not answer
                ray.kill(actor)
        return out

    def _actor(self) -> Any:
        import ray

        options: dict[str, Any] = {"num_cpus": self._settings.threads, "max_restarts": 0}
        if self._settings.actor_memory is not None:
            options["memory"] = self._settings.actor_memory
        return ray.remote(Worker).options(**options, scheduling_strategy="SPREAD").remote(self._settings.threads)

    def _replace(self, lost: list[tuple[Seat, str]]) -> set[int]:
        """Give the chunks of lost actors to new ones, or to those that are left, in the state before the current call.

        Returns the chunks that have moved. An actor that is lost meanwhile is replaced too.
        """
        import ray

        moved: set[int] = set()
        for seat, _ in lost:
            ray.kill(seat.actor)  # it may only be out of reach
        self._seats = [seat for seat in self._seats if all(seat is not other for other, _ in lost)]
        waiting = [(list(seat.chunks), why) for seat, why in lost]
        while waiting:
            chunks, why = waiting.pop()
            self.lost += 1
            moved.update(chunks)
            for heir, part in self._heirs(chunks, why):
                failed = self._restore(heir, part)
                heir.chunks = sorted([*heir.chunks, *part])
                if failed:
                    self._seats = [seat for seat in self._seats if seat is not heir]
                    waiting.append((heir.chunks, failed))
                elif all(seat is not heir for seat in self._seats):
                    self._seats.append(heir)
        return moved

    def _heirs(self, chunks: list[int], why: str) -> list[tuple[Seat, list[int]]]:
        """Who takes the chunks of a lost actor: a new one if it starts in time, else those that are left."""
        actor, failed = self._newcomer()
        if actor is not None:
            heirs, who = [(Seat(actor), chunks)], "a new actor"
        elif not self._seats:
            raise SolverError(
                f"all actors are lost ({why}), and no new one could start ({failed}). Check the cluster's nodes."
            )
        else:
            parts = [part.tolist() for part in np.array_split(chunks, len(self._seats))]
            heirs = [(heir, part) for heir, part in zip(self._seats, parts, strict=True) if part]
            who = f"the {len(heirs)} that are left, because no new one could start ({failed})"
        _log.warning("an actor is lost (%s); its %d chunks are loaded again by %s", why, len(chunks), who)
        return heirs

    def _newcomer(self) -> tuple[Any | None, str]:
        """(a new actor, or None if none starts in time and stays alive; why)."""
        import ray

        actor, seconds = self._actor(), self._settings.replace_timeout
        ready, _ = ray.wait([actor.versions.remote()], timeout=seconds)
        try:
            theirs = ray.get(ready[0]) if ready else None
        except ray.exceptions.RayError as error:
            theirs, failed = None, reason_of(error)
        else:
            failed = f"none has answered within {seconds:g} seconds"
        if theirs is None:
            ray.kill(actor)
            return None, failed
        _check_versions(theirs)
        return actor, ""

    def _restore(self, heir: Seat, chunks: list[int]) -> str | None:
        """Load chunks and repeat the calls that left a state, so that the next bits are the same.

        Returns why the actor is lost, if it is lost meanwhile.
        """
        for engine in self._engines.values():
            calls: list[Call] = [engine.opening(self._store_of(engine.program))]  # one that is open stays as it is
            calls.append(("load", lambda some, key=engine.key: (key, some)))  # type: ignore[misc]
            for name, arguments in [*calls, *engine.history(self)]:
                _, lost = self._gather([(heir, name, arguments(chunks))])
                if lost:
                    return lost[0][1]
        return None

    def _store_of(self, program: Program) -> tuple[int, int | None]:
        """(the number of the store of pairs of a program, that of the one with values if its own are 0)."""
        stream = program.stream
        assert stream is not None  # checked by `engine`
        self._streams.append(stream)  # as long as it is alive, its arrays' numbers are of no others
        types = tuple(str(array.dtype) for array in program.arrays)
        parts = (stream.code_of, stream.weight, stream.additions, stream.cells, stream.copies)  # not `unit`
        same = (*map(id, parts), tuple(stream.terms), stream.extra, stream.guard, types)
        valued = self._stores.setdefault((*same, False), len(self._stores))
        if not stream.valueless:
            return valued, None
        return self._stores.setdefault((*same, True), len(self._stores)), valued


_LOST = object()


def _check_versions(theirs: dict[str, str], ours: dict[str, str] | None = None) -> None:
    """Raise `SolverError` if an actor has other versions than this process."""
    ours = versions() if ours is None else ours
    differ = [
        f"{name} {theirs.get(name)} there and {ours[name]} here" for name in ours if theirs.get(name) != ours[name]
    ]
    if differ:
        raise SolverError(
            f"an actor has other versions than this process: {'; '.join(differ)}. Install the same on all nodes."
        )
