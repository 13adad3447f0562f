"""`oasis-alloc store`: shows a snapshot file, and decides which of its policies stores may serve."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command to those of `oasis-alloc`."""
    parser = commands.add_parser("store", help="show a policy's snapshot, publish an older one again, or refuse one")
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    show = actions.add_parser("show", help="what a snapshot is, and what has been decided about its policies")
    show.add_argument("snapshot", type=Path, metavar="SNAPSHOT")
    publish = actions.add_parser(
        "publish", help="make a file the snapshot that stores serve, even if it is older or was rolled back"
    )
    publish.add_argument("file", type=Path, metavar="FILE")
    publish.add_argument("snapshot", type=Path, metavar="SNAPSHOT", help="the file that the stores watch")
    refuse = actions.add_parser(
        "refuse", help="never serve a policy again: stores return to the previous one at their next check"
    )
    refuse.add_argument("snapshot", type=Path, metavar="SNAPSHOT")
    refuse.add_argument("policy_id", nargs="?", metavar="ID", help="its policy_id (default: that of the snapshot)")


def store(arguments: argparse.Namespace) -> int:
    """Do one of the actions."""
    from oasis_alloc.commands.terminal import NOT_WRITTEN, say, warn
    from oasis_alloc.common.labels import shown
    from oasis_alloc.errors import InputError
    from oasis_alloc.hosting.publishing import publish, read_facts, refuse
    from oasis_alloc.publish.reading import snapshot_of
    from oasis_alloc.serving.check import is_policy_id

    try:
        if arguments.action == "publish":
            facts = publish(arguments.file, arguments.snapshot, time.time())
            text = f"policy {facts.policy_id} is published as {arguments.snapshot}"
        elif arguments.action == "refuse":
            policy_id = arguments.policy_id
            if policy_id is None:
                policy_id = read_facts(snapshot_of(arguments.snapshot))[1].policy_id
            if not is_policy_id(policy_id):
                raise InputError(f"ID is {shown(policy_id)}; expected 1 to 200 printable characters.")
            if policy_id not in _known(arguments.snapshot):
                warn(
                    f"oasis-alloc: neither {arguments.snapshot} nor its history has a policy {policy_id!r}. It will "
                    "be refused if it is published later. `oasis-alloc store show` lists the known policies."
                )
            refuse(arguments.snapshot, policy_id)
            text = f"policy {policy_id} is refused by all stores of {arguments.snapshot}"
        else:
            text = "\n".join(_shown(arguments.snapshot))
    except OSError as error:
        raise InputError(f"{error.strerror}: {error.filename}.") from error
    return 0 if say(text) else NOT_WRITTEN


def _known(path: Path) -> set[str]:
    """Ids of the policies that a snapshot file and its history have; unreadable ones are left out."""
    from oasis_alloc.errors import SnapshotError
    from oasis_alloc.hosting.publishing import read_facts
    from oasis_alloc.hosting.state import StateFile
    from oasis_alloc.publish.reading import snapshot_of

    state_file = StateFile(path)
    state = state_file.read()
    known = {*state.rolled_back, *(version[0] for version in (state.again, state.kept) if version is not None)}
    for file in (path, state_file.kept):
        with suppress(OSError, SnapshotError):
            known.add(read_facts(snapshot_of(file))[1].policy_id)
    return known


def _shown(path: Path) -> list[str]:
    """A description of a snapshot, line by line."""
    from oasis_alloc.hosting.judging import Facts
    from oasis_alloc.hosting.state import StateFile
    from oasis_alloc.policy import Policy
    from oasis_alloc.publish.reading import snapshot_of

    policy, state = Policy.load(snapshot_of(path)), StateFile(path).read()
    facts, schema = Facts.of(policy), policy.schema
    certificate = policy.data.certificate
    until = "no end" if facts.valid_until is None else f"{facts.valid_until - time.time():,.0f} s from now"
    verdict = "again" if facts.version == state.again else "rolled back" if facts.policy_id in state.rolled_back else ""
    return [
        f"policy {facts.policy_id}" + (f" ({verdict})" if verdict else ""),
        f"  created     {time.time() - facts.created:,.0f} s ago, valid until {until}",
        f"  certificate {certificate.status.lower()}, gap {certificate.gap:.2g}, violation {certificate.violation:.2g}",
        f"  items       {policy.data.n_items:,}",
        f"  columns     {', '.join(schema.columns)}; organic: {schema.organic}",
        f"  user keys   {_keys(schema.user_keys)}",
        f"  item keys   {_keys(schema.item_keys)}",
        f"  rolled back {', '.join(state.rolled_back) or 'none'}",
    ]


def _keys(keys: Any) -> str:
    return ", ".join(f"{key} ({kind})" for key, kind in keys.items()) or "none"
