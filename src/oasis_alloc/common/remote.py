"""Files in object storage (`s3://`, `gs://`, `hdfs://`), through `pyarrow.fs`; credentials are the environment's."""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oasis_alloc.errors import InputError, MissingDependencyError, require

_REMOTE = re.compile(r"(s3|gs|gcs|hdfs|viewfs)://", re.IGNORECASE)
_HADOOP = ("hdfs", "viewfs")
_OF_OBJECTS = ("s3", "gcs", "abfs")  # types of file systems where a file appears when it is closed, and without folders
_LIBRARY = (
    "\nhdfs:// needs Java and Hadoop with its native library libhdfs: install both, and set JAVA_HOME, HADOOP_HOME (or "
    'ARROW_LIBHDFS_DIR, the folder of libhdfs.so) and CLASSPATH="$(hadoop classpath --glob)".'
)
_EMULATOR = ("STORAGE_EMULATOR_HOST",)
_PART = 1 << 22  # bytes that are copied at once


def is_remote(path: object) -> bool:
    """True if a text names a file in object storage.

    >>> is_remote("s3://bucket/pairs.parquet"), is_remote("pairs.parquet")
    (True, False)
    """
    return isinstance(path, str) and _REMOTE.match(path) is not None


class RemoteFolder:
    """A file or folder of object storage, and the files below it.

    Raises `InputError` for an address that is not valid, `MissingDependencyError` without pyarrow.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._fs, self._path = _opened(self.address)
        self.name = self._path.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        return self.address

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteFolder, (self.address,)

    @property
    def system(self) -> tuple[Any, str]:
        """(file system of pyarrow, path in it)."""
        return self._fs, self._path

    def read(self, name: str = "") -> bytes:
        """The bytes of a file; FileNotFoundError if there is no such file, other OSErrors if it cannot be read."""
        with self._fs.open_input_stream(self._at(name)) as stream:
            raw: bytes = stream.read()
        return raw

    def write(self, name: str, raw: bytes) -> None:
        """Write a file in one step: readers see the old object or the new one. It is read again and compared."""
        with self._written(name) as stream:
            stream.write(raw)
        if self.read(name) != raw:
            raise OSError(f"{self.address}/{name} has other bytes than were written; another process may write there")

    def remove(self, name: str) -> None:
        """Remove a file; one that cannot be removed stays."""
        try:
            self._fs.delete_file(self._at(name))
        except OSError:
            return

    def names(self) -> list[str]:
        """Names of the files in the folder itself."""
        return [name for name in self._below(recursive=False) if "/" not in name]

    def exists(self) -> bool:
        """True if there is a file or a folder with files."""
        kind = self._fs.get_file_info(self._path).type.name
        return kind == "File" or (kind == "Directory" and bool(self._below(recursive=True)))

    def below(self) -> list[str]:
        """Names of all files below the folder, with the folders between."""
        return self._below(recursive=True)

    def put(self, name: str, source: Path) -> None:
        """Copy a file of this machine there, in one step and piece by piece; OSError, also for another size."""
        with source.open("rb") as file, self._written(name) as stream:
            while part := file.read(_PART):
                stream.write(part)
        size = self._fs.get_file_info(self._at(name)).size
        if size != source.stat().st_size:
            where = f"{without_secrets(self.address)}{'/' if name else ''}{name}"
            raise OSError(f"{where} has {size} bytes after it was written; another process may write there")

    def copy_file(self, name: str, target: Path) -> None:
        """Copy one file to a local path; FileNotFoundError if there is no such file."""
        try:
            self._copy(name, target)
        except OSError:
            target.unlink(missing_ok=True)
            raise

    def copy_to(self, target: Path) -> None:
        """Copy the file, or all files of the folder, to a local path."""
        if self._fs.get_file_info(self._path).type.name == "File":
            self._copy("", target)
            return
        for name in self._below(recursive=True):
            self._copy(name, target / name)

    def _copy(self, name: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._fs.open_input_stream(self._at(name)) as source, target.open("wb") as file:
            while part := source.read(_PART):
                file.write(part)

    def _below(self, recursive: bool) -> list[str]:
        selector = require("pyarrow.fs", "parquet").FileSelector(self._path, True, recursive)
        found = [info.path for info in self._fs.get_file_info(selector) if info.type.name == "File"]
        return sorted(path.removeprefix(self._path).lstrip("/") for path in found)

    @contextmanager
    def _written(self, name: str) -> Iterator[Any]:
        """A stream; what was written to it is the file `name` at the end of the block, in one step."""
        target = self._at(name)
        if self._fs.type_name in _OF_OBJECTS:
            upload = _Upload(self._fs.open_output_stream(target))
            try:
                yield upload
            except BaseException:
                upload.give_up()
                raise
            upload.stream.close()  # with its end the object is there
            return
        folder, _, last = target.rpartition("/")
        self._fs.create_dir(folder, recursive=True)
        beside = f"{folder}/.{last}.{secrets.token_hex(4)}.tmp"
        try:
            with self._fs.open_output_stream(beside) as stream:
                yield stream
            self._move(beside, target)
        except BaseException:
            with suppress(OSError):
                self._fs.delete_file(beside)
            raise

    def _move(self, beside: str, target: str) -> None:
        """Replace a file. HDFS does not rename to a name that is taken: there the file is away for a moment."""
        try:
            self._fs.move(beside, target)
        except OSError:
            if self._fs.get_file_info(target).type.name != "File":
                raise
            self._fs.delete_file(target)
            self._fs.move(beside, target)

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path


class _Upload:
    """A stream to an object, which is there once the stream is closed; if the upload is given up, it is as before."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._has_failed = False

    def write(self, part: bytes) -> None:
        """Send some bytes; OSError."""
        try:
            self.stream.write(part)
        except Exception:
            self._has_failed = True
            raise

    def give_up(self) -> None:
        """Leave the object as it is.

        A stream that has failed completes no object. Any other one does when it is closed, and pyarrow closes it at the
        latest when it is freed; there is no call to abort. So it is never freed, with the few MB that it holds.
        """
        if not self._has_failed:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.stream))


