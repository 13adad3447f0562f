"""How all kernels are compiled, and where the compiled code is cached.

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

The files are pickles, hence code: a directory or file that another user owns or can write, also through its group, is
not used. On any error the kernel is compiled and runs; the log (``oasis_alloc.kernels``, level DEBUG) says why it
was not cached. Level INFO says which kernel is compiled and how long it took.

``OASIS_ALLOC_CACHE`` is a directory to use instead of the user's cache directory, or ``off``.

Kernels rely on the types that the compiler gives to numbers (an unsigned difference, a sum of uint32 in 64 bits),
which differ in Python and NumPy. So under ``NUMBA_DISABLE_JIT`` they refuse to run, unless
``OASIS_ALLOC_PYTHON_KERNELS=1`` is set, for a debugger.
"""

import hashlib
import io
import logging
import os
import pickle
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial, wraps
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn, TypeVar, cast, overload

import numba
from numba.core.compiler import CompileResult

from oasis_alloc.errors import SolverError
from oasis_alloc.kernels import _compiling

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
def jit(
    *, fastmath: bool = False, inline: bool = False, allocates: bool = True
) -> Callable[[_Function], _Function]: ...
def jit(function: Any = None, /, *, fastmath: bool = False, inline: bool = False, allocates: bool = True) -> Any:
    """Compile a function on its first call, without the GIL, and keep the compiled code for later processes.

    Division by zero follows NumPy (infinity or NaN, no exception). ``fastmath=True`` allows sums to be
    reordered and divisions to be approximated, but keeps NaN and infinity; use it where that was measured to
    help. ``inline=True`` puts the code into its caller's: for functions of one caller that take many arrays,
    whose passing on costs more than most loops over one user's candidates. ``allocates=False`` is for functions
    that make no arrays. Compiled code counts the references to every array that it passes on, and a count is an
    atomic operation of 5 ns; these functions count none, which is right because their caller holds the arrays.
    Slices are no new arrays. A function that makes some is refused when it is compiled.

    >>> @jit
    ... def halve(x: float) -> float:
    ...     return x / 2.0
    >>> halve(3.0)
    1.5
    """

    def decorate(function: _Function) -> _Function:
        if refusal() and _KERNELS in Path(function.__code__.co_filename).resolve().parents:
            return cast(_Function, _refused(function))
        flags = set(_FASTMATH) if fastmath else False
        # A dispatcher, but to a caller it is the function: its signature is what type checkers should see.
        # No code for C callbacks, which nobody asks for: it takes a twentieth of the time to compile a kernel.
        options: dict[str, Any] = {"fastmath": flags, "forceinline": inline, "_nrt": allocates}
        options["no_cfunc_wrapper"] = True
        compiled = _dispatcher(function, {"nogil": True, "error_model": "numpy", **options})
        _attach_cache(compiled, function)
        return cast(_Function, compiled)

    return decorate if function is None else decorate(function)


