"""What a statement takes from earlier answers: allocations to stay close to, and prices to start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.labels import all_same, same
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.results.saved import SavedSolution, load_solution
from oasis_alloc.serving.file.stored import StoredPolicy

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem

Prices = dict[str, dict[Any, float]]


class Last(NamedTuple):
    """What "last run" means in a file: a saved solution, or nothing in the first run; a name of a file elsewhere."""

    is_job: bool
    path: Path | None

    def is_meant(self, name: object) -> bool:
        """True if an entry means the last run of the job."""
        return self.is_job and name == "last run"


@dataclass(frozen=True)
class SavedAllocation:
    """The allocation of a file of `Solution.save`, in the form that `stay_close` and `churn` take."""

    problem: Any  # an object with `candidates`: the pairs that were shown
    status: Any
    pairs: Ints
    x: Floats
    path: str

    def raise_if_infeasible(self) -> None:
        """A saved solution has an allocation."""

    def __str__(self) -> str:
        return f"the solution in {self.path}"


def saved_allocation(path: Path | None, candidates: Candidates) -> SavedAllocation:
    """Read the allocation of an earlier solution; of `candidates` nothing, for None and where nothing was shown.

    Raises `InputError` for files that are not of `Solution.save`.
    """
    saved = None if path is None else load_solution(path)
    if path is None or saved is None or not saved.x.size:
        solved, where = SimpleNamespace(name="SOLVED"), "no run" if path is None else path.name
        return SavedAllocation(SimpleNamespace(candidates=candidates), solved, np.arange(0), np.zeros(0), where)
    users, user = _numbered(saved.user)
    items, item = _numbered(saved.item)
    order = np.lexsort((item, user))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(users)))])
    x = saved.x[order]
    then = Candidates.from_arrays(indptr, item[order], {"x": x}, user_ids=users, item_ids=items, n_items=len(items))
    status = SimpleNamespace(name=saved.document["status"])
    return SavedAllocation(SimpleNamespace(candidates=then), status, np.arange(x.size), x, path.name)


def prices_to_start_from(path: Path, problem: Problem) -> Prices:
    """Prices by constraint and label, of a saved solution or of a policy; those that the problem has are kept."""
    try:
        found: Mapping[str, Mapping[Any, float]] = load_solution(path).prices
    except InputError as error:
        try:
            data = StoredPolicy.load(path).data
        except SnapshotError:
            raise InputError(
                f"{path}: {error} It is not a snapshot of a policy either; expected one of the two."
            ) from error
        found = {
            one.name: {data.label(one.keys, codes): float(p) for codes, p in zip(one.groups, one.price, strict=True)}
            for one in data.constraints
        }
    out: Prices = {}
    for name in problem.names:
        labels = {same(label) for label in problem.labels(name)}
        kept = {label: price for label, price in found.get(name, {}).items() if same(label) in labels}
        if kept:
            out[name] = kept
    return out


def churn_of(saved: SavedSolution | SavedAllocation, candidates: Candidates, pairs: Ints, x: Floats) -> float:
    """Share of the slots of an allocation that the saved one did not have, as `Solution.churn`."""
    from oasis_alloc.statement.stay_close import Earlier

    return Earlier.of(saved, "churn").churn(candidates, pairs, x)


def _numbered(ids: Any) -> tuple[Any, Ints]:
    """(distinct ids, the number of each)."""
    number: dict[Any, int] = {}
    numbers = np.fromiter((number.setdefault(one, len(number)) for one in all_same(ids)), np.int64, len(ids))
    first = np.full(len(number), -1)
    first[numbers[::-1]] = np.arange(len(ids))[::-1]
    return ids[first], numbers
