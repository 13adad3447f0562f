"""Songs that are opted in or out of a promotion: the same candidates, of which some items change their campaign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.labels import all_same, as_listed, same, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.common.text_tables import number
from oasis_alloc.data.attributes import Given, Keys
from oasis_alloc.data.by_group import Labels, place_of
from oasis_alloc.data.keys import Key
from oasis_alloc.errors import ProblemError


def opted(
    candidates: Candidates, opt_in: object, opt_out: object, by: str, promotion: str | None
) -> tuple[Candidates, list[str]]:
    """The candidates after items have joined or left campaigns, and a sentence per kind of change.

    An item that is opted out stays a candidate, without a campaign and with 0 in the column of promotion. One that is
    opted in gets the campaign, and in the column the mean of what the campaign's items have. A calibrated column gets
    these numbers as scores.
    """
    joining, leaving = _joining(candidates, opt_in), _leaving(candidates, opt_out)
    if not joining and not leaving:
        return candidates, []
    key = candidates.items.get(by)
    if not isinstance(key, Key):
        what = "has several labels per item" if key is not None else "is not a key of the items"
        raise ProblemError(f"what_if(by={by!r}): it {what}.{did_you_mean(by, candidates.items)}")
    if candidates.stream is not None:
        raise ProblemError("what_if(opt_in=..., opt_out=...): the candidates are in files; expected them in memory.")
    if promotion is not None and promotion not in candidates.columns:
        raise ProblemError(f"what_if(promotion={promotion!r}): no such column.{candidates.no_column(promotion)}")
    labels = Labels(key.labels.tolist())
    codes = key.codes.copy()
    for item, label in joining.items():
        codes[item] = place_of(label, labels.places, labels, f"what_if(opt_in=...): {by}")
        if item in leaving:
            raise ProblemError(f"what_if: item {_id(candidates, item)} is opted in and out; expected one of the two.")
    for item in leaving:
        if key.codes[item] < 0:
            raise ProblemError(
                f"what_if(opt_out=...): item {_id(candidates, item)} has no {by}, so it is not opted in."
            )
        codes[item] = -1
    columns, said = dict(candidates.request_columns), []
    if promotion is not None:
        columns[promotion], mean = _promoted(candidates, key, codes, promotion, list(joining), leaving)
    if leaving:
        said.append(f"{len(leaving):,} items are opted out of their {by}" + (f", {promotion} 0" if promotion else ""))
    if joining:
        worth = f", {promotion} {number(mean, 4)} on average" if promotion is not None else ""
        said.append(f"{len(joining):,} items are opted in to a {by}{worth}")
    return _with_item_key(candidates, Key(by, readonly(codes), key.labels), columns), said


def _promoted(
    candidates: Candidates, key: Key, codes: npt.NDArray[np.int32], name: str, joining: list[int], leaving: list[int]
) -> tuple[npt.NDArray[Any], float]:
    """The column of promotion with its new numbers, and the mean of those that joined."""
    column = np.array(candidates.request_columns[name])
    item = np.asarray(candidates.item)
    of_pair = key.codes[item]
    known = of_pair >= 0
    count = np.bincount(of_pair[known], minlength=key.n_groups)
    mean = np.bincount(of_pair[known], column[known], key.n_groups) / np.maximum(count, 1)
    is_leaving, is_joining = np.zeros((2, candidates.n_items), np.bool_)
    is_leaving[leaving], is_joining[joining] = True, True
    column[is_leaving[item]] = 0.0
    at = np.flatnonzero(is_joining[item])
    column[at] = mean[codes[item[at]]]
    return readonly(column), float(column[at].mean()) if at.size else 0.0


def _with_item_key(candidates: Candidates, key: Key, columns: Mapping[str, npt.NDArray[Any]]) -> Candidates:
    """The candidates with another key of the items and other columns; groups of other keys are shared."""
    given = {name: Given(()) for name in candidates.items}
    items: Keys[Any] = Keys(given, "items", candidates.n_items)
    items._made |= {name: candidates.items[name] for name in candidates.items if name != key.name}
    items._made[key.name] = key
    made = replace(candidates, items=items, columns=FrozenMapping(columns), calibration={}, _scores={})
    if candidates.calibration:  # of the scores, which requests bring, and of the items' new labels
        made = made.calibrated(candidates.calibration)
    made._groupings.update({by: one for by, one in candidates._groupings.items() if key.name not in by})
    return made


def _joining(candidates: Candidates, given: object) -> dict[int, Any]:
    """{item number: label} of the items that are opted in."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ProblemError(f"what_if(opt_in={shown(given)}): expected {{item: label of its campaign}}.")
    numbers = _numbers(candidates, given, "opt_in")
    return dict(zip(numbers, given.values(), strict=True))


def _leaving(candidates: Candidates, given: object) -> list[int]:
    """Numbers of the items that are opted out."""
    if given is None:
        return []
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ProblemError(f"what_if(opt_out={shown(given)}): expected a list of items, by their ids.")
    return _numbers(candidates, as_listed(given) if not isinstance(given, (set, frozenset)) else list(given), "opt_out")


def _numbers(candidates: Candidates, ids: Iterable[Any], what: str) -> list[int]:
    wanted = [same(one) for one in ids]
    known = range(candidates.n_items) if candidates.item_ids is None else as_listed(candidates.item_ids)
    place = {one: k for k, one in enumerate(known if isinstance(known, range) else all_same(known))}
    out = []
    for one in wanted:
        if one not in place:
            hint = did_you_mean(one, list(known)) if candidates.item_ids is not None else ""
            raise ProblemError(f"what_if({what}=...): there is no item {one!r} among the candidates.{hint}")
        out.append(place[one])
    if len(set(out)) < len(out):
        raise ProblemError(f"what_if({what}=...): an item is named twice; expected each once.")
    return out


def _id(candidates: Candidates, item: int) -> str:
    return shown(item if candidates.item_ids is None else as_listed(candidates.item_ids)[item])
