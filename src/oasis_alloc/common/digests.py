"""The bytes that digests are of: the content of values, whatever process made them, and of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import IO, Any

import numpy as np
import scipy.sparse as sp

_BLOCK = 1 << 20  # bytes of a file that are read at a time
_PLAIN = (str, bytes, int, float, complex, slice, type(None), np.generic)


def content(part: Any, *, named: bool = False, left_out: tuple[str, ...] = ()) -> Iterator[bytes | memoryview]:
    """The content of arrays, sparse matrices, data classes, mappings, sequences and plain values, part by part.

    Equal values give equal bytes in every process. Types and lengths come before numbers, so different values do not
    run into the same bytes. With `named`, the names of classes count, and objects that are not data classes count by
    their public attributes. Fields of data classes in `left_out` do not count.

    >>> import hashlib
    >>> def digest(value):
    ...     return hashlib.sha256(b"".join(content(value))).hexdigest()[:8]
    >>> digest({"a": np.arange(3)}) == digest({"a": np.array([0, 1, 2])}), digest((1, 2)) == digest((12,))
    (True, False)
    """
    if isinstance(part, np.ndarray) and part.dtype != object:
        yield f"{part.dtype.str}{part.shape}".encode()
        yield np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
    elif isinstance(part, sp.csr_array):
        numbers = (part.indptr.astype(np.int64), part.indices.astype(np.int64), part.data)
        yield from content((part.shape, *numbers), named=named, left_out=left_out)
    elif is_dataclass(part):
        if named:
            yield type(part).__name__.encode()
        for field in fields(part):
            if field.name not in left_out:
                yield from content((field.name, getattr(part, field.name)), named=named, left_out=left_out)
    elif isinstance(part, Mapping):
        yield from content(tuple(part.items()), named=named, left_out=left_out)
    elif isinstance(part, (Sequence, np.ndarray)) and not isinstance(part, _PLAIN):
        yield f"({len(part)}".encode()
        for one in part:
            yield from content(one, named=named, left_out=left_out)
    elif named and hasattr(part, "__dict__") and not isinstance(part, _PLAIN):
        yield type(part).__name__.encode()
        public = {name: value for name, value in vars(part).items() if not name.startswith("_")}
        yield from content(public, named=named, left_out=left_out)
    else:
        yield f"{part!r};".encode()


def add_file(digest: Any, file: IO[bytes]) -> None:
    """Add the rest of an open file to a digest of hashlib, block by block.

    >>> import hashlib, io
    >>> digest = hashlib.sha256()
    >>> add_file(digest, io.BytesIO(b"text"))
    >>> digest.hexdigest() == hashlib.sha256(b"text").hexdigest()
    True
    """
    while block := file.read(_BLOCK):
        digest.update(block)
