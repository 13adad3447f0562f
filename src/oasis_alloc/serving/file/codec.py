"""A policy's data as named arrays and strings, and back: what `docs/snapshot.md` calls the content.

Numbers that readers index or sum are arrays; names and small data are in two JSON documents of the header. A header
that does not encode back to itself is refused, so that nothing in it is ever ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.texts import pack, unpack
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.serving.data import (
    Certificate,
    ColumnCalibration,
    ConstraintPrices,
    Decrements,
    ItemKey,
    Known,
    PolicyData,
    PriceTerm,
    SlateRule,
)
from oasis_alloc.serving.schema import kind_of, shown

Arrays = dict[str, npt.NDArray[Any]]

_MAX_ITEMS = 2**31 - 1
_MAX_BARE = 1 << 25  # maximum number of items without ids and keys: readers allocate arrays of all items
_KINDS: dict[str, type[np.generic]] = {"int": np.int64, "float": np.float64, "bool": np.uint8}
_OLD = {"slot_weights": "positions", "size_by_user": "sizes", "at_least_by_user": "leasts"}  # names of schema 1
_CONTAINER = ("format", "schema", "checksum")  # what the container adds to a header
_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)


def encode(data: PolicyData) -> tuple[Arrays, dict[str, str]]:
    """(arrays, header) of a policy, for `container.write_arrays`.

    Raises `SnapshotError` for ids and labels that are not all integers, all strings, all floats or all booleans.
    """
    slate, named = data.slate, _slate_names(data.known is not None)
    if data.n_items > _MAX_BARE and not (data.item_keys or data.items is not None or data.rank is not None):
        raise SnapshotError(
            f"the policy has {data.n_items:,} items without ids and keys; expected at most {_MAX_BARE:,}. Number the "
            "items from 0, or give them ids.",
            "content",
        )
    arrays: Arrays = {"segments": data.segments}
    for name, prices in _priced(data):
        arrays |= {f"{name}/groups": prices.groups, f"{name}/price": prices.price}
    if data.items is not None:
        arrays |= _put_labels("items", data.items)
    for k, key in enumerate(data.item_keys.values()):
        arrays |= {f"item_keys/{k}/codes": key.codes, **_put_labels(f"item_keys/{k}/labels", key.labels)}
        if key.indptr is not None:
            arrays[f"item_keys/{k}/indptr"] = key.indptr
    for k, labels in enumerate(data.user_keys.values()):
        arrays |= _put_labels(f"user_keys/{k}/labels", labels)
    for k, decrements in enumerate(slate.diminishing.values()):
        arrays[f"slate/diminishing/{k}"] = decrements.steps
    for k, one in enumerate(data.calibration):
        arrays |= {f"calibration/{k}/codes": one.codes, f"calibration/{k}/x": one.x, f"calibration/{k}/y": one.y}
    optional: dict[str, npt.NDArray[Any] | None] = {
        "rank": data.rank,
        f"slate/{named['slot_weights']}": slate.slot_weights,
        f"slate/{named['size_by_user']}": slate.size_by_user,
        f"slate/{named['at_least_by_user']}": slate.at_least_by_user,
        "segment_of_user": None if data.segment_of_user is None else data.segment_of_user.astype(np.int32),
    }
    arrays |= {name: array for name, array in optional.items() if array is not None}
    return arrays, _header(data)


def decode(arrays: Mapping[str, npt.NDArray[Any]], header: Mapping[str, str]) -> PolicyData:
    """The policy in a snapshot's arrays and header; `SnapshotError` for anything else."""
    left = _Left(arrays)
    try:
        document = json.loads(header["policy"])
        data = _data(left, header, document, json.loads(header["certificate"])).check()
        if ("known" in document) == (header.get("schema") == "1"):
            raise InputError("known: expected in schema 2 and later only")
        if ("calibration" in document) != (header.get("schema") == "3"):
            raise InputError("calibration: expected in schema 3 only, and always there")
        again = _header(data)
    except SnapshotError:
        raise
    except _MALFORMED as error:
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise SnapshotError(f"the content is not a valid policy ({what}).", "content") from error
    if left.arrays:
        raise SnapshotError(f"unexpected array {min(left.arrays)!r}.", "shape")
    for name in sorted({*header, *again} - {*_CONTAINER}):
        if header.get(name) != again.get(name):
            raise SnapshotError(f"{name!r} in the header does not fit this schema.", "content")
    return data


def _priced(data: PolicyData) -> list[tuple[str, PriceTerm | ConstraintPrices]]:
    terms = [(f"terms/{k}", term) for k, term in enumerate(data.terms)]
    return [*terms, *((f"constraints/{k}", constraint) for k, constraint in enumerate(data.constraints))]


def _header(data: PolicyData) -> dict[str, str]:
    header = {"policy_id": data.policy_id, "created": repr(data.created)}
    if data.known is None:  # a file of schema 1, which must encode back to itself
        header["schema"] = "1"
    elif data.calibration:  # readers of schema 2 would serve scores that are not calibrated, so they must refuse it
        header["schema"] = "3"
    if data.valid_until is not None:
        header["valid_until"] = repr(data.valid_until)
    certificate = {name: _put_number(number) for name, number in vars(data.certificate).items()}
    return header | {"certificate": _text(certificate), "policy": _text(_document(data))}


