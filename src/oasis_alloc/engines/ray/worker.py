"""The class of the actors: holds stores of pairs, and one `Held` for every program that the driver has opened."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.ascending import without
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.version import package_version
from oasis_alloc.engines.pieces import ChunkPart
from oasis_alloc.engines.ray.found import both, open_of, places_of
from oasis_alloc.engines.ray.held import Held, Store
from oasis_alloc.engines.ray.shown import Difference
from oasis_alloc.engines.ray.splits import Split, Splits
from oasis_alloc.engines.settings import SIZES, EngineSizes
from oasis_alloc.engines.shown import nonzeros, pairs_of_users
from oasis_alloc.engines.tree import added_up, branches_of
from oasis_alloc.kernels.solve import decide as decide_kernels
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.kernels.solve.slate_reach import Entries
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program
from oasis_alloc.program.slate_reach import room_of


def versions() -> dict[str, str]:
    """The versions that have to be the same in all processes: they decide the bits of an answer, or its code."""
    import numba
    import scipy

    return {
        "oasis_alloc": f"{package_version()} (sources {_digest(Path(__file__).parents[2])})",
        "Python": ".".join(map(str, sys.version_info[:3])),
        "numba": numba.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
    }


def own_memory() -> int:
    """Resident bytes of this process without what it shares (libraries, the object store); 0 where nothing says so."""
    try:
        resident, shared = Path("/proc/self/statm").read_text(encoding="ascii").split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


@cache
def _digest(folder: Path) -> str:
    """A short digest of all sources: two builds of one version may differ."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


class Report(NamedTuple):
    """What an actor says of itself after a visit."""

    seconds: float
    memory: int  # own bytes
    node: str
    process: int


