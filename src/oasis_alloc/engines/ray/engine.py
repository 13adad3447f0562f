"""The settings of a solve on Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.remote_path import Place, RemotePath, as_place
from oasis_alloc.errors import ProblemError, require
from oasis_alloc.partitions import without_partition

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.common.seeds import Rng
    from oasis_alloc.data.corrupt import CorruptFileError
    from oasis_alloc.engines.ray.allocation import Allocated, Scoring
    from oasis_alloc.engines.ray.cluster import Cluster
    from oasis_alloc.engines.ray.parts import Parts


@suggesting
@dataclass(frozen=True)
class RayEngine(ByFields):
    """Where and how `solve` runs on Ray: `oa.solve(problem, engine=oa.RayEngine(...))`.

    The candidates are of `Partitions.candidates` or `Candidates.from_parquet`, in files that every node finds under the
    same path, or in object storage. Each actor reads the pairs of some users once and keeps them in memory. The solver
    runs in this process, and the answer does not depend on the number of actors. See `docs/cluster.md`.

    Actors end with the solve. Starting one takes seconds, most of them imports, so in a `with` block they stay for the
    next solve: `with oa.RayEngine() as engine: ...`.

    Parameters
    ----------
    address
        `host:port` of a cluster, or "auto" for the one that runs on this machine. None uses the cluster to which this
        process is connected, or starts Ray on this machine, without its dashboard, until the process ends.
    actors
        Number of actors; None takes one for every `threads` cores of the cluster.
    threads
        Threads of each actor, which also are the cores that it reserves.
    actor_memory
        Bytes of memory that each actor reserves, so that Ray places actors where they fit; None reserves nothing.
    object_store_memory
        Bytes of the object store if this call starts Ray.
    start_timeout
        Seconds until all actors must have started.
    on_corrupt
        What a solve does with a partition that is missing, damaged or has changed: "fail" raises the error that names
        it; "exclude" leaves out its users' pairs and solves again without them, and the certificate says so
        (`Solution.excluded`).
    stragglers
        What a solve does about an actor that takes more than twice the median per pair, in three passes in succession:
        "report" warns, with its node and process, in the log; "move" also gives a part of its pairs to the others.
    answer_timeout
        Seconds that an actor may take for one call, with loading its pairs and compiling kernels. After that it is
        lost, as one that has died.
    replace_timeout
        Seconds until a new actor in place of a lost one must have started; after that, the actors that are left load
        its pairs.

    Raises
    ------
    ProblemError
        For numbers that are not positive, and an address that is not a text.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.RayEngine(actors=4, threads=2).actors
    4
    """

    address: str | None = None
    actors: int | None = None
    threads: int = 1
    actor_memory: int | None = None
    object_store_memory: int = 200_000_000
    start_timeout: float = 300.0
    answer_timeout: float = 1_800.0
    replace_timeout: float = 20.0
    on_corrupt: str = "fail"
    stragglers: str = "report"
    _idle: list[Any] | None = field(default=None, init=False, repr=False, compare=False)  # actors; None outside `with`
    _made_again: ClassVar[tuple[str, ...]] = ("_idle",)

    def __post_init__(self) -> None:
        for name in ("actors", "threads", "actor_memory", "object_store_memory"):
            value = getattr(self, name)
            optional = name in ("actors", "actor_memory")
            if not (value is None and optional) and (as_whole(value) or 0) < 1:
                raise ProblemError(f"RayEngine({name}={shown(value)}): expected a whole number >= 1.")
        for name in ("start_timeout", "answer_timeout", "replace_timeout"):
            if not (as_real(getattr(self, name)) or 0.0) > 0.0:
                raise ProblemError(f"RayEngine({name}={shown(getattr(self, name))}): expected seconds above 0.")
        for name, choices in (("on_corrupt", ("fail", "exclude")), ("stragglers", ("report", "move"))):
            value = getattr(self, name)
            if value not in choices:
                one, other = choices
                raise ProblemError(f"RayEngine({name}={shown(value)}): expected {one!r} or {other!r}.")
        if self.address is not None and not (isinstance(self.address, str) and self.address):
            raise ProblemError(f"RayEngine(address={shown(self.address)}): expected a text such as '10.0.0.5:6379'.")

    def write_allocation(self, solution: Allocated, directory: str | PathLike[str] | RemotePath) -> Place:
        """Write the allocation on the cluster: a Parquet file for each partition of the pairs, with ids and `x`.

        Ids of users are read from the partitions, by tasks that each write one file at once. The manifest
        `_allocation.json`, whose path is returned, is written last: it has the certificate, and size and SHA-256 digest
        of every file. So a directory with a manifest is complete. If an id column is named `x`, the probability is in
        `x_`.

        Parameters
        ----------
        solution
            A `Solution` of candidates of `Partitions.candidates`.
        directory
            Where to write; all nodes must find it under this path, or it is an address such as s3://bucket/allocation.
            Files of an earlier call are replaced.

        Raises
        ------
        InputError
            For other candidates, and for pairs that have changed since.
        SolverError
            For an infeasible problem, and if the cluster loses a task several times.
        """
        require("ray", "ray")
        from oasis_alloc.engines.ray.allocation import allocation_parts

        return self._write(allocation_parts(solution), solution.problem.candidates, directory)

    def write_slates(self, solution: Allocated, directory: str | PathLike[str] | RemotePath, rng: Rng = 0) -> Place:
        """Draw one whole slate per user on the cluster, and write them: a Parquet file for each partition of the pairs.

        The slates are those of `solution.round(rng)`, which draws them in this process. Rows have the ids of user and
        item and `propensity`, the probability with which the pair is shown. The manifest `_slates.json`, whose path is
        returned, is written last: it has the certificate, the seed, and size and SHA-256 digest of every file.

        Parameters
        ----------
        solution, directory
            As in `write_allocation`.
        rng
            As in `Solution.round`.

        Raises
        ------
        InputError, SolverError
            As `write_allocation`; `InputError` also for an invalid `rng`.
        """
        require("ray", "ray")
        return self._write(solution._slate_parts(rng), solution.problem.candidates, directory)

    def write_scores(
        self, policy: Scoring, candidates: Candidates, directory: str | PathLike[str] | RemotePath
    ) -> Place:
        """Write boosts and slates of all candidates on the cluster: a Parquet file for each partition of the pairs.

        Columns and numbers are those of `Policy.to_parquet`, with the ids of users that the partitions have. The
        manifest `_scores.json`, whose path is returned, is written last: it has the policy's id, and size and SHA-256
        digest of every file.

        Parameters
        ----------
        policy
            A policy; its candidates may be others.
        candidates
            Candidates of `Partitions.candidates`. Each task reads one partition of them.
        directory
            As in `write_allocation`.

        Raises
        ------
        InputError
            For other candidates, for candidates without a column or a user key that scores depend on, and for pairs
            that have changed since.
        SolverError
            If the cluster loses a task several times.
        """
        require("ray", "ray")
        return self._write(policy._score_parts(candidates), candidates, directory)

    def _write(self, parts: Parts, candidates: Candidates, directory: str | PathLike[str] | RemotePath) -> Place:
        from oasis_alloc.engines.ray.connection import connect
        from oasis_alloc.engines.ray.parts import write_parts

        connect(self)
        held = len(self._idle or ()) * self.threads
        return write_parts(parts, candidates, as_place(directory).absolute(), held, self.answer_timeout)

    def _without(self, candidates: Candidates, error: CorruptFileError) -> Candidates | None:
        """The candidates without the partition that an error is about; None if the error is to be raised."""
        return without_partition(candidates, error) if self.on_corrupt == "exclude" else None

    def __enter__(self) -> RayEngine:
        if self._idle is None:
            object.__setattr__(self, "_idle", [])
        return self

    def __exit__(self, *error: object) -> None:
        idle = self._idle
        object.__setattr__(self, "_idle", None)
        if idle:
            import ray

            for actor in idle:
                ray.kill(actor)

    @contextmanager
    def _started(self) -> Iterator[Cluster]:
        """The actors, until the end of the block."""
        require("ray", "ray")
        from oasis_alloc.engines.ray.cluster import Cluster
        from oasis_alloc.engines.ray.connection import connect

        connect(self)
        cluster = Cluster(self)
        try:
            yield cluster
        finally:
            cluster.close()
