"""The file of a policy: named arrays and strings in one verified safetensors container.

`docs/snapshot.md` specifies it to the byte. The header is written here, so that the same content is always the same
file (the safetensors library shuffles metadata); reading uses the library's parser, after checks that
distinguish the possible errors.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.documents import distinct_members
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.labels import shown
from oasis_alloc.common.regular_files import check_size, opened_regular
from oasis_alloc.common.remote_path import RemotePath, as_place, name_of, write_at
from oasis_alloc.errors import SnapshotError

FORMAT = "oasis_alloc.policy"
SCHEMA = 3  # the latest that is read
_WRITTEN = 2  # what a header that does not say otherwise gets: readers of schema 2 read it

Arrays = Mapping[str, NDArray[Any]]

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_NO_DIGEST = "0" * 64
_DIGEST = re.compile("[0-9a-f]{64}")
_SCHEMA = re.compile("[1-9][0-9]{0,8}")
_LARGEST = 1 << 33  # bytes of a file
_LONGEST_HEADER = 100_000_000  # bytes; the library refuses more
_DIMENSIONS = 32  # of an array


def write_arrays(path: str | os.PathLike[str], arrays: Arrays, header: Mapping[str, str]) -> None:
    """Write arrays and strings as one file, completely or not at all.

    Parameters
    ----------
    path
        The file; an existing one is replaced by rename, after everything has reached the disk.
    arrays
        float64, int64, int32 or uint8 of any shape, by name; floats are finite.
    header
        Strings by name. `format`, `schema` and `checksum` are added.

    Raises
    ------
    SnapshotError
        If the path is neither a text nor a path, or an array has another dtype, more than 32 dimensions or a dimension
        above 2^33, or is not finite.
    InputError
        If the path has a null character.
    OSError
        If the file cannot be written; an existing file is unchanged.

    Example
    -------
    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_arrays(f"{folder}/prices", {"price": np.array([0.5, -1.0])}, {"policy_id": "p1"})
    ...     arrays, header = read_arrays(f"{folder}/prices")
    >>> arrays["price"].tolist(), header["policy_id"], header["schema"]
    ([0.5, -1.0], 'p1', '2')
    """
    write_at(path_text(path), to_bytes(arrays, header))


def path_text(path: Any) -> str:
    """A path as text; raises `SnapshotError` for anything else.

    >>> path_text(b"policy")
    'policy'
    """
    try:
        return os.fsdecode(path)
    except TypeError:
        what = f"{shown(path)} is not a path; expected a text, bytes or a pathlib.Path."
        raise SnapshotError(what, "unreadable") from None


def read_arrays(
    path: str | os.PathLike[str], raw: bytes | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a file of `write_arrays`, (arrays, header), and verify all of it before returning any of it.

    `raw` is the result of `read_file`, if it was called already. Arrays are read-only. Raises `SnapshotError` with
    the reason: unreadable, truncated, not a snapshot, newer schema, tampered, dtype, shape, not finite.
    """
    name = name_of(path_text(path))
    try:
        return from_bytes(read_file(path) if raw is None else raw)
    except SnapshotError as error:
        raise SnapshotError(f"{name}: {error}", error.reason) from error
    except MemoryError as error:
        raise SnapshotError(f"{name} cannot be read: not enough memory.", "unreadable") from error


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a snapshot file: at most one more than its header says, which detects a longer file.

    Only regular files of up to 8 GiB are read: a pipe or device is refused before reading, because it may block or
    never end. Raises `SnapshotError`.
    """
    try:
        place = as_place(os.fsdecode(path))
        if isinstance(place, RemotePath):
            check_size(place.about()[0], _LARGEST, place)
            return place.read_bytes()
        with opened_regular(path, _LARGEST) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(8)
            length = int.from_bytes(head, "little")
            if length <= min(_LONGEST_HEADER, size):
                head += file.read(length)
            described, start = _header(head)
            file.seek(0)
            return file.read(min(size, start + _end(described) + 1))
    except (OSError, ValueError) as error:  # the latter for a null character in the path
        if isinstance(error, SnapshotError):
            raise
        reason = reason_of(error)
        raise SnapshotError(f"it cannot be read: {reason}", "unreadable") from error


def digest_of(path: str | os.PathLike[str]) -> bytes:
    """The SHA-256 of a file, part by part; raises OSError."""
    digest = hashlib.sha256()
    with opened_regular(path, _LARGEST) as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.digest()


def to_bytes(arrays: Arrays, header: Mapping[str, str]) -> bytes:
    """Return the file as bytes; the same content gives the same bytes."""
    little = {name: _checked(name, array) for name, array in arrays.items()}
    # wide types first, so that every array is aligned in the file
    order = sorted(little, key=lambda name: (-little[name].dtype.itemsize, name))
    metadata = {"format": FORMAT, "schema": str(_WRITTEN), **header}
    metadata.pop("checksum", None)
    metadata["checksum"] = _NO_DIGEST  # last, so that it is distinct from any other string
    described: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in order:
        array, start = little[name], end
        end += array.nbytes
        kind = _NAMES[array.dtype]
        described[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [start, end]}
    try:
        text = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise SnapshotError(f"the header has a string that is not valid Unicode ({error}).", "content") from error
    text += b" " * (-len(text) % 8)
    raw = b"".join([len(text).to_bytes(8, "little"), text, *(little[name].tobytes() for name in order)])
    at = raw.index(f'"checksum":"{_NO_DIGEST}"}}'.encode()) + len('"checksum":"')
    return raw[:at] + hashlib.sha256(raw).hexdigest().encode() + raw[at + 64 :]


def from_bytes(raw: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return (arrays, header) of a file's bytes, verified as `read_arrays` does."""
    described, start = _header(raw)
    metadata = described.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise SnapshotError(f"no metadata of the format {FORMAT!r}; this is another kind of file.", "not a snapshot")
    schema = metadata.get("schema")
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise SnapshotError(f"schema is {schema!r}; expected a whole number such as '{SCHEMA}'.", "not a snapshot")
    if int(schema) > SCHEMA:
        raise SnapshotError(
            f"schema {schema} is newer than {SCHEMA}, the latest that this version reads; update oasis_alloc here.",
            "newer schema",
        )
    _check_length(raw, start, described)
    _check_digest(raw, start, metadata)
    return _arrays(raw, described), metadata


