"""Many texts in two arrays: their bytes one after the other, and where each begins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def pack(texts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(bytes, ends) of encoded texts: text k is the bytes from `ends[k]` to before `ends[k + 1]`.

    >>> pack([b"ab", b"", b"c"])[1].tolist()
    [0, 2, 2, 3]
    """
    ends = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=ends[1:])
    return np.frombuffer(b"".join(texts), np.uint8), ends


def unpack(packed: NDArray[np.uint8], ends: NDArray[np.int64], errors: str = "strict") -> list[str]:
    """The texts that `pack` was given, as UTF-8; `errors` is as for `bytes.decode`.

    >>> unpack(*pack([b"ab", b"", b"c"]))
    ['ab', '', 'c']
    """
    raw, cuts = packed.tobytes(), ends.tolist()
    if raw.isascii():  # one byte per character
        whole = raw.decode()
        return [whole[a:b] for a, b in pairwise(cuts)]
    return [raw[a:b].decode("utf-8", errors) for a, b in pairwise(cuts)]
