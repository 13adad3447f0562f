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

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.version import package_version
from oasis_alloc.engines.pieces import ChunkPart
from oasis_alloc.engines.ray.held import Held, Store
from oasis_alloc.engines.settings import SIZES, EngineSizes
from oasis_alloc.kernels.solve import decide as decide_kernels
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program


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
        self._stores = {}

    def open(self, key: int, program: Program, store: tuple[int, int | None], sizes: EngineSizes) -> None:
        """Make the engine of a program; `store` is its number, and that of one with the values, if its own are 0."""
        number, valued = store
        if number not in self._stores:
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

        self._held[key].load(chunks)
        pa.default_memory_pool().release_unused()

    def drop(self, key: int, chunks: list[int]) -> None:
        """Hold the pairs of these chunks alone."""
        self._held[key].drop(chunks)

    def follow(self, key: int, chunks: list[int], other: int) -> None:
        """Take over the thresholds of another engine's last visit."""
        held, of = self._held[key], self._held[other]
        for first, last in held.users(chunks):
            held._threshold[first:last] = of._threshold[first:last]

    def survey(self, key: int, chunks: list[int], parcels: Ints) -> tuple[Floats, Floats, Floats]:
        """(scalars by chunk, positive and negative tables by parcel)."""
        held = self._held[key]
        scalars = np.zeros((held._n, 4))
        positive, negative = np.zeros((2, *held._load.shape))
        with held.only(chunks):
            held._survey_pieces(scalars, positive, negative)
        return scalars[chunks], _by_parcel(positive, chunks, parcels), _by_parcel(negative, chunks, parcels)

    def visit(
        self, key: int, chunks: list[int], parcels: Ints, tables: Floats, gamma: float, stride: int,
        slack: float, keep_every: int,
    ) -> tuple[Floats, Floats, Floats, Report]:  # fmt: skip
        """(scalars by chunk, loads and squares by parcel, how it was) of a visit; the curvature stays here."""
        held, started = self._held[key], time.perf_counter()
        held._slack, held._keep_every = slack, keep_every
        with held.only(chunks):
            self._visit(held, np.array(tables), gamma, stride)  # kernels are compiled for writable tables
        load, square = _by_parcel(held._load, chunks, parcels), _by_parcel(held._square, chunks, parcels)
        report = Report(time.perf_counter() - started, own_memory(), self._node, os.getpid())
        return held._out[chunks], load, square, report

    def _visit(self, held: Held, tables: Floats, gamma: float, stride: int) -> None:
        held._visit_pieces(tables, gamma, stride)

    def curvature(self, key: int, chunks: list[int], parcels: Ints, tables: Floats) -> Floats:
        """Products with the curvature of the last visit, by parcel."""
        held = self._held[key]
        with held.only(chunks):
            held._curvature_chunks(np.array(tables))
        return _by_parcel(held._load, chunks, parcels)

    def kept(self, key: int, chunks: list[int]) -> list[visit_kernels.Curvature]:
        """The curvature that the last visit has kept, of each of these chunks; for programs without rules."""
        held, out = self._held[key], []
        for chunk in chunks:
            n, users = held._out[chunk, [visit_kernels.KEPT, visit_kernels.KEPT_USERS]].astype(int).tolist()
            own: Any = held._kept[chunk]
            cell, extra, end = own[:3]
            out.append(visit_kernels.Curvature(cell[:n], np.ascontiguousarray(extra[:, :n]), end[: users + 1]))
        return out

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
        self, key: int, chunks: list[int], tables: Floats, within: Floats, kink: float, slack: float
    ) -> list[list[ChunkPart]]:
        """Undecided and shown pairs of each of these chunks."""
        held = self._held[key]
        held._slack = slack
        with held.only(chunks):
            parts = held._decide_pieces(np.array(tables), np.array(within), kink)
        return [parts[chunk] for chunk in chunks]

    def allocate(
        self, key: int, chunks: list[int], tables: Floats, gamma: float, slack: float
    ) -> list[list[ChunkPart]]:
        """Pairs with x > 0 and their x, of each of these chunks."""
        held = self._held[key]
        held._slack = slack
        with held.only(chunks):
            parts = held._allocate_pieces(np.array(tables), gamma)
        return [parts[chunk] for chunk in chunks]

    def scores(self, key: int, chunks: list[int], tables: Floats) -> list[Floats]:
        """Priced scores of all pairs of each of these chunks."""
        held = self._held[key]
        with held.only(chunks):
            return held.scores_of(np.array(tables))

    def add_up(self, key: int, chunks: list[int], parcels: Ints, positions: Ints, x: Floats) -> tuple[Floats, Floats]:
        """(values by chunk, loads by parcel) of the part of an allocation in these chunks."""
        held = self._held[key]
        with held.only(chunks):
            values = held.values_of(np.array(positions), np.array(x))  # writable, for which kernels are compiled
        return values[chunks], _by_parcel(held._load, chunks, parcels)

    def take(self, key: int, chunks: list[int], positions: Ints) -> PairArrays:
        """Single pairs."""
        held = self._held[key]
        with held.only(chunks):
            return held.arrays_at(positions)


def _by_parcel(tables: Floats, chunks: list[int], parcels: Ints) -> Floats:
    """The sums of consecutive chunks of the same parcel; added up in their order, like all chunks at the driver."""
    out: list[Floats] = []
    last = -1
    for chunk in chunks:
        if parcels[chunk] == last:
            out[-1] = out[-1] + tables[chunk]
        else:
            out.append(np.array(tables[chunk]))
        last = int(parcels[chunk])
    return np.stack(out)
