"""The exceptions of the package, and the helper for missing optional packages.

    OasisAllocError(Exception)
      InputError(ValueError)               the data of candidates are invalid
      ProblemError(ValueError)             the statement of a problem is wrong
      SolverError(RuntimeError)            a solver failed (stopping early is a status, not an error)
        CertificateError                   a bound is below a value: a bug in this package
      SnapshotError(ValueError)            a snapshot is refused; `reason` says why in a word or two
      LedgerUnavailableError(ConnectionError)  the store of a ledger cannot be reached; go on, and send again later
      MissingDependencyError(ImportError)  an optional package is not installed
    CheckpointWarning(UserWarning)         a checkpoint could not be written; the solve goes on

The built-in base classes let code catch them without importing this package.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import ClassVar


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
    """A solver failed, or cannot do what was requested.

    >>> issubclass(SolverError, RuntimeError)
    True
    """


class CertificateError(SolverError):
    """A bound is below the value of an allocation by more than rounding, so one of the two is wrong.

    No answer is returned. `bound` and `value` say by how much.

    >>> issubclass(CertificateError, SolverError)
    True
    """

    def __init__(self, bound: float, value: float, solver: str = "dual") -> None:
        other = "solver='conic' solves problems of up to 2 million pairs in another way"
        if solver != "dual":
            other = "solver='dual' solves it in another way"
        super().__init__(
            f"the proven bound {bound!r} is below the value {value!r} of an allocation that keeps the constraints. One "
            "of them is wrong, which is a bug in oasis_alloc. Please report it with the file that `oasis-alloc doctor "
            "--problem problem.toml` writes (from Python: oasis_alloc.write_reproduction(problem, path)). Until it is "
            f"fixed, {other}."
        )
        self.solver = solver
        self.bound = bound
        self.value = value

    def __reduce__(self) -> tuple[type[CertificateError], tuple[float, float, str]]:
        return type(self), (self.bound, self.value, self.solver)


class SnapshotError(OasisAllocError, ValueError):
    """A snapshot is refused, or there is no policy to serve; `reason` is one of `SnapshotError.REASONS`.

    >>> SnapshotError("policy.oasis: 12 bytes are missing", "truncated").reason
    'truncated'
    """

    REASONS: ClassVar[tuple[str, ...]] = (
        "unreadable",  # no such file, no permission, a disk that fails
        "truncated",  # shorter than its own header says
        "not a snapshot",  # not a snapshot container, or not of a policy
        "newer schema",  # written by a later version
        "tampered",  # the bytes do not have the checksum
        "dtype",  # an array of the wrong type
        "shape",  # arrays that are missing, unexpected, or do not fit each other
        "not finite",  # NaN or infinity
        "content",  # anything else that makes a policy invalid
        "older",  # created before the active one
        "expired",  # valid until a time that has passed
        "in the future",  # created later than now, by more than a clock difference
        "rolled back",  # the host has rolled this policy back
        "another policy",  # an overlay made for a policy with another id
        "unsigned",  # a signature is required and there is no signature
        "unknown key",  # signed by a key that is not trusted
        "bad signature",  # the signature is not that of the key
        "another name",  # published for another surface
        "replayed",  # a manifest older than one that has been seen
        "no policy",  # nothing has been loaded yet, or there is no earlier policy to roll back to
    )

    def __init__(self, message: str, reason: str = "content") -> None:
        super().__init__(message)
        self.reason = reason


class LedgerUnavailableError(OasisAllocError, ConnectionError):
    """The store of a ledger cannot be reached, stays locked, or has failed.

    Whether the last batch was stored is unknown. Sending it again is safe. Serving can go on with what is known.

    >>> issubclass(LedgerUnavailableError, ConnectionError)
    True
    """


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written; the solve went on without it.

    It is also logged, by the logger `oasis_alloc.solve`, and never ends a solve, even if warnings are
    errors.

    >>> issubclass(CheckpointWarning, UserWarning)
    True
    """


class MissingDependencyError(OasisAllocError, ImportError):
    """An optional package is needed and not installed; the message says how to install it.

    >>> issubclass(MissingDependencyError, ImportError)
    True
    """


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or raise `MissingDependencyError` that says how to install it.

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
