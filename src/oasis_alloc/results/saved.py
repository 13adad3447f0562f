"""A solution as one file: allocation, prices, certificate and the statement as text; verified when read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import objects, readonly
from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.remote_path import name_of
from oasis_alloc.common.tensors import Tensors, read_named, write_tensors
from oasis_alloc.common.texts import pack, unpack
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.results.answer import Answer
from oasis_alloc.results.documents import document_of
from oasis_alloc.statement.stated import Writer, read

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem

_KIND = "oasis_alloc solution 1"
_ROWS = ("prices", "totals")


@dataclass(frozen=True, eq=False, repr=False)
class SavedSolution(ByFields):
    """A solution read from a file of `Solution.save`, without its candidates and its problem.

    Attributes
    ----------
    user, item, x
        The non-zeros of the allocation: ids of users and items (numbers if there were no ids), and probabilities.
    user_name, item_name
        Names of the id columns.
    prices, totals
        `{name: {label: number}}`, as `Solution.prices_by_label`; `solve(start=saved.prices)` starts from them.
    document
        The result of `Solution.to_dict`: certificate, statement, groups.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).save(f"{folder}/monday.solution")
    ...     saved = oa.load_solution(f"{folder}/monday.solution")
    >>> saved.item.tolist(), saved.x.tolist()
    ([0], [1.0])
    """

    user: NDArray[Any]
    item: NDArray[Any]
    x: Floats
    user_name: str
    item_name: str
    prices: Mapping[str, Mapping[Any, float]]
    totals: Mapping[str, Mapping[Any, float]]
    document: Mapping[str, Any]

    @property
    def statement(self) -> str:
        """The problem as text."""
        return str(self.document["statement"])

    def to_dict(self) -> dict[str, Any]:
        """As `Solution.to_dict` of the solution that was saved."""
        return dict(self.document)

    def to_frame(self, backend: str = "pandas") -> Any:
        """The allocation as a frame ("pandas", "polars", "pyarrow") of ids and a column `x`, as `Solution.to_frame`."""
        from oasis_alloc.data.frames import table

        name = answer_names(["x"], (self.user_name, self.item_name))["x"]
        return table({self.user_name: self.user, self.item_name: self.item, name: self.x}, backend)

    def __repr__(self) -> str:
        about = self.document
        return f"SavedSolution({about['status']}, value={about['value']}, {self.x.size:,} pairs shown)"


def save(answer: Answer, path: str | os.PathLike[str]) -> None:
    """See `Solution.save`."""
    problem, candidates = answer.problem, answer.problem.candidates
    writer = Writer(lambda _by, label: label, _no_plan)
    labels = {name: writer.write(list(problem.labels(name))) for name in answer.prices}
    user = candidates.user_of(answer.pairs)
    item = candidates.item[answer.pairs].astype(np.int64)
    tensors: Tensors = {"x": np.asarray(answer.x, np.float64), **writer.tensors}
    ids: dict[str, Any] = {}
    for side, numbers, known in (("user", user, candidates.user_ids), ("item", item, candidates.item_ids)):
        tensors |= _put(side, numbers if known is None else known[numbers], writer, ids)
    for what in _ROWS:
        for k, name in enumerate(answer.prices):
            tensors[f"{what}/{k}"] = np.asarray(getattr(answer, what)[name], np.float64)
    about = {
        "document": json.dumps(document_of(answer), allow_nan=False),
        "names": json.dumps([candidates.user_name, candidates.item_name]),
        "labels": json.dumps(labels),
        "ids": json.dumps(ids),
    }
    write_tensors(path, _KIND, tensors, about)


def check_labels(problem: Problem) -> None:
    """Raise `InputError` for labels of constraints and ids that no file of `save` can have, such as bytes."""
    candidates = problem.candidates
    groups = [(f"labels of {name}", problem.labels(name)) for name in problem.names]
    parts = [part for what, labels in groups for part in _parts(what, labels)]
    for side, ids in ((candidates.user_name, candidates.user_ids), (candidates.item_name, candidates.item_ids)):
        parts += [(f"ids of {side}", ids.tolist())] if ids is not None and ids.dtype.kind not in "iufb" else []
    for what, values in parts:
        for value in {type(value): value for value in values}.values():
            try:
                Writer(lambda _by, label: label, _no_plan).write(value)
            except InputError as error:
                raise InputError(f"{what}: {error}") from error


def _parts(what: str, labels: Sequence[Any]) -> list[tuple[str, Sequence[Any]]]:
    """Labels key by key: those of several keys are tuples."""
    is_several = bool(labels) and isinstance(labels[0], tuple)
    return [(what, of_key) for of_key in zip(*labels, strict=True)] if is_several else [(what, labels)]


@suggesting
def load_solution(path: str | os.PathLike[str]) -> SavedSolution:
    """Read a file of `Solution.save`; everything is verified, and no code in it is run.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    SavedSolution
        Allocation, prices, totals and certificate, without the problem.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged, or is another kind of file.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
    >>> caps = (oa.exposure(by="song") <= 0.5).named("caps")
    >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     solution.save(f"{folder}/monday.solution")
    ...     saved = oa.load_solution(f"{folder}/monday.solution")
    >>> saved.x.tolist(), saved.totals
    ([0.5, 0.5], {'caps': {'a': 0.5, 'b': 0.5}})
    """
    tensors, about = read_named(path, _KIND)
    try:
        return _made(tensors, about)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise InputError(f"{name_of(path)} does not hold a solution ({type(error).__name__}: {error}).") from error


def _made(tensors: Tensors, about: Mapping[str, str]) -> SavedSolution:
    labels = {name: read(given, tensors, _no_plan) for name, given in json.loads(about["labels"]).items()}
    kinds = json.loads(about["ids"])
    rows = {
        what: {
            name: dict(zip(of, tensors[f"{what}/{k}"].tolist(), strict=True))
            for k, (name, of) in enumerate(labels.items())
        }
        for what in _ROWS
    }
    names = json.loads(about["names"])
    return SavedSolution(
        user=_take("user", tensors, kinds),
        item=_take("item", tensors, kinds),
        x=readonly(tensors["x"]),
        user_name=str(names[0]),
        item_name=str(names[1]),
        document=json.loads(about["document"]),
        **rows,
    )


def _put(side: str, ids: NDArray[Any], writer: Writer, kinds: dict[str, Any]) -> Tensors:
    """Ids as arrays: numbers as they are, texts as UTF-8 with the end of each, anything else as labels in JSON."""
    if ids.dtype.kind in "iufb":
        return {side: ids}
    values = ids.tolist()
    if all(type(value) is str for value in values):
        kinds[side] = "text"
        packed, ends = pack([value.encode("utf-8", "surrogatepass") for value in values])
        return {side: packed, f"{side}/ends": ends[1:]}
    kinds[side] = writer.write(values)
    return {}


def _take(side: str, tensors: Tensors, kinds: Mapping[str, Any]) -> NDArray[Any]:
    kind = kinds.get(side)
    if kind is None:
        return readonly(tensors[side])
    if kind == "text":
        return objects(unpack(tensors[side], np.append(0, tensors[f"{side}/ends"]), "surrogatepass"))
    return objects(read(kind, tensors, _no_plan))


def _no_plan(*_of: Any) -> NoReturn:
    raise ValueError("a plan cannot be a label")
