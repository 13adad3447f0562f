"""The exceptions of the package, and the two helpers that word them.

    OasisAllocError(Exception)
      InputError(ValueError)               the data of candidates are invalid
      ProblemError(ValueError)             the statement of a problem is wrong
      SolverError(RuntimeError)            a solver broke down; not: it stopped early (that is a status)
        CertificateError                   a bound came out below a value: a fault of this package
      SnapshotError(ValueError)            a snapshot is refused; `reason` says why in a word or two
      MissingDependencyError(ImportError)  an optional package is not installed
    CheckpointWarning(UserWarning)         a checkpoint could not be written; the solve goes on

The built-in bases let code that knows nothing of this package catch them too.
"""

from __future__ import annotations

import difflib
import importlib
import string
from collections.abc import Iterable
from types import ModuleType
from typing import Any, ClassVar

_SHOWN = 12
_MANY = 2_000  # names, above which not all of them are compared: each comparison takes 10 to 20 microseconds
_POOL = 100  # names that are compared then, for every beginning and end
_LONGEST = 80  # characters of a name


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


class CertificateError(SolverError):
    """A bound came out below the value of an allocation by more than rounding, so one of the two is wrong.

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
            "of them is wrong, which is a fault of oasis_alloc: please report it, with the file that `oasis-alloc "
            "doctor --problem problem.toml` writes (from Python: oasis_alloc.write_reproduction(problem, path)). Until "
            f"it is mended, {other}."
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
    near = _nearest(name, names)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(_cut(str(other)) for other in names[:_SHOWN])
    more = f", ... ({len(names):,} in all)" if len(names) > _SHOWN else ""
    return f"{hint} Known: {listed}{more}."


def _nearest(name: object, names: list[Any]) -> list[Any]:
    """The nearest of some names in a list, or none; of very many, the nearest of those that begin or end like it."""
    text = str(name)[:_LONGEST]
    if len(names) > _MANY:
        try:
            joined = "\n".join(["", *names, ""])
        except TypeError:
            return _spelled_alike(text, names)
        names = list(filter(_one_edit(text).__contains__, names)) or _like(text, joined)
    by_text = {str(other): other for other in names}
    return [by_text[near] for near in difflib.get_close_matches(text, list(by_text), n=1)]


def _spelled_alike(text: str, names: list[Any]) -> list[Any]:
    """Of many names that are no strings, the integer that is spelled like this: '7' for 7."""
    try:
        return [int(text)] if int(text) in names else []
    except ValueError:
        return []


def _one_edit(text: str) -> set[str]:
    """The texts that one letter left out, put in, changed or swapped with the next makes of this one."""
    letters = sorted({*text, *string.ascii_letters, *string.digits, *"_- ."})
    cuts = [(text[:k], text[k:]) for k in range(len(text) + 1)]
    out = {a + b[1:] for a, b in cuts if b} | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    return out | {a + letter + rest for a, b in cuts for letter in letters for rest in (b, b[1:])}


def _like(text: str, joined: str) -> list[str]:
    """Of very many names, one a line, a few hundred that share their longest beginnings or ends with a text.

    A search of one long string costs a few milliseconds where a loop over 300,000 names costs a second.
    """
    found: dict[str, None] = {}
    for size in sorted({max(1, len(text) * part // 8) for part in (7, 6, 4, 2)} if text else (), reverse=True):
        for part in (f"\n{text[:size]}", f"{text[-size:]}\n"):
            at, here = joined.find(part), 0
            while at >= 0 and here < _POOL:
                begin = joined.rfind("\n", 0, at + 1) + 1
                end = joined.find("\n", begin)
                found.setdefault(joined[begin:end])
                here += 1
                at = joined.find(part, max(end, at + 1))
        if len(found) >= _POOL:
            break
    return list(found)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


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
