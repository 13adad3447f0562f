"""Workers of pytest-xdist wait for a kernel that another one compiles, and load it from the cache.

Without this, two workers that need the same kernel compile it twice, which takes up to a minute of each core.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Any

from oasis_alloc.kernels import _jit

try:
    import fcntl
except ImportError:  # Windows has no such locks: workers compile on their own
    fcntl = None  # type: ignore[assignment]

# Longer than any kernel takes. Later, a worker compiles on its own: a lock is never worth a run that hangs.
_PATIENCE = 180.0
_PAUSE = 0.05


class KernelLocks:
    """One lock per kernel and signature, as files in a folder that all workers of a run share.

    A kernel holds its own lock while it compiles the kernels that it calls. They never call it, so two workers
    cannot wait for each other.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, BufferedWriter] = {}

    def acquire(self, key: str) -> None:
        """Wait until no other worker compiles this kernel."""
        if key in self._held:
            return
        file = (self._folder / key).open("wb")
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > end:
                    file.close()
                    return
                time.sleep(_PAUSE)
            else:
                self._held[key] = file
                return

    def release(self, key: str) -> None:
        """Let the next worker look into the cache."""
        if file := self._held.pop(key, None):
            file.close()

    def release_all(self) -> None:
        """Give up every lock, also of kernels whose compilation failed."""
        for key in list(self._held):
            self.release(key)


@contextmanager
def compiled_once(folder: Path) -> Iterator[KernelLocks]:
    """While open, kernels of this process are compiled only if no other process with this folder does."""
    locks = KernelLocks(folder)
    kernels: Any = _jit._KernelCache
    load, save = kernels._load, kernels.save_overload

    def loaded(kernel: Any, signature: Any, target_context: Any) -> Any:
        found = load(kernel, signature, target_context)
        if found is None and fcntl is not None and kernel.cache_path is not None:
            locks.acquire(_key(kernel, signature))
            found = load(kernel, signature, target_context)
            if found is not None:
                locks.release(_key(kernel, signature))
        return found

    def saved(kernel: Any, signature: Any, result: Any) -> None:
        try:
            save(kernel, signature, result)
        finally:
            locks.release(_key(kernel, signature))

    kernels._load, kernels.save_overload = loaded, saved
    try:
        yield locks
    finally:
        kernels._load, kernels.save_overload = load, save
        locks.release_all()


def _key(kernel: Any, signature: Any) -> str:
    said = repr((kernel._name, kernel._code, kernel.cache_path, str(signature)))
    return hashlib.sha256(said.encode()).hexdigest()[:24]
