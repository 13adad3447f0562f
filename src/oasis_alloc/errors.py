"""The exceptions of the package, and the two helpers that word them.

    OasisAllocError(Exception)
      InputError(ValueError)               the data of candidates are invalid
      ProblemError(ValueError)             the statement of a problem is wrong
      SolverError(RuntimeError)            a solver broke down; not: it stopped early (that is a status)
      SnapshotError(ValueError)            a snapshot is refused; `reason` says why in a word or two
      MissingDependencyError(ImportError)  an optional package is not installed
    CheckpointWarning(UserWarning)         a checkpoint could not be written; the solve goes on

The built-in bases let code that knows nothing of this package catch them too.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import ClassVar

_SHOWN = 12


class OasisAllocError(Exception):
    """Any error that this package raises on purpose.

    >>> issubclass(InputError, OasisAllocError) and issubclass(InputError, ValueError)
    True
    """


class InputError(OasisAllocError, ValueError):
    """The data of candidates are invalid: lengths, NaN, numbers out of range, duplicates, unknown ids.

    >>> import oasis_alloc.errors as errors
    >>> try:
    ...     raise errors.InputError("column 'relevance': row 3 is nan")
    ... except ValueError as error:
    ...     print(error)
    column 'relevance': row 3 is nan
    """


class ProblemError(OasisAllocError, ValueError):
    """The statement of a problem is wrong: an unknown column or key, a floor above its cap, not concave.

    >>> issubclass(ProblemError, ValueError)
    True
    """


class SolverError(OasisAllocError, RuntimeError):
    """A solver broke down, or was asked for something that it cannot do.

    >>> issubclass(SolverError, RuntimeError)
    True
    """


class SnapshotError(OasisAllocError, ValueError):
    """A snapshot is refused, or there is no policy to serve; `reason` is one of `SnapshotError.REASONS`.

    >>> SnapshotError("policy.oasis: 12 bytes are missing", "truncated").reason
    'truncated'
    """

    REASONS: ClassVar[tuple[str, ...]] = (
        "unreadable",  # no such file, no permission, a disk that fails
        "truncated",  # shorter than its own header says
        "not a snapshot",  # not in the container, or of something else than a policy
        "newer schema",  # written by a later version
        "tampered",  # the checksum is of other bytes
        "dtype",  # an array of a type that does not belong there
        "shape",  # arrays that are missing, too many, or do not fit each other
        "not finite",  # NaN or infinity
        "content",  # anything else that a policy cannot be
        "older",  # created before the active one
        "expired",  # valid until a time that has passed
        "in the future",  # created later than now, by more than clocks differ
        "rolled back",  # the host has rolled this policy back
        "no policy",  # nothing has been loaded yet, or nothing is kept to roll back to
    )

    def __init__(self, message: str, reason: str = "content") -> None:
        super().__init__(message)
        self.reason = reason


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written; the solve has gone on without.

    It is also logged, by the logger `oasis_alloc`, and is never raised out of a solve, even where warnings are errors.

    >>> issubclass(CheckpointWarning, UserWarning)
    True
    """


class MissingDependencyError(OasisAllocError, ImportError):
    """An optional package is needed and not installed; the message has the line that installs it.

    >>> issubclass(MissingDependencyError, ImportError)
    True
    """


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, and what is known.

    The text starts with a space, so that it can follow a full stop.

    >>> did_you_mean("relevence", ["relevance", "promotion"])
    " Did you mean 'relevance'? Known: relevance, promotion."
    >>> did_you_mean("zzz", ["relevance"])
    ' Known: relevance.'
    >>> did_you_mean("zzz", [])
    ' None are known.'
    """
    names = list(known)
    if not names:
        return " None are known."
    by_text = {str(other): other for other in names}
    near = difflib.get_close_matches(str(name), list(by_text), n=1)
    hint = f" Did you mean {by_text[near[0]]!r}?" if near else ""
    listed = ", ".join(str(other) for other in names[:_SHOWN])
    more = f", ... ({len(names):,} in all)" if len(names) > _SHOWN else ""
    return f"{hint} Known: {listed}{more}."


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or raise `MissingDependencyError` with the line that installs it.

    >>> require("json", "plot").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"{package} is needed here and cannot be imported ({error}). "
            f'Install it, or all of the extra: pip install ".[{extra}]" in a checkout of oasis_alloc.'
        ) from error