class Files:
    """Paths that start at a folder; files in object storage are copied to this machine at first use.

    `files / "pairs.parquet"` and `files / "s3://bucket/pairs.parquet"` are local paths. Copies are removed with the
    object.

    >>> print(Files(Path("jobs")) / "pairs.parquet")
    jobs/pairs.parquet
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._copies: Path | None = None
        self._known: dict[str, Path] = {}

    def __truediv__(self, path: str) -> Path:
        if not is_remote(path):
            return self.folder / path
        if path not in self._known:
            if self._copies is None:
                self._copies = Path(tempfile.mkdtemp(prefix="oasis-alloc-"))
                weakref.finalize(self, remove_copies, str(self._copies), os.getpid())
            self._known[path] = _copied(path, self._copies)
        return self._known[path]


class RemoteCopy:
    """A file of object storage, and its copy on this machine, which is removed with the object.

    Raises `InputError` for an address that is not valid, `MissingDependencyError` without pyarrow.
    """

    def __init__(self, address: str) -> None:
        self._remote = RemoteFolder(address)
        folder = tempfile.mkdtemp(prefix="oasis-alloc-")
        weakref.finalize(self, remove_copies, folder, os.getpid())
        self.path = Path(folder) / (self._remote.name or "file")

    def __str__(self) -> str:
        return without_secrets(self._remote.address)

    def fetch(self) -> None:
        """Copy the file here; OSError, FileNotFoundError among them."""
        self._remote.copy_file("", self.path)

    def send(self) -> None:
        """Copy what is here there; OSError."""
        self._remote.put("", self.path)


def remove_copies(folder: str, process: int) -> None:
    """Remove a folder of copies, in the process that made it: a child of a fork has the same object."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _copied(address: str, folder: Path) -> Path:
    parts = urlsplit(address)
    target = folder / parts.scheme / parts.netloc.rpartition("@")[2].replace(":", "_") / parts.path.strip("/")
    try:
        remote = RemoteFolder(address)
        if not remote.exists():
            raise InputError(f"{without_secrets(address)}: there is no such file or folder.")
        remote.copy_to(target)
    except (InputError, MissingDependencyError):
        raise
    except Exception as error:  # file systems have errors of their own
        raise InputError(f"{without_secrets(address)} cannot be read: {_short(error)}") from error
    return target


def _opened(address: str) -> tuple[Any, str]:
    """(file system, path in it)."""
    fs, parts = require("pyarrow.fs", "parquet"), urlsplit(address)
    if "@" in parts.netloc and ":" in parts.netloc.rpartition("@")[0]:
        raise InputError(
            f"{without_secrets(address)}: the address has a key and a secret; leave them out, and give them in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY): addresses are written to files and logs."
        )
    if not parts.netloc and parts.scheme.lower() not in _HADOOP:  # which has a default server
        raise InputError(f"{without_secrets(address)}: expected a bucket, as in s3://bucket/folder.")
    try:
        if not parts.query and (system := _of_environment(fs, parts.scheme.lower())) is not None:
            return system, f"{parts.netloc}{parts.path}".rstrip("/")
        system, path = fs.FileSystem.from_uri(address)
    except (OSError, ValueError, TypeError) as error:
        hint = _LIBRARY if parts.scheme.lower() in _HADOOP else ""
        raise InputError(f"{without_secrets(address)} cannot be opened: {_short(error)}{hint}") from error
    return system, str(path).rstrip("/")


def _of_environment(fs: Any, scheme: str) -> Any:
    """The file system of a server that the environment names, as for tools of the two vendors; else None."""
    names = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "gs": _EMULATOR, "gcs": _EMULATOR}.get(scheme, ())
    address = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if address is None:
        return None
    server = urlsplit(address if "://" in address else f"http://{address}")
    if scheme == "s3":
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return fs.S3FileSystem(endpoint_override=server.netloc, scheme=server.scheme, region=region)
    return fs.GcsFileSystem(anonymous=True, endpoint_override=server.netloc, scheme=server.scheme)


def without_secrets(address: str) -> str:
    """An address for messages: without user, password and query."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _short(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
