"""`oasis-alloc board FILE`: solve or read it, and serve the page until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

PORT = 8642


def register(commands: Any) -> None:
    """Add the command to those of `oasis-alloc`."""
    board = commands.add_parser("board", help="open a problem, a job, a saved solution or a policy as a page")
    board.add_argument("source", type=Path, metavar="FILE", help="problem.toml, job.toml, a saved solution, a policy")
    board.add_argument("--compare", type=Path, action="append", default=[], metavar="FILE", help="another, to compare")
    board.add_argument("--port", type=int, default=PORT, metavar="N", help=f"default {PORT}; 0: any that is free")
    board.add_argument("--edit", action="store_true", help="allow changes of limits, and saving the answer")
    board.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where --edit saves (default: here)")
    board.add_argument(
        "--ledger", metavar="STORE", help="a ledger of deliveries, for the outlook: a file, or an address"
    )
    board.add_argument("--ledger-by", default="campaign", metavar="KEY", help="its key, or keys (default campaign)")
    board.add_argument("--start", metavar="TIME", help="of the flight, such as 2026-12-01")
    board.add_argument("--end", metavar="TIME", help="of the flight")
    board.add_argument("--now", metavar="TIME", help="of the outlook (default: now)")
    board.add_argument("--no-browser", action="store_true", help="print the address and open no browser")
    board.set_defaults(module="board.command")


def board(arguments: argparse.Namespace) -> int:
    """Read, solve, and serve until Ctrl-C."""
    from oasis_alloc.commands.board.outlook import Flight, goals_of
    from oasis_alloc.commands.board.overview import overview
    from oasis_alloc.commands.board.server import BoardServer
    from oasis_alloc.commands.board.sources import read_source
    from oasis_alloc.commands.board.state import Board
    from oasis_alloc.commands.progress import Display
    from oasis_alloc.commands.terminal import say
    from oasis_alloc.errors import InputError

    if not 0 <= arguments.port <= 65535:
        raise InputError(f"--port {arguments.port}: expected a number from 0 to 65535.")
    if arguments.edit and not arguments.out.is_dir():
        raise InputError(f"--out {arguments.out}: there is no such folder.")
    flight = None
    if arguments.ledger is not None:
        flight = Flight.of(arguments.ledger, arguments.ledger_by, arguments.start, arguments.end, arguments.now)
    state = Board([], editable=arguments.edit, out=arguments.out)
    with BoardServer(state, arguments.port) as server:  # a taken port is known before a long solve
        with Display() as display:
            for path in (arguments.source, *arguments.compare):
                display.stage(f"reading {path.name}")
                state.add(read_source(path, display))
        if flight is not None:
            goals_of(state.solution, flight)  # a ledger of other keys is a message
            state.extras["flight"] = flight
        overview(state)  # kept for the page, which then is there at once
        say(f"The board of {arguments.source} is at {server.url}\nCtrl-C ends it.")
        if not arguments.no_browser and sys.stdout is not None and sys.stdout.isatty():
            import webbrowser

            webbrowser.open(server.url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0
