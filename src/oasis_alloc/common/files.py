"""Files written completely or not at all: to a temporary name next to the target, then moved there in one step."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oasis_alloc.errors import InputError

_ENDING = ".tmp"
_OF_WRITES = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)  # a disk or a quota that is full
_LONGEST = 200  # bytes of a name to which a temporary ending can be added


def path_text(path: str | os.PathLike[str]) -> str:
    """The path as text; `InputError` if it has a null character, which no system can open."""
    text = os.fsdecode(path)
    if "\0" in text:
        raise InputError(f"{text!r} is not a path: it has a null character.")
    return text


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file to write to; at the end of the block it replaces `path`.

    The bytes and the rename reach the disk before the block ends (fsync of the file and of its folder), so that at any
    moment `path` is the old file or the whole new one. A symlink is followed: its target is replaced and
    the link stays. A replaced file keeps its mode, and its owner and group if the process may set them; a new file
    has the usual mode of new files. If the block raises, the temporary file is removed and `path` is unchanged.
    The temporary name ends like `path`, for writers that check the ending.

    Raises `OSError` if the folder cannot be written, or if `path` exists and is not a regular file: it names `path`, or
    the file that a link leads to, never the temporary file. Raises `InputError` for a path with a null character.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/page.html") as beside:
    ...         _ = beside.write_text("whole")
    ...     Path(folder, "page.html").read_text(), len(os.listdir(folder))
    ('whole', 1)
    """
    text = path_text(path)
    target = Path(os.path.realpath(path))
    known = _known(target)
    name = target.stem if len(os.fsencode(target.name)) < _LONGEST else ""
    beside = target.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}{_ENDING}{target.suffix if name else ''}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        os.close(os.open(beside, flags, 0o666))  # not with tempfile, whose files only their owner may read
        yield beside
        with _flushed(beside):
            _keep_mode(beside, known)
        os.replace(beside, target)
    except BaseException as error:
        with suppress(OSError):  # the first error matters
            beside.unlink(missing_ok=True)
        # a name that says nothing, and is gone; or none, as the system's calls that write have no name
        if isinstance(error, OSError) and (beside.name in str(error) or _is_of_a_write(error)):
            raise _of_target(error, text, beside, target) from error
        raise
    if os.name == "posix":  # the rename should also survive a power cut
        with _flushed(target.parent):
            pass


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write bytes, or text as UTF-8, as `replacing` does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(f"{folder}/a", "text")
    ...     Path(folder, "a").read_bytes()
    b'text'
    """
    with replacing(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def locked(path: str | os.PathLike[str], wait: bool) -> Iterator[None]:
    """For the block, a lock on a file, which is made; it ends with the process that holds it.

    Another process waits, or gets a `BlockingIOError`. Windows has no such lock: there this does nothing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(ImportError):
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _is_of_a_write(error: OSError) -> bool:
    return error.filename is None and error.errno in _OF_WRITES


def _known(target: Path) -> os.stat_result | None:
    """The file at the end of all links; None if there is nothing yet."""
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):  # realpath leaves only broken links
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(target))
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "a device or pipe cannot be replaced by a file", str(target))
    return found


def _of_target(error: OSError, path: str, beside: Path, target: Path) -> OSError:
    """The same error, of the file that was to be written."""
    leads = f"; the path is a link to {str(target)!r}" if os.path.islink(path) else ""
    if error.errno is None:  # of a library that has its own messages
        return type(error)(str(error).replace(str(beside), str(target)) + leads)
    reason = (error.strerror or os.strerror(error.errno)).replace(str(beside), str(target))
    if isinstance(error, FileNotFoundError) and not target.parent.is_dir():
        reason = f"there is no directory {str(target.parent)!r}"
    return OSError(error.errno, f"{reason}{leads}", str(target))


def _keep_mode(beside: Path, known: os.stat_result | None) -> None:
    if known is None or os.name != "posix":
        return
    for owner, group in ((known.st_uid, -1), (-1, known.st_gid)):
        with suppress(OSError):  # only root may change owners; the mode is kept in any case
            os.chown(beside, owner, group)
    os.chmod(beside, stat.S_IMODE(known.st_mode))


@contextmanager
def _flushed(path: Path) -> Iterator[None]:
    """At the end of the block, flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)  # posix syncs read handles
    try:
        yield  # in the block, the mode may change so that the file cannot be opened again
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def plainly(text: object) -> str:
    """Return a text or path for a terminal: characters that are not printable are escaped.

    >>> plainly("a\\x1b[31m.csv")
    'a\\\\x1b[31m.csv'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def reason_of(error: BaseException) -> str:
    """Why a file cannot be read or written, for a message that has its path already: without number and path.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "a.csv")), reason_of(ValueError("not JSON"))
    ('No such file or directory', 'not JSON')
    """
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def kind_of_file(path: Path) -> str:
    """The kind of an existing path, in words: a file, a directory, a device or something else."""
    mode = path.stat().st_mode
    kinds = {
        stat.S_IFREG: "a file", stat.S_IFDIR: "a directory", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
        stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "no file")
