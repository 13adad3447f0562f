"""How kernels are compiled, and where the compiled code is kept: decided here, once, for all of them.

numba's own ``cache=True`` is not used, for four reasons:

- it watches only the file of the function itself, so after an edit or an upgrade of a *callee* in another
  file it goes on returning the old result, silently;
- where neither the package nor a home directory can be written, it fails at import;
- two processes that compile one kernel for different argument types at once can end up with each other's
  code, because both take the next free number as the name of their file;
- a truncated file is an error instead of a reason to compile again.

So the dispatcher gets a cache object of ours. It keeps one entry per function, argument types, processor and
compiler flags, in a directory named after the versions and a hash over *all* kernel sources. Compiling
freezes the globals that a kernel reads, so these must be constants written in a kernel file, not imported
from elsewhere.

The files are pickles, hence code: a directory that somebody else can write is not used. Whatever goes wrong,
the kernel is compiled and runs; the log (``oasis_alloc.kernels``, level DEBUG) says why it was not cached.

``OASIS_ALLOC_CACHE`` is a directory to use instead of the user's cache directory, or ``off``.
"""

import hashlib
import logging
import os
import shutil
import stat
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])

_log = logging.getLogger("oasis_alloc.kernels")

# Reordering and approximation, but never "there is no NaN" or "there is no infinity": kernels test for both.
_FASTMATH = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})

# Settings of numba, read from its environment, that change the code but not numba's own key.
_CODE_FLAGS = ("BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT")

_KERNELS = Path(__file__).resolve().parent

# Every edit of a kernel makes a new directory; only the latest few are worth keeping.
_DIRECTORIES_KEPT = 8


@overload
def jit(function: _Function, /) -> _Function: ...
@overload
def jit(*, fastmath: bool = False, inline: bool = False) -> Callable[[_Function], _Function]: ...
def jit(function: Any = None, /, *, fastmath: bool = False, inline: bool = False) -> Any:
    """Compile a function on its first call, without the GIL, and keep the compiled code for later processes.

    Division by zero follows NumPy (infinity or NaN, no exception). ``fastmath=True`` allows sums to be
    reordered and divisions to be approximated, but keeps NaN and infinity; use it where that was measured to
    help. ``inline=True`` puts the code into its caller's: for functions of one caller that take many arrays,
    whose passing on costs more than most loops over one user's candidates.

    >>> @jit
    ... def halve(x: float) -> float:
    ...     return x / 2.0
    >>> halve(3.0)
    1.5
    """

    def decorate(function: _Function) -> _Function:
        flags = set(_FASTMATH) if fastmath else False
        # A dispatcher, but to a caller it is the function: its signature is what type checkers should see.
        compiled: Any = numba.njit(nogil=True, error_model="numpy", fastmath=flags, forceinline=inline)(function)
        _attach_cache(compiled, function)
        return cast(_Function, compiled)

    return decorate if function is None else decorate(function)


def _attach_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Give the dispatcher a cache, unless there is nothing safe to key it by."""
    if not hasattr(dispatcher, "_cache"):  # a plain function (NUMBA_DISABLE_JIT), or another kind of numba
        return
    if getattr(numba.config, "JIT_COVERAGE", 0):  # code that comes from a cache reports no coverage
        return
    source = Path(function.__code__.co_filename)
    # A closure's cells, and a function typed at a prompt, are not in any file that the hash covers.
    if function.__closure__ is not None or not source.is_file():
        return
    try:
        dispatcher._cache = _KernelCache(function, _source_hash(source.resolve().parent))
    except OSError:
        _log.debug("kernel sources beside %s cannot be read: not cached", source, exc_info=True)


class _KernelCache:
    """The part of numba's cache interface that a dispatcher calls, for one function."""

    def __init__(self, function: Callable[..., Any], source_hash: str) -> None:
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        code = function.__code__  # the line tells two functions of one name apart
        self._code = (code.co_firstlineno, hashlib.sha256(code.co_code).hexdigest())
        self._source_hash = source_hash

    @property
    def cache_path(self) -> str | None:
        directory = _directory(self._source_hash)
        return None if directory is None else str(directory)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled code for these argument types, or None: then numba compiles."""
        try:
            directory = _directory(self._source_hash)
            if directory is None or not _is_safe(directory):
                return None
            from numba.core.compiler import CompileResult

            target_context.refresh()
            key, entry = self._entry(directory, signature, target_context.codegen())
            parts = entry.load(key)
            rebuild: Any = CompileResult._rebuild  # untyped in numba
            return None if parts is None else rebuild(target_context, *parts)
        except Exception:  # a damaged entry, or another kind of numba: compile
            _log.debug("kernel %s cannot be loaded from its cache", self._name, exc_info=True)
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep the compiled code for these argument types, where that can be done safely."""
        try:
            # Code with addresses of this process in it is of no use to another.
            if result.library.has_dynamic_globals or any(not loop.can_cache for loop in result.lifted):
                return
            directory = _directory(self._source_hash)
            if directory is None or not _make_safe(directory):
                return
            key, entry = self._entry(directory, signature, result.codegen)
            entry.flush()  # what is there could not be loaded; it may be damaged
            entry.save(key, result._reduce())
        except Exception:  # a full or read-only disk, or another kind of numba: the kernel runs all the same
            _log.debug("kernel %s cannot be saved to its cache", self._name, exc_info=True)

    def _entry(self, directory: Path, signature: Any, codegen: Any) -> tuple[Any, Any]:
        from numba.core.caching import IndexDataCacheFile

        settings = tuple(str(getattr(numba.config, flag, None)) for flag in _CODE_FLAGS)
        key = (signature, codegen.magic_tuple(), settings, self._code)
        # The key is part of the file's name: processes that compile for other types never share a file, and
        # those that compile for the same types replace it, by rename, with the same.
        name = f"{self._name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"
        make: Any = IndexDataCacheFile  # untyped in numba
        return key, make(str(directory), name, self._source_hash)

    def enable(self) -> None:
        """Nothing to do: the environment decides."""

    def disable(self) -> None:
        """Nothing to do: the environment decides."""

    def flush(self) -> None:
        """Nothing to do: an entry is never stale, for the sources are part of its directory's name."""


