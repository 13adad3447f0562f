"""Arrays and texts in one safetensors file, under a digest of all of them: checkpoints and reproduction files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.files import reason_of
from oasis_alloc.common.labels import shown
from oasis_alloc.common.regular_files import check_regular
from oasis_alloc.common.remote_path import AnyPath, RemotePath, copied_from, name_of, write_at
from oasis_alloc.errors import InputError

Tensors = dict[str, npt.NDArray[Any]]

_FORMAT, _DIGEST = "format", "digest"


def write_tensors(
    path: AnyPath,
    kind: str,
    tensors: Mapping[str, npt.NDArray[Any]],
    texts: Mapping[str, str],
) -> None:
    """Write a file of this kind ("oasis_alloc checkpoint 2": name and version), completely or not at all.

    Raises `OSError` if it cannot be written.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(f"{folder}/a", "oasis_alloc example 1", {"x": np.arange(3)}, {"by": "hand"})
    ...     read_tensors(f"{folder}/a", "oasis_alloc example 1")
    ({'x': array([0, 1, 2])}, {'by': 'hand'})
    """
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    about = {_FORMAT: kind, **texts}
    write_at(path, save(whole, {**about, _DIGEST: _digest(whole, about)}))


def read_tensors(path: AnyPath, kind: str) -> tuple[Tensors, dict[str, str]]:
    """Read (arrays, texts) that `write_tensors` wrote; raise `InputError`, without the path, for any other file."""
    from safetensors import SafetensorError, safe_open

    what = kind.split()[1]
    # the error depends on where a file is damaged: types that NumPy lacks, sizes beyond the memory
    wrong = (SafetensorError, TypeError, ValueError, KeyError, AttributeError, OverflowError, MemoryError)
    try:
        with copied_from(path) as local:
            check_regular(local)  # the library would wait for a pipe
            with safe_open(os.fspath(local), framework="numpy") as file:
                about: dict[str, str] = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except FileNotFoundError as error:  # its text has the path, which the caller says
        raise InputError(f"cannot be read as a {what} (there is no such file).") from error
    except OSError as error:
        raise InputError(f"cannot be read as a {what} ({reason_of(error)}).") from error
    except wrong as error:
        raise InputError(f"cannot be read as a {what} ({error}).") from error
    if about.get(_FORMAT) != kind:
        raise InputError(f"is not a {what} of this version: its format is {about.get(_FORMAT)!r}; expected {kind!r}.")
    if about.pop(_DIGEST, None) != _digest(tensors, about):
        raise InputError("is damaged: its numbers or its header changed after they were written.")
    del about[_FORMAT]
    return tensors, about


def read_named(path: AnyPath, kind: str) -> tuple[Tensors, dict[str, str]]:
    """As `read_tensors`; the error begins with the path."""
    if not isinstance(path, (str, os.PathLike, RemotePath)):
        raise InputError(f"path is {shown(path)}; expected the path of a {kind.split()[1]}.")
    try:
        return read_tensors(path, kind)
    except InputError as error:
        raise InputError(f"{name_of(path)} {error}") from error


def _digest(tensors: Mapping[str, npt.NDArray[Any]], about: Mapping[str, str]) -> str:
    """A digest of names, types, shapes, numbers and texts; each follows its length, so the encoding is unambiguous."""
    digest = hashlib.sha256()

    def add(part: bytes | memoryview) -> None:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)

    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        add(f"{name}|{array.dtype.str}|{array.shape}".encode("utf-8", "surrogatepass"))
        add(array.reshape(-1).view(np.uint8).data)
    for name in sorted(about):
        add(name.encode("utf-8", "surrogatepass"))
        add(about[name].encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