def _text(document: dict[str, Any]) -> str:
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise SnapshotError(f"the policy has a value that JSON cannot represent ({error}).", "content") from error


def _document(data: PolicyData) -> dict[str, Any]:
    """Everything that is not an array; members come in this order."""
    slate, name = data.slate, _slate_names(data.known is not None)
    document: dict[str, Any] = {
        "columns": list(data.columns),
        "weights": [list(weight) for weight in data.weights],
        "organic": data.organic,
        "terms": [
            {"column": t.column, "keys": list(t.keys), "item_keys": list(t.item_keys), "user_keys": list(t.user_keys)}
            for t in data.terms
        ],
        "constraints": [
            {"name": c.name, "keys": list(c.keys), "terms": [list(term) for term in c.terms]} for c in data.constraints
        ],
        "n_items": data.n_items,
        "items": None if data.items is None else _kind("items", data.items),
        "rank": data.rank is not None,
        "item_keys": [
            {"name": name, "labels": _kind(name, key.labels), "several": key.indptr is not None}
            for name, key in data.item_keys.items()
        ],
        "user_keys": [{"name": name, "labels": _kind(name, labels)} for name, labels in data.user_keys.items()],
        "slate": {
            "size": slate.size,
            "at_least": slate.at_least,
            "at_most": [list(rule) for rule in slate.at_most.items()],
            "diminishing": [[key, decrements.slope] for key, decrements in slate.diminishing.items()],
            "keep": None if slate.keep is None else list(slate.keep),
            name["slot_weights"]: slate.slot_weights is not None,
            name["size_by_user"]: slate.size_by_user is not None,
            name["at_least_by_user"]: slate.at_least_by_user is not None,
        },
        "users": data.segment_of_user is not None,
        "exploration": None if data.exploration is None else dict(data.exploration),
    }
    if data.known is not None:
        document["known"] = {"user_keys": list(data.known.user_keys), "item_keys": list(data.known.item_keys)}
    if data.calibration:
        document["calibration"] = [{"column": one.column, "key": one.key} for one in data.calibration]
    return document


def _data(left: _Left, header: Mapping[str, str], of: Any, certificate: Any) -> PolicyData:
    """Data from the documents; a value of another type encodes differently, and is refused later."""
    rule, name = of["slate"], _slate_names("known" in of)
    terms = tuple(
        PriceTerm(
            _column(t["column"]), _names(t["keys"]), _names(t["item_keys"]), _names(t["user_keys"]),
            *left.priced(f"terms/{k}"),
        )
        for k, t in enumerate(of["terms"])
    )  # fmt: skip
    constraints = tuple(
        ConstraintPrices(
            str(c["name"]), _names(c["keys"]), *left.priced(f"constraints/{k}"),
            tuple((int(term), float(coefficient)) for term, coefficient in c["terms"]),
        )
        for k, c in enumerate(of["constraints"])
    )  # fmt: skip
    item_keys = {}
    for k, key in enumerate(of["item_keys"]):
        indptr = left.take(f"item_keys/{k}/indptr", np.int64) if key["several"] else None
        labels = left.labels(f"item_keys/{k}/labels", key["labels"])
        item_keys[str(key["name"])] = ItemKey(labels, left.take(f"item_keys/{k}/codes", np.int32), indptr)
    user_keys = {
        str(key["name"]): left.labels(f"user_keys/{k}/labels", key["labels"]) for k, key in enumerate(of["user_keys"])
    }
    slate = SlateRule(
        size=int(rule["size"]),
        at_least=int(rule["at_least"]),
        at_most={str(key): int(cap) for key, cap in rule["at_most"]},
        diminishing={
            str(key): Decrements(left.take(f"slate/diminishing/{k}", np.float64), float(slope))
            for k, (key, slope) in enumerate(rule["diminishing"])
        },
        keep=None if rule["keep"] is None else (str(rule["keep"][0]), float(rule["keep"][1])),
        slot_weights=left.optional(rule, name["slot_weights"], np.float64),
        size_by_user=left.optional(rule, name["size_by_user"], np.int64),
        at_least_by_user=left.optional(rule, name["at_least_by_user"], np.int64),
    )
    of_user = left.take("segment_of_user", np.int32) if of["users"] else None
    if of_user is not None and of_user.size and of_user.min() < 0:
        raise InputError("segment_of_user has numbers below 0")
    n_items = int(of["n_items"])
    has_arrays = of["items"] is not None or of["rank"] or of["item_keys"]  # of this length, or the check refuses them
    cap = _MAX_ITEMS if has_arrays else _MAX_BARE
    if not 0 <= n_items <= cap:
        raise InputError(f"n_items is {shown(n_items)}; expected 0 to {cap}")
    until = header.get("valid_until")
    return PolicyData(
        policy_id=header["policy_id"],
        created=float(header["created"]),
        valid_until=None if until is None else float(until),
        certificate=Certificate(**{name: _take_number(number) for name, number in certificate.items()}),
        columns=_names(of["columns"]),
        weights=tuple((_column(column), float(weight)) for column, weight in of["weights"]),
        terms=terms,
        constraints=constraints,
        n_items=n_items,
        items=None if of["items"] is None else left.labels("items", of["items"]),
        rank=left.take("rank", np.int64) if of["rank"] else None,
        item_keys=item_keys,
        user_keys=user_keys,
        segments=left.take("segments", np.int32),
        slate=slate,
        organic=str(of["organic"]),
        n_users=0 if of_user is None else of_user.size,
        segment_of_user=None if of_user is None else of_user.astype(np.uint32),
        exploration=None if of["exploration"] is None else dict(of["exploration"]),
        known=Known(_names(of["known"]["user_keys"]), _names(of["known"]["item_keys"])) if "known" in of else None,
        calibration=tuple(left.calibration(k, one) for k, one in enumerate(of.get("calibration", ()))),
    )


