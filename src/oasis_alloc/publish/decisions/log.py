"""The decision log of a service: a bounded queue, and a thread that writes Parquet files."""

from __future__ import annotations

import atexit
import logging
import math
import os
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.environment import variable_in
from oasis_alloc.common.labels import shown
from oasis_alloc.common.remote_path import as_place, replacing_at
from oasis_alloc.errors import InputError, require
from oasis_alloc.publish.decisions.packed import Packer, tail_of
from oasis_alloc.publish.decisions.schema import is_sampled
from oasis_alloc.publish.decisions.tables import Block

if TYPE_CHECKING:
    from oasis_alloc.common.types import LabelsLike
    from oasis_alloc.policy import Policy

_log = logging.getLogger("oasis_alloc.decisions")
_LOOKS = 0.2  # seconds between two looks of the thread at the queue
_QUIET = 30.0  # seconds between two messages about the disk
_REPEATED = ["policy_id", "mode", "organic", "labels", "columns.key_value.key"]
_STARTING = threading.Lock()
_LOGS: weakref.WeakSet[DecisionLog] = weakref.WeakSet()


@suggesting
class DecisionLog:
    """Writes the decisions of a service to Parquet files, without slowing the service.

    `record` puts a decision into a queue; a thread writes a file once there are `rows` decisions, or every `seconds`. A
    file appears when it is complete. If the queue is full, a decision is dropped and counted. A clean stop (`close`, or
    the end of the process) loses nothing; a killed process loses what it had not written, which is less than a file if
    the disk keeps up.

    Parameters
    ----------
    folder
        A folder for the files; it is made by the first one. Several processes may share it.
    rate
        Share of requests to log, from 0 to 1, chosen by the id of the request: docs/decision-logs.md has the rule.
    rows, seconds
        Decisions of a file, and seconds after which a file is written with fewer.
    queue
        Maximum number of decisions that wait; at least `rows`.
    secret
        A key for the hashes of user ids, "env:NAME" for a variable of the environment. None logs no users.

    Raises
    ------
    InputError
        For an option that is out of range, and a variable that does not exist.
    MissingDependencyError
        Without pyarrow.
    SolverError
        If kernels do not run because `NUMBA_DISABLE_JIT` is set: one of them cuts decisions into columns.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with oa.DecisionLog(folder) as log:
    ...         kept = log.record("r1", policy, [0, 1], {"r": [0.9, 0.5]}, policy.select([0, 1], {"r": [0.9, 0.5]}))
    ...     (decision,) = oa.read_decisions(folder)
    >>> kept, decision.request, decision.shown
    (True, 'r1', [0])
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        rate: float = 1.0,
        rows: int = 10_000,
        seconds: float = 30.0,
        queue: int = 100_000,
        secret: str | None = None,
    ) -> None:
        require("pyarrow", "parquet")
        if not isinstance(folder, (str, os.PathLike)):
            raise InputError(f"DecisionLog({shown(folder)}): expected the path of a folder.")
        share, most = as_real(rate), as_whole(rows)
        if share is None or not 0 <= share <= 1:
            raise InputError(f"DecisionLog(rate={shown(rate)}): expected a share from 0 to 1.")
        if most is None or most < 1:
            raise InputError(f"DecisionLog(rows={shown(rows)}): expected a whole number of decisions, 1 or more.")
        period, room = as_real(seconds), as_whole(queue)
        if period is None or not 0 < period < math.inf:
            raise InputError(f"DecisionLog(seconds={shown(seconds)}): expected a number above 0.")
        if room is None or room < most:
            raise InputError(f"DecisionLog(queue={shown(queue)}): expected a whole number, at least rows, {most:,}.")
        self._folder, self._rate, self._rows, self._seconds, self._room = as_place(folder), share, most, period, room
        self._secret = None if secret is None else _secret_of(secret)
        Block(deque(), 0).table(None, 1.0, _yield)  # compiles: in the thread, requests would wait for it
        self._start()
        _LOGS.add(self)
        atexit.register(_close, weakref.ref(self))

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a DecisionLog ({self._folder}) belongs to one process: it has a thread. Make one in each.")

    def __enter__(self) -> DecisionLog:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def record(
        self,
        request: str,
        policy: Policy,
        items: LabelsLike,
        columns: Mapping[str, ArrayLike],
        slate: Sequence[int] | np.ndarray[Any, Any],
        *,
        user: str | int | None = None,
        labels: Mapping[str, Any] | None = None,
        scores: np.ndarray[Any, Any] | None = None,
        propensities: np.ndarray[Any, Any] | None = None,
        mode: str = "fresh",
        k: int | None = None,
        pinned: Sequence[int] = (),
        excluded: Mapping[int, str] | None = None,
        at: float | None = None,
    ) -> bool:
        """Log one decision; True if it is in the queue, False if it is not sampled, was dropped or has a wrong form.

        Arrays are copied, so buffers of the caller may be used again. A decision that cannot be written is counted as
        `failed`, with a message in the log; whether positions are too large is found when it is written.

        Parameters
        ----------
        request
            The id of the request.
        policy, mode
            What decided: the policy, and the mode of the store's decision.
        items
            Ids of the candidates: texts, or whole numbers.
        columns, labels, user
            The columns of the request, `{key: label}` of the user, and the user's id, of which a hash is logged.
        slate, scores, propensities
            Positions in `items`, best first; priced scores of all candidates; the probability of each item of the
            slate.
        k, pinned, excluded
            Arguments of `select`; `excluded` is `{position: reason}`.
        at
            UNIX seconds; None for now.
        """
        try:
            is_logged = self._rate >= 1.0 or is_sampled(request, self._rate)
        except Exception as error:  # an id that is not a text
            self._complain(1, error)
            return False
        if not is_logged:
            self._unsampled += 1
            return False
        if self._thread is None:
            self._start_again()
        queue = self._queue
        if len(queue) >= self._room or self._closed:
            self._dropped += 1
            return False
        try:
            data = policy.data
            tail = b""
            if not (user is None and scores is None and propensities is None and not len(pinned) and not excluded):
                tail = tail_of(user, scores, propensities, pinned, excluded)
            now = time.time() if at is None else at
            queue.append(
                self._packer.pack(
                    request, now, data.policy_id, data.organic, mode, labels, items, columns, slate, k, tail
                )
            )
        except Exception as error:  # a decision of another form: the service goes on
            self._complain(1, error)
            return False
        self._recorded += 1
        return True

    def stats(self) -> dict[str, int]:
        """Counts of this process: `recorded`, `written`, `waiting`, `dropped`, `unsampled`, `failed`, `files`."""
        return {
            "recorded": self._recorded, "written": self._written, "waiting": len(self._queue),
            "dropped": self._dropped, "unsampled": self._unsampled, "failed": self._failed, "files": self._files,
        }  # fmt: skip

    def flush(self) -> None:
        """Write all decisions that wait, now."""
        if self._process != os.getpid():  # they are the parent's
            return
        with self._writing:
            while self._queue:
                self._write()

    def close(self) -> None:
        """Write what waits, and end the thread; later decisions are dropped and counted."""
        self._closed = True
        if self._process != os.getpid():
            return
        self._ended.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        self.flush()

    def _start(self) -> None:
        """Begin with nothing, in this process: a child of a fork has copies of what its parent writes."""
        self._process, self._closed = os.getpid(), False
        self._queue: deque[bytes] = deque()
        self._packer = Packer()
        self._recorded = self._written = self._dropped = self._unsampled = self._failed = self._files = 0
        self._writing, self._ended, self._complained = threading.Lock(), threading.Event(), -math.inf
        self._thread: threading.Thread | None = threading.Thread(
            target=_watch, args=(weakref.ref(self), self._ended), name="oasis_alloc decisions", daemon=True
        )
        self._thread.start()
        self._last = time.monotonic()

    def _start_again(self) -> None:
        """In a child of a fork: begin once, whichever thread is first."""
        with _STARTING:
            if self._thread is None:
                self._start()

    def _look(self) -> None:
        """Write a file if it is time."""
        due = time.monotonic() - self._last >= self._seconds
        if len(self._queue) >= self._rows or (due and self._queue):
            with self._writing:
                while len(self._queue) >= self._rows or (due and self._queue):
                    self._write()
                    due = False

    def _write(self) -> None:
        """Write the oldest decisions to one file."""
        self._last = time.monotonic()
        block = Block(self._queue, self._rows)
        errors: list[Exception] = []
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{secrets.token_hex(4)}.parquet"
        try:
            table, errors = block.table(self._secret, self._rate, _yield)
            if errors:  # decisions that have another form
                self._complain(len(errors), errors[0])
            if not len(table):
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing_at(self._folder / name) as beside:
                require("pyarrow.parquet", "parquet").write_table(
                    table, beside, compression="zstd", compression_level=1, use_dictionary=_REPEATED
                )
        except Exception as error:  # a full disk: the service goes on
            self._complain(block.count - len(errors), error)
            return
        self._written += len(table)
        self._files += 1

    def _complain(self, count: int, error: Exception) -> None:
        self._failed += count
        if time.monotonic() - self._complained > _QUIET:
            self._complained = time.monotonic()
            _log.error("%d decisions cannot be written to %s: %s", count, self._folder, error)


def _yield() -> None:
    """Let other threads have the interpreter: requests that came while a slice was converted."""
    time.sleep(0)


def _forked() -> None:
    """In a child of a fork, no log has a thread, and what waits is the parent's."""
    global _STARTING
    _STARTING = threading.Lock()
    for log in _LOGS:
        log._thread = None


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_forked)


def _secret_of(secret: object) -> bytes:
    if not isinstance(secret, str) or not secret:
        raise InputError("DecisionLog(secret=...): expected a text, or 'env:NAME' for a variable of the environment.")
    variable = variable_in(secret)
    if variable is None:
        return secret.encode()
    if not os.environ.get(variable):
        raise InputError(f"DecisionLog(secret={secret!r}): the environment has no variable {variable!r}.")
    return os.environ[variable].encode()


def _watch(of: weakref.ref[DecisionLog], ended: threading.Event) -> None:
    while not ended.wait(_LOOKS):
        log = of()
        if log is None:
            return
        log._look()
        del log


def _close(of: weakref.ref[DecisionLog]) -> None:
    log = of()
    if log is not None and not log._closed:
        log.close()