class Worker:
    """Runs in an actor. Calls name an engine by its key and the chunks to visit, which must be loaded."""

    def __init__(self, threads: int) -> None:
        import pyarrow as pa
        import ray

        # its own pool keeps what decoding a row group took; the system's gives it back to the system
        pa.set_memory_pool(pa.system_memory_pool())
        self._node = str(ray.get_runtime_context().get_node_id())
        self._threads = threads
        self._stores: dict[int, Store] = {}
        self._held: dict[int, Held] = {}
        self._splits = Splits()

    def versions(self) -> dict[str, str]:
        """The versions of this process."""
        return versions()

    def place(self) -> dict[str, str | int]:
        """Where this actor runs, the most memory so far with what it shares, and its own memory now."""
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # of Linux: in KiB
        return {"node": self._node, "process": os.getpid(), "peak_bytes": peak, "own_bytes": own_memory()}

    def reset(self) -> None:
        """Forget all engines and pairs, for another solve."""
        for key in list(self._held):
            self.close(key)
        self._stores, self._splits = {}, Splits()

    def in_turn(self, plan: list[tuple[str, int]], *arguments: Any) -> Any:
        """Call several methods, each with its number of the arguments; the result of the last."""
        result, at = None, 0
        for name, count in plan:
            result = getattr(self, name)(*arguments[at : at + count])
            at += count
        return result

    def open(self, key: int, program: Program, store: tuple[int, int | None], sizes: EngineSizes) -> None:
        """Make the engine of a program; `store` is its number, and that of one with the values, if its own are 0.

        An engine that is open stays as it is.
        """
        if key in self._held:
            return
        number, valued = store
        if number not in self._stores:
            used = [held.store for held in self._held.values()]  # the pairs of others would take memory for nothing
            self._stores = {k: pairs for k, pairs in self._stores.items() if k == valued or pairs in used}
            self._stores[number] = Store(program, None if valued is None else self._stores[valued])
        with SIZES.using(**vars(sizes)):
            self._held[key] = Held(program, self._stores[number], self._threads)

    def close(self, key: int) -> None:
        """Forget an engine; the pairs stay, because the next program of the same solve reads the same."""
        held = self._held.pop(key, None)
        if held is not None:
            held.close()

    def load(self, key: int, chunks: list[int]) -> None:
        """Hold the pairs of these chunks, and give back the memory that reading them took."""
        import pyarrow as pa

        if self._held[key].load(chunks):
            pa.default_memory_pool().release_unused()

    def drop(self, key: int, chunks: list[int]) -> None:
        """Hold the pairs of these chunks alone."""
        self._held[key].drop(chunks)

    def follow(self, key: int, chunks: list[int], other: int) -> None:
        """Take over the thresholds of another engine's last visit."""
        if other not in self._held:  # this actor is in the place of a lost one, and has done so
            return
        held, of = self._held[key], self._held[other]
        for first, last in held.users(chunks):
            held._threshold[first:last] = of._threshold[first:last]

    def survey(self, key: int, chunks: list[int]) -> tuple[Floats, Floats, Floats]:
        """(scalars by chunk, positive and negative tables by branch)."""
        held = self._held[key]
        scalars = np.zeros((held._n, 4))
        positive, negative = np.zeros((2, *held._load.shape))
        with held.only(chunks):
            held._survey_pieces(scalars, positive, negative)
        return scalars[chunks], _by_branch(positive, chunks), _by_branch(negative, chunks)

    def slate_reach(
        self, key: int, chunks: list[int], start: Ints, row: npt.NDArray[np.int32],
        coefficient: Floats, widest: int, n_rows: int,
    ) -> Floats:  # fmt: skip
        """What slates can add to some rows, by branch; the entries are those of `kernels.solve.slate_reach`."""
        held, out = self._held[key], np.zeros((self._held[key]._n, 3, n_rows))
        entries = Entries(readonly(start), readonly(row), readonly(coefficient), widest)
        with held.only(chunks):
            held._slate_reach_pieces(entries, room_of(held.program), out)
        return _by_branch(out, chunks)

    def attained(self, key: int, chunks: list[int], guarded: bool) -> list[Floats]:
        """The largest sum over a slate of the column of `keep`, or of 1, for the users of each of these chunks."""
        held = self._held[key]
        with held.only(chunks):
            return held.attained(guarded)

    def visit(
        self, key: int, chunks: list[int], tables: Floats, gamma: float, stride: int,
        slack: float, keep_every: int, kept_bytes: int,
    ) -> tuple[Floats, Floats, Floats, list[tuple[Any, ...]] | None, Report]:  # fmt: skip
        """(scalars by chunk, loads and squares by branch, the curvature if it is small enough, how it was)."""
        held, started = self._held[key], time.perf_counter()
        held._slack, held._keep_every = slack, keep_every
        with held.only(chunks):
            self._visit(held, np.array(tables), gamma, stride)  # kernels are compiled for writable tables
        report = Report(time.perf_counter() - started, own_memory(), self._node, os.getpid())
        out, kept = held._out[chunks], None
        if out[:, visit_kernels.KEPT].sum() * 4 * (1 + 2 * held.program.extra.shape[0]) <= kept_bytes:
            kept = self.kept(key, chunks)
        load, square = _by_branch(held._load, chunks), _by_branch(held._square, chunks)
        return out, load, square, kept, report

    def _visit(self, held: Held, tables: Floats, gamma: float, stride: int) -> None:
        held._visit_pieces(tables, gamma, stride)

    def curvature(self, key: int, chunks: list[int], tables: Floats) -> Floats:
        """Products with the curvature of the last visit, by branch."""
        held = self._held[key]
        with held.only(chunks):
            held._curvature_chunks(np.array(tables))
        return _by_branch(held._load, chunks)

    def kept(self, key: int, chunks: list[int]) -> list[tuple[Any, ...]]:
        """The curvature that the last visit has kept, of each of these chunks."""
        return [self._held[key].kept_of(chunk) for chunk in chunks]

    def sample(self, key: int, chunks: list[int], stride: int) -> list[tuple[PairArrays, Floats]]:
        """(pairs, thresholds) of the users whom a visit with this stride goes to, of each of these chunks."""
        return [self._held[key].sample_of(chunk, stride) for chunk in chunks]

    def thresholds(self, key: int, chunks: list[int]) -> list[Floats]:
        """Thresholds of the last visit, of each of these chunks."""
        held = self._held[key]
        return [held.thresholds[first:last] for chunk in chunks for first, last in held.users([chunk])]

    def settle(self, key: int, chunks: list[int], stride: int, threshold: Floats) -> None:
        """Take over the thresholds of a sample's users."""
        if key in self._held:  # else this actor is in the place of a lost one, and has done so
            self._held[key].settle(chunks, stride, threshold)

    def count(
        self, key: int, chunks: list[int], tables: Floats, widest: float, kink: float, slack: float
    ) -> npt.NDArray[np.int64]:
        """Histograms of margins, added up."""
        held = self._held[key]
        held._slack = slack
        counts = np.zeros((held._n, decide_kernels.N_BINS), np.int64)
        with held.only(chunks):
            held._count_pieces(np.array(tables), widest, kink, counts)
        return np.asarray(counts.sum(axis=0))

    def decide(
        self, key: int, chunks: list[int], tables: Floats, within: Floats, kink: float, slack: float,
        number: int,
    ) -> tuple[list[list[ChunkPart]], list[PairArrays] | None, Floats, Floats, Floats]:  # fmt: skip
        """Undecided and shown pairs of each of these chunks, and what the solver asks for next.

        That is the pairs that are undecided (under rules also those that are shown) unless there are too many, and the
        values by chunk and loads by branch of those that are shown; at the end, what the best slates of each chunk are
        worth.
        """
        held = self._held[key]
        held._slack = slack
        bounds = np.zeros((held._n, 1))
        with held.only(chunks):
            every = held._decide_pieces(np.array(tables), np.array(within), kink, bounds)
            parts = [every[chunk] for chunk in chunks]
            held.decided.update({chunk: (number, every[chunk]) for chunk in chunks})
            shown = np.concatenate([second for _, second in map(places_of, parts)])
            values = held.values_of(shown, np.ones(shown.size))
        found = held.found(
            chunks, [first if held._rules is None else both(first, second) for first, second in map(places_of, parts)]
        )
        return parts, found, values[chunks], _by_branch(held._load, chunks), bounds[chunks]

    def split(
        self, key: int, chunks: list[int], tables: Floats, within: Floats, number: int, alive: list[int]
    ) -> Split:
        """A decision of slates without rules, whose pairs stay here; `alive` are the earlier ones to be remembered."""
        held = self._held[key]
        bounds = np.zeros((held._n, 1))
        with held.only(chunks):
            every = held._decide_pieces(np.array(tables), np.array(within), 0.0, bounds)
            parts = [every[chunk] for chunk in chunks]
            shown = np.concatenate([places_of(of)[1] for of in parts])
            values = held.values_of(shown, np.ones(shown.size))
        self._splits.keep(number, dict(zip(chunks, parts, strict=True)), alive)
        undecided, room = [places_of(of)[0] for of in parts], held.room(chunks)
        none = np.empty(0, np.uint32)
        return Split(
            [[part._replace(second=none) for part in of] for of in parts],
            held.found(chunks, undecided),
            shown.size,
            values[chunks],
            _by_branch(held._load, chunks),
            bounds[chunks],
            *self._splits.next_to(held.program, number, chunks, undecided, alive, room),
        )

    def shown(self, key: int, chunks: list[int], number: int) -> list[list[ChunkPart]] | None:
        """The pairs that a decision shows, of each of these chunks; None if it is not known here."""
        return self._splits.parts(number, chunks)

    def shown_to(self, key: int, chunks: list[int], number: int, users: Ints) -> Ints | None:
        """The pairs that a decision shows to some users of these chunks."""
        shown = self._splits.shown(number, chunks)
        return None if shown is None else pairs_of_users(np.concatenate(shown), self._held[key].program.indptr, users)

    def shown_in(self, key: int, chunks: list[int], number: int, cells: npt.NDArray[np.bool_]) -> Ints | None:
        """The pairs that a decision shows in some cells, given by a mask."""
        shown, held = self._splits.shown(number, chunks), self._held[key]
        if shown is None:
            return None
        positions = np.concatenate(shown)
        with held.only(chunks):
            return positions[cells[held.take(positions).cells]]

    def compare(self, key: int, chunks: list[int], number: int, other: int) -> tuple[Ints, Ints] | None:
        """The pairs that only the first decision shows, and that only the second shows."""
        found = self._splits.compare(number, other, chunks)
        return None if found is None else (np.concatenate(found[0]), np.concatenate(found[1]))

    def add_up_shown(
        self, key: int, chunks: list[int], number: int, gone: Ints, own: Ints, x: Floats
    ) -> tuple[Floats, Floats] | None:
        """As `add_up`, of the pairs that a decision shows without some, and of others with their x."""
        shown = self._splits.shown(number, chunks)
        if shown is None:
            return None
        return self.add_up(key, chunks, *nonzeros(without(np.concatenate(shown), gone), own, x))

    def allocate(
        self, key: int, chunks: list[int], tables: Floats, gamma: float, slack: float
    ) -> tuple[list[list[ChunkPart]], list[PairArrays] | None]:
        """Pairs with x > 0 and their x, of each of these chunks; and the pairs with x < 1, unless they are too many."""
        held = self._held[key]
        held._slack = slack
        with held.only(chunks):
            every = held._allocate_pieces(np.array(tables), gamma)
        parts = [every[chunk] for chunk in chunks]
        return parts, held.found(chunks, [open_of(part) for part in parts])

    def scores(self, key: int, chunks: list[int], tables: Floats) -> list[Floats]:
        """Priced scores of all pairs of each of these chunks."""
        held = self._held[key]
        with held.only(chunks):
            return held.scores_of(np.array(tables))

    def add_up(self, key: int, chunks: list[int], positions: Ints, x: Floats) -> tuple[Floats, Floats]:
        """(values by chunk, loads by branch) of the part of an allocation in these chunks."""
        held = self._held[key]
        with held.only(chunks):
            values = held.values_of(np.array(positions), np.array(x))  # writable, for which kernels are compiled
        return values[chunks], _by_branch(held._load, chunks)

    def add_up_difference(
        self, key: int, chunks: list[int], number: int, gone: Ints, added: Ints, x: Floats
    ) -> tuple[Floats, Floats] | None:
        """The same of an allocation that differs so from what a decision shows; None where that is not known here."""
        mine = [self._held[key].decided.get(chunk, (0, [])) for chunk in chunks]
        if any(of != number for of, _ in mine):
            return None
        shown = np.concatenate([places_of(parts)[1] for _, parts in mine])
        return self.add_up(key, chunks, *Difference(gone, added, x).allocation(shown))

    def take(self, key: int, chunks: list[int], positions: Ints) -> PairArrays:
        """Single pairs."""
        held = self._held[key]
        with held.only(chunks):
            return held.arrays_at(positions)


def _by_branch(tables: Floats, chunks: list[int]) -> Floats:
    """The sums of the largest branches that these chunks fill."""
    return np.stack([added_up(tables[first:last]) for first, last in branches_of(chunks, len(tables))])