def _slate_names(is_current: bool) -> dict[str, str]:
    """The names of the arrays of a slate's rules in a file."""
    return {now: now if is_current else before for now, before in _OLD.items()}


def _names(names: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in names)


def _column(name: Any) -> str | None:
    return None if name is None else str(name)


def _kind(name: str, labels: Sequence[Any]) -> str:
    """ "int", "uint", "str", "float" or "bool": the common kind of the labels."""
    kind = kind_of(labels)
    if kind is not None:
        return kind
    found = ", ".join(sorted({type(label).__name__ for label in labels}))
    raise SnapshotError(
        f"{name!r} has ids or labels of type {found}; a snapshot keeps integers, strings, floats or booleans, all of "
        "one kind. Make them strings.",
        "content",
    )


def _put_labels(name: str, labels: Sequence[Any]) -> Arrays:
    kind = _kind(name, labels)
    if kind != "str":
        try:
            if kind == "uint":
                return {name: np.array(labels, np.uint64).view(np.int64)}
            return {name: np.array(labels, _KINDS[kind])}
        except OverflowError as error:
            raise SnapshotError(f"{name!r} has an integer that needs more than 64 bits.", "content") from error
    try:
        texts = [label.encode() for label in labels]
    except UnicodeEncodeError as error:
        raise SnapshotError(f"{name!r} has a string that is not valid Unicode ({error}).", "content") from error
    packed, ends = pack(texts)
    return {f"{name}/text": packed, f"{name}/ends": ends}


def _put_number(number: object) -> object:
    """A number of the certificate; JSON has no infinity."""
    return repr(number) if isinstance(number, float) and abs(number) == np.inf else number


def _take_number(number: object) -> Any:
    return float(number) if number in ("inf", "-inf") and isinstance(number, str) else number


class _Left:
    """Arrays that have not been read yet."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.arrays = dict(arrays)

    def take(self, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        if name not in self.arrays:
            raise SnapshotError(f"the array {name!r} is missing.", "shape")
        array = self.arrays.pop(name)
        if array.dtype != dtype:
            raise SnapshotError(f"the array {name!r} is {array.dtype}; expected {np.dtype(dtype)}.", "dtype")
        return array

    def optional(self, rule: Mapping[str, Any], name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
        return self.take(f"slate/{name}", dtype) if rule[name] else None

    def priced(self, name: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        groups, price = self.take(f"{name}/groups", np.int32), self.take(f"{name}/price", np.float64)
        if groups.ndim != 2 or price.shape != groups.shape[:1]:
            raise SnapshotError(f"{name!r}: groups of shape {groups.shape}, prices of {price.shape}.", "shape")
        return groups, price

    def calibration(self, k: int, of: Any) -> ColumnCalibration:
        name = f"calibration/{k}"
        codes, x = self.take(f"{name}/codes", np.int32), self.take(f"{name}/x", np.float64)
        return ColumnCalibration(str(of["column"]), _column(of["key"]), codes, x, self.take(f"{name}/y", np.float64))

    def labels(self, name: str, kind: str) -> tuple[Any, ...]:
        if kind != "str":
            values = self.take(name, np.int64 if kind == "uint" else _KINDS[kind])
            if values.ndim != 1 or (kind == "bool" and values.size and values.max() > 1):
                raise SnapshotError(f"the array {name!r} is not a list of labels.", "shape")
            if kind == "uint":
                values = values.view(np.uint64)
            return tuple(values.astype(bool).tolist() if kind == "bool" else values.tolist())
        text, ends = self.take(f"{name}/text", np.uint8), self.take(f"{name}/ends", np.int64)
        rises = ends.ndim == text.ndim == 1 and ends.size > 0 and ends[0] == 0 and ends[-1] == text.size
        if not rises or (np.diff(ends) < 0).any():
            raise SnapshotError(f"the ends of {name!r} do not rise from 0 to {text.size}.", "shape")
        return tuple(unpack(text, ends))
