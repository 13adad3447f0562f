"""`oasis-alloc mcp`: tools for agents over standard input and output."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command to those of `oasis-alloc`."""
    parser = commands.add_parser("mcp", help="serve checks, solves and explanations as tools for agents (MCP, stdio)")
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="the folder that tools may read and write")
    parser.add_argument("--read-only", action="store_true", help="tools write nothing")
    parser.add_argument("--seconds", type=float, metavar="S", help="of all solves of a call (default 60)")
    parser.add_argument("--pairs", type=int, metavar="N", help="rows of the table of pairs (default 5,000,000)")
    parser.add_argument(
        "--megabytes", type=float, metavar="M", help="of a statement's tables, unpacked (default 1,000)"
    )
    parser.add_argument("--points", type=int, metavar="N", help="points of a sweep (default 20)")
    parser.add_argument("--rows", type=int, metavar="N", help="rows of a list in an answer (default 200)")
    parser.add_argument("--guide", action="store_true", help="print the guide to stating problems, and end")
    parser.set_defaults(module="agents.command")


def mcp(arguments: argparse.Namespace) -> int:
    """Serve one client."""
    from oasis_alloc.commands.agents.room import Limits, Room
    from oasis_alloc.commands.agents.server import guide, run
    from oasis_alloc.commands.agents.tools import Workbench
    from oasis_alloc.commands.terminal import NOT_WRITTEN, say
    from oasis_alloc.errors import InputError

    if arguments.guide:
        return 0 if say(guide().removesuffix("\n")) else NOT_WRITTEN
    if arguments.folder is None:
        raise InputError("mcp: expected the folder that tools may read and write: oasis-alloc mcp DIR.")
    said = {name: getattr(arguments, name) for name in ("seconds", "pairs", "megabytes", "points", "rows")}
    limits = Limits(**{name: value for name, value in said.items() if value is not None})
    run(Workbench(Room(arguments.folder), limits, arguments.read_only))
    return 0