def _dispatcher(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """What compiles the function; under NUMBA_DISABLE_JIT, the function."""
    try:
        from oasis_alloc.kernels._linked import KernelDispatcher
    except ImportError:  # another kind of numba: kernels that only kernels call are finished, too
        return numba.njit(**options)(function)
    if getattr(numba.config, "DISABLE_JIT", 0):
        return function
    return KernelDispatcher(
        cast(FunctionType, function), targetoptions={"nopython": True, "boundscheck": None, **options}
    )


def refusal() -> str:
    """Why kernels do not run in this process; empty if they do."""
    if not getattr(numba.config, "DISABLE_JIT", 0) or os.environ.get("OASIS_ALLOC_PYTHON_KERNELS", "") not in ("", "0"):
        return ""
    return (
        "NUMBA_DISABLE_JIT is set, and kernels give correct answers only when compiled: as Python they compute with "
        "other types and take a thousand times as long. Unset it before oasis_alloc is imported. (To step "
        "through one kernel in a debugger, set OASIS_ALLOC_PYTHON_KERNELS=1 as well.)"
    )


def _refused(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def refuse(*arguments: object, **named: object) -> NoReturn:
        raise SolverError(refusal() or "NUMBA_DISABLE_JIT was set when kernels were imported; start a new process.")

    return refuse


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
        stamp = _source_hash(source.resolve().parent)
        dispatcher._cache = _KernelCache(function, stamp, cast(Any, CompileResult)._rebuild)
        if hasattr(dispatcher, "linked_cache"):
            dispatcher.linked_cache = _KernelCache(function, stamp, dispatcher.rebuild_linked)
    except OSError:
        _log.debug("kernel sources next to %s cannot be read: not cached", source, exc_info=True)


class _KernelCache:
    """The part of numba's cache interface that a dispatcher calls, for one function."""

    def __init__(self, function: Callable[..., Any], source_hash: str, rebuild: Callable[..., Any]) -> None:
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        code = function.__code__  # the line distinguishes two functions of the same name
        self._code = (code.co_firstlineno, hashlib.sha256(code.co_code).hexdigest(), rebuild.__name__)
        self._source_hash = source_hash
        self._rebuild = rebuild  # makes a result of this kind from what was kept of it

    @property
    def cache_path(self) -> str | None:
        directory = _directory(self._source_hash)
        return None if directory is None else str(directory)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled code for these argument types, or None: then numba compiles."""
        found = self._load(signature, target_context)
        if found is None:
            _compiling.begin(self._name, self.cache_path)
        return found

    def _load(self, signature: Any, target_context: Any) -> Any:
        try:
            directory = _directory(self._source_hash)
            if directory is None or not _is_safe(directory):
                return None
            target_context.refresh()
            key, entry = self._entry(directory, signature, target_context.codegen())
            parts = entry.load(key)
            return None if parts is None else self._rebuild(target_context, *parts)
        except Exception:  # a damaged entry, or another kind of numba: compile
            _log.debug("kernel %s cannot be loaded from its cache", self._name, exc_info=True)
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Cache the compiled code for these argument types, if that is safe."""
        _compiling.end(self._name)
        try:
            # Code with addresses of this process cannot be used by another.
            if result.library.has_dynamic_globals or any(not loop.can_cache for loop in result.lifted):
                return
            directory = _directory(self._source_hash)
            if directory is None or not _make_safe(directory):
                return
            key, entry = self._entry(directory, signature, result.codegen)
            entry.flush()  # the existing entry could not be loaded; it may be damaged
            entry.save(key, result._reduce())
        except Exception:  # a full or read-only disk, or another numba: the kernel still runs
            _log.debug("kernel %s cannot be saved to its cache", self._name, exc_info=True)

    def _entry(self, directory: Path, signature: Any, codegen: Any) -> tuple[Any, Any]:
        from numba.core.caching import IndexDataCacheFile

        settings = tuple(str(getattr(numba.config, flag, None)) for flag in _CODE_FLAGS)
        key = (signature, codegen.magic_tuple(), settings, self._code)
        # The key is part of the file's name: processes that compile for other types never share a file, and
        # those that compile for the same types replace it, by rename, with the same.
        name = f"{self._name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"
        make: Any = IndexDataCacheFile  # untyped in numba
        entry = make(str(directory), name, self._source_hash)
        # numba unpickles any file, and with umask 002 writes files that the group may change
        entry._load_index, entry._load_data = partial(_load_index, entry), partial(_load_data, entry)
        entry._open_for_write = _written
        return key, entry

    def enable(self) -> None:
        """Nothing to do: the environment decides."""

    def disable(self) -> None:
        """Nothing to do: the environment decides."""

    def flush(self) -> None:
        """Nothing to do: an entry is never stale, because the sources are part of its directory's name."""


def _source_hash(folder: Path) -> str:
    """A hash over every kernel source, and over the sources next to the function if it is defined elsewhere."""
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
    """The directory for entries of these sources, which may not exist yet; None if there is none."""
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
    # Service accounts have no home, or "/", or one that does not exist: never create it.
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
    except metadata.PackageNotFoundError:  # run from the sources; their hash distinguishes versions
        package = "source"
    return f"{package}-numba{numba.__version__}-{sys.implementation.cache_tag}"


def _load_index(entry: Any) -> dict[Any, str]:
    """As numba's own, of a file that is the user's own."""
    content = io.BytesIO(_read(entry._index_path) or b"")
    if not content.getbuffer() or pickle.load(content) != entry._version:
        return {}
    stamp, overloads = pickle.load(content)
    return dict(overloads) if stamp == entry._source_stamp else {}


def _load_data(entry: Any, name: str) -> Any:
    """As numba's own, of a file that is the user's own."""
    content = _read(entry._data_path(name))
    if content is None:
        raise OSError("the file does not exist or is not trusted")
    return pickle.loads(content)


def _read(path: str) -> bytes | None:
    """The content of a file, or None if it does not exist or another user owns it or may write it."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    with open(handle, "rb") as file:
        return file.read() if not _danger(path, os.fstat(handle)) else None


@contextmanager
def _written(path: str) -> Iterator[Any]:
    """A file that replaces `path` at the end, and that only this user may read or write."""
    beside = f"{path}.tmp.{secrets.token_hex(8)}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(beside, flags, 0o600), "wb") as file:
            yield file
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _is_safe(directory: Path) -> bool:
    """Whether the directory and its parent exist, are owned by the user, and cannot be written by others.

    Directories above do not matter: replaced directories, or the files in them, would have another owner.
    """
    return all(_is_private(folder) for folder in (directory.parent, directory))


def _is_private(folder: Path) -> bool:
    try:
        at = folder.stat()
    except OSError:
        return False
    return stat.S_ISDIR(at.st_mode) and not _danger(str(folder), at)


def danger(directory: Path) -> str:
    """Why a directory, which may not exist, is not used as the cache; empty if it is used."""
    there = (folder for folder in (directory.parent, directory) if folder.is_dir())
    return next(filter(None, (_danger(str(folder), folder.stat()) for folder in there)), "")


_said: set[str] = set()  # what was refused in this process, and why


def _warn(message: str) -> None:
    """Log why the cache, or a file in it, is refused: one warning per process, and the rest for debugging."""
    if message not in _said:
        level = logging.DEBUG if _said else logging.WARNING
        _said.add(message)
        _log.log(level, "kernels are compiled in every process: %s", message)


def _danger(path: str, at: os.stat_result) -> str:
    """Why a file or directory is not trusted, with the remedy; empty if it is trusted. Logged once."""
    if sys.platform == "win32":  # no owner or mode bits there; the directory is inside the user's profile
        return ""
    if at.st_uid != os.geteuid():
        message = f"{path} belongs to another user ({at.st_uid}); choose a directory of your own by OASIS_ALLOC_CACHE."
    elif at.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        others = "everybody" if at.st_mode & stat.S_IWOTH else "its group"
        message = f"{path} can be written by {others}, and it holds code; run: chmod go-w {path}"
    else:
        return ""
    _warn(message)
    return message


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