def _source_hash(folder: Path) -> str:
    """A hash over every kernel source, and over the sources beside the function if it lives elsewhere."""
    files = {*_KERNELS.rglob("*.py"), *folder.glob("*.py")}
    found = [(str(file), file.stat()) for file in sorted(files)]
    return _hash_files(tuple((name, at.st_mtime_ns, at.st_size) for name, at in found))


@cache
def _hash_files(files: tuple[tuple[str, int, int], ...]) -> str:
    # Time and size are arguments so that a file is read again when it changes, and only then.
    digest = hashlib.sha256()
    for name, _, _ in files:
        content = Path(name).read_bytes()
        digest.update(f"{Path(name).name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _directory(source_hash: str) -> Path | None:
    """Where entries for these sources belong, whether or not it exists; None if there is no such place."""
    root = _root()
    return None if root is None else root / f"{_versions()}-{source_hash}"


def _root() -> Path | None:
    chosen = os.environ.get("OASIS_ALLOC_CACHE", "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the standard says to ignore a relative one
        return base / "oasis_alloc"
    home = Path(os.path.expanduser("~"))
    # Accounts of services have no home, or "/", or one that is not there: never make them one.
    if not home.is_absolute() or home == Path(home.anchor) or not home.is_dir():
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "oasis_alloc" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "oasis_alloc"
    return home / ".cache" / "oasis_alloc"


@cache
def _versions() -> str:
    try:
        package = metadata.version("oasis_alloc")
    except metadata.PackageNotFoundError:  # run from the sources; their hash tells versions apart
        package = "source"
    return f"{package}-numba{numba.__version__}-{sys.implementation.cache_tag}"


def _is_safe(directory: Path) -> bool:
    """Whether the directory and its parent exist, are the user's own, and cannot be written by everybody."""
    return all(_is_private(folder) for folder in (directory.parent, directory))


def _is_private(folder: Path) -> bool:
    try:
        at = folder.stat()
    except OSError:
        return False
    if not stat.S_ISDIR(at.st_mode):
        return False
    if sys.platform == "win32":  # no owner or mode bits there; the directory is inside the user's profile
        return True
    private = at.st_uid == os.geteuid() and not at.st_mode & stat.S_IWOTH
    if not private:
        _log.debug("kernels are not cached in %s: others own it or may write it", folder)
    return private


def _make_safe(directory: Path) -> bool:
    """Make the directory, for this user alone, if it is not there; say whether it may be used."""
    if not directory.is_dir():
        for folder in (*reversed(directory.parents), directory):
            if folder == directory and not _is_private(directory.parent):
                return False
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
        _remove_old(directory.parent)
    return _is_safe(directory)


def _remove_old(root: Path) -> None:
    """Remove the directories of earlier versions, except the latest few."""
    ours = [folder for folder in root.glob(f"*-numba*-{sys.implementation.name}-*") if folder.is_dir()]
    ours.sort(key=lambda folder: folder.stat().st_mtime)
    for folder in ours[:-_DIRECTORIES_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)
