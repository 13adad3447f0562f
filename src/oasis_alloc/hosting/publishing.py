"""Decisions of an operator about the policies of a snapshot file, from a service or from the command line."""

from __future__ import annotations

import os
from pathlib import Path

from oasis_alloc.common.files import write_whole
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.hosting.judging import Facts, judge
from oasis_alloc.hosting.state import State, StateFile
from oasis_alloc.publish.reading import has_manifest
from oasis_alloc.serving.file.codec import decode
from oasis_alloc.serving.file.container import from_bytes, path_text, read_file


def publish(source: str | os.PathLike[str], target: str | os.PathLike[str], now: float) -> Facts:
    """Replace a snapshot by another one, and let stores accept it even if it is older or was rolled back.

    Raises `SnapshotError` for a source that is not a policy, has expired or is from the future, and `OSError` if the
    target or its state cannot be written; the target is then unchanged.
    """
    raw, facts = read_facts(source)
    place = Path(target)
    if has_manifest(place):
        raise InputError(
            f"{place} is the manifest of published policies, which this would overwrite. Use oa.publish(policy, "
            f"{str(place.parent)!r}), or oasis-alloc rollback {place.parent}."
        )
    state_file = StateFile(place)
    state = state_file.read().allowing(facts.version)
    judge(facts, state.newest, state, now, place)
    state_file.write(state)
    if not place.exists() or not os.path.samefile(source, place):
        write_whole(place, raw)
    return facts


def refuse(target: str | os.PathLike[str], policy_id: str) -> State:
    """Make all stores of a snapshot file refuse a policy; stores that serve it return to the previous one."""
    state_file = StateFile(Path(target))
    state = state_file.read().banning(policy_id)
    state_file.write(state)
    return state


def read_facts(path: str | os.PathLike[str]) -> tuple[bytes, Facts]:
    """The bytes of a snapshot, verified, and its facts."""
    name = path_text(path)
    try:
        raw = read_file(path)
        data = decode(*from_bytes(raw))
    except SnapshotError as error:
        raise SnapshotError(f"{name}: {error}", error.reason) from error
    return raw, Facts(data.policy_id, data.created, data.valid_until)