def _checked(name: str, array: NDArray[Any]) -> NDArray[Any]:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
    if little.dtype not in _NAMES or name == "__metadata__":
        raise SnapshotError(
            f"array {name!r} has dtype {array.dtype}; expected float64, int64, int32 or uint8.", "dtype"
        )
    _check_shape(name, little.shape)
    _check_finite(name, little)
    return little


def _check_shape(name: str, shape: Sequence[int]) -> None:
    """Refuse an impossible shape: if one dimension is 0, the size of the file does not limit the others."""
    if len(shape) > _DIMENSIONS:
        raise SnapshotError(f"array {name!r} has {len(shape):,} dimensions; expected at most {_DIMENSIONS}.", "shape")
    if math.prod(n or 1 for n in shape) > _LARGEST:
        raise SnapshotError(
            f"array {name!r} has shape {tuple(shape)}; expected a product of at most {_LARGEST:,}, zeros left out.",
            "shape",
        )


def _check_finite(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = int(np.argmin(np.isfinite(array)))
        bad = array.ravel()[at]
        raise SnapshotError(f"array {name!r}: entry {at:,} is {bad}; expected finite numbers.", "not finite")


def _header(raw: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where the data begin."""
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or (length <= _LONGEST_HEADER and len(raw) < 8 + length):
        raise SnapshotError(f"the file has {len(raw):,} bytes, fewer than its header.", "truncated")
    if length > _LONGEST_HEADER:
        raise SnapshotError(f"the header cannot have {length:,} bytes.", "not a snapshot")
    try:
        described = json.loads(raw[8 : 8 + length].decode(), object_pairs_hook=distinct_members)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"the header is not JSON ({error}).", "not a snapshot") from error
    if not isinstance(described, dict):
        raise SnapshotError("the header is not a JSON object.", "not a snapshot")
    return described, 8 + length


def _check_length(raw: bytes, start: int, described: dict[str, Any]) -> None:
    """Distinguish a truncated file from one with a changed header: only the former is too short."""
    end = start + _end(described)
    if len(raw) < end:
        raise SnapshotError(f"the file has {len(raw):,} bytes; its header says {end:,}.", "truncated")


def _end(described: dict[str, Any]) -> int:
    """Where the last array ends, counted from the end of the header."""
    ends = [0]
    for name, entry in described.items():
        if name != "__metadata__":
            offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
            if not isinstance(offsets, list) or len(offsets) != 2 or any(type(offset) is not int for offset in offsets):
                raise SnapshotError(f"array {name!r} has no data_offsets.", "not a snapshot")
            ends.append(offsets[1])
    return max(ends)


def _check_digest(raw: bytes, start: int, metadata: dict[str, Any]) -> None:
    digest = metadata.get("checksum")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or raw.count(digest.encode(), 0, start) != 1:
        raise SnapshotError(
            "the header must have exactly one checksum, a SHA-256 in 64 hexadecimal digits.", "tampered"
        )
    at = raw.index(digest.encode())
    found = hashlib.sha256(raw[:at])
    found.update(_NO_DIGEST.encode())
    found.update(memoryview(raw)[at + 64 :])
    if found.hexdigest() != digest:
        raise SnapshotError(
            f"the bytes have the checksum {found.hexdigest()[:12]}..., the header says {digest[:12]}....", "tampered"
        )


def _arrays(raw: bytes, described: dict[str, Any]) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError, deserialize

    for name, entry in described.items():
        if name != "__metadata__" and str(entry.get("dtype")) not in _DTYPES:
            raise SnapshotError(
                f"array {name!r} has dtype {entry.get('dtype')!r}; expected one of {', '.join(_DTYPES)}.", "dtype"
            )
    parse: Any = deserialize  # untyped there
    found: Any
    try:
        found = parse(raw)
    except SafetensorError as error:
        raise SnapshotError(f"the container is not valid ({error}).", "shape") from error
    out: dict[str, NDArray[Any]] = {}
    for name, entry in sorted(found):
        _check_shape(name, entry["shape"])
        array: NDArray[Any] = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        _check_finite(name, array)
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        native.flags.writeable = False
        out[name] = native
    return out
