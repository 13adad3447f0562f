"""`oasis-alloc history | rollback | diff | keys`: directories of published policies, and the keys that sign them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy

_PRICES = 20  # that `diff` lists


def register(commands: Any) -> None:
    """Add the commands to those of `oasis-alloc`."""
    history = commands.add_parser("history", help="list the versions of a directory of published policies")
    history.add_argument("directory", metavar="DIR")
    history.add_argument("--json", action="store_true", help="as JSON")
    rollback = commands.add_parser("rollback", help="make an earlier policy of a directory current again")
    rollback.add_argument("directory", metavar="DIR")
    rollback.add_argument("--to", type=int, metavar="VERSION", help="by default the last one with another policy")
    rollback.add_argument("--reason", required=True, metavar="TEXT", help="for the manifest")
    rollback.add_argument("--sign", metavar="KEY", help="a private key: a PEM file, or env:NAME")
    diff = commands.add_parser("diff", help="compare two policies: prices, weights, rules, items")
    for name in ("before", "after"):
        diff.add_argument(name, metavar=name.upper(), help="a snapshot, or DIR@VERSION; DIR@-1 is the current version")
    diff.add_argument("--prices", type=int, default=_PRICES, metavar="N", help=f"list N prices (default {_PRICES})")
    diff.add_argument("--json", action="store_true", help="everything, as JSON")
    keys = commands.add_parser("keys", help="make a pair of keys for signatures, or show the id of a key")
    actions = keys.add_subparsers(dest="action", required=True, metavar="action")
    new = actions.add_parser("new", help="write NAME.key (private) and NAME.pub (public)")
    new.add_argument("name", metavar="NAME")
    show = actions.add_parser("show", help="print the id of a key")
    show.add_argument("file", metavar="FILE")
    for parser in (history, rollback, diff, keys):
        parser.set_defaults(module="published")


def history(arguments: argparse.Namespace) -> int:
    """List the versions."""
    from oasis_alloc.publish.directory import PolicyDirectory

    directory = PolicyDirectory(arguments.directory)
    versions, there = directory.history(), directory.available()
    if arguments.json:
        return _said(json.dumps([version.to_dict() | {"there": version.digest in there} for version in versions]))
    lines = [f"{arguments.directory}: nothing has been published"] if not versions else []
    for version in versions:
        words = [f"{version.version:6d}  {version.time}  {version.policy_id}"]
        words += [f"key {version.key}"] if version.is_signed else ["not signed"]
        words += [f"rolled back to {version.of}"] if version.kind == "rollback" else []
        words += [] if version.digest in there else ["removed"]
        words += ["current"] if version is versions[-1] else []
        lines.append("  ".join(words))
        lines += [f"        {reason}" for reason in version.reasons]
        lines += [f"        accepted {gate}: {reason}" for gate, reason in version.accepted.items()]
    return _said("\n".join(lines))


def rollback(arguments: argparse.Namespace) -> int:
    """Publish an earlier policy again."""
    from oasis_alloc.errors import InputError
    from oasis_alloc.publish.directory import PolicyDirectory

    directory = PolicyDirectory(arguments.directory)
    try:
        version = directory.rollback(arguments.to, reason=arguments.reason, sign=arguments.sign)
    except OSError as error:
        raise InputError(f"{arguments.directory}: cannot be written ({error.strerror or error}).") from error
    return _said(
        f"version {version.version} of {arguments.directory} is policy {version.policy_id}, as {version.of} was"
    )


def diff(arguments: argparse.Namespace) -> int:
    """Compare two policies."""
    from oasis_alloc.publish.comparison import as_text, differences

    document = differences(_policy(arguments.before), _policy(arguments.after))
    return _said(json.dumps(document) if arguments.json else as_text(document, max(arguments.prices, 0)))


def keys(arguments: argparse.Namespace) -> int:
    """Make keys, or show an id."""
    from oasis_alloc.publish.keys import id_of_file, make_keys

    if arguments.action == "show":
        return _said(id_of_file(arguments.file))
    private, public, key = make_keys(arguments.name)
    return _said(f"key {key} is in {private} (private) and {public} (public)")


def _policy(text: str) -> Policy:
    """A snapshot, or a version of a directory."""
    from oasis_alloc.policy import Policy
    from oasis_alloc.publish.directory import PolicyDirectory

    where, _, version = text.rpartition("@")
    if where and not Path(text).exists() and version.removeprefix("-").isdecimal():
        return PolicyDirectory(where).load(int(version))
    return Policy.load(text)


def _said(text: str) -> int:
    from oasis_alloc.commands.terminal import NOT_WRITTEN, say

    return 0 if say(text) else NOT_WRITTEN
