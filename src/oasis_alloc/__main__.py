"""The command line: `oasis-alloc demo | solve | doctor`, or `python -m oasis_alloc`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from oasis_alloc import __version__

_BAD_INPUT, _INTERNAL, _INTERRUPTED = 2, 70, 130
_TRACEBACK = "OASIS_ALLOC_TRACEBACK"
_CODES = """exit codes:
  0  solved: the requested gap is proven
  2  bad input or an invalid problem; the message says what and where
  3  infeasible: the report names what conflicts
  4  stopped early (time, passes, Ctrl-C, no progress): the best allocation so far and its gap are written, under
     allocation.unproven.* where it misses a constraint
  5  a file or standard output could not be written; a message says which, and everything else is written
  6  run, check: a check of the input failed
  7  run: a gate on the result failed, and nothing was published
 70  an internal error: a bug in oasis-alloc, please report it; OASIS_ALLOC_TRACEBACK=1 shows where it is
 75  run: another process runs this job
  If the reader of the report closes the pipe early (as head does), nothing changes.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors of the user's making are one message, not a traceback.

    >>> main(["doctor"])  # doctest: +ELLIPSIS
    oasis_alloc ...
    0
    """
    from oasis_alloc.commands.terminal import NOT_WRITTEN, be_lenient, flushed, not_written, warn
    from oasis_alloc.errors import OasisAllocError

    be_lenient()
    logging.basicConfig(format="oasis-alloc: %(message)s")  # warnings of the package go to standard error
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit:  # --help and --version print, too
        if not flushed():
            return NOT_WRITTEN
        raise
    # a command is imported when it is asked for, so that --help answers at once
    module = getattr(arguments, "module", arguments.command)
    command = getattr(import_module(f"oasis_alloc.commands.{module}"), arguments.command)
    try:
        code: int = command(arguments)
    except OasisAllocError as error:
        warn(f"oasis-alloc: {error}")
        return getattr(error, "exit_code", _BAD_INPUT)
    except KeyboardInterrupt:
        warn("oasis-alloc: interrupted; what was not complete is not written.")
        return _INTERRUPTED
    except Exception as error:
        if os.environ.get(_TRACEBACK):
            raise
        if (ended := not_written(error)) is not None:
            return ended
        warn(
            f"oasis-alloc: internal error, a fault of oasis-alloc: {type(error).__name__}: {error}\n"
            f"Please report it, with what {_TRACEBACK}=1 shows, and the problem as `oasis-alloc doctor --problem` "
            "writes it."
        )
        return _INTERNAL
    return code


class _Parser(argparse.ArgumentParser):
    """As argparse's own, which says nothing where the help cannot be written."""

    def _print_message(self, message: str, file: Any = None) -> None:
        from oasis_alloc.commands.terminal import NOT_WRITTEN, say

        if file is not sys.stdout:
            super()._print_message(message, file)
        elif not say(message.removesuffix("\n")):
            raise SystemExit(NOT_WRITTEN)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="oasis-alloc",
        description="Allocate promotions over all users at once, with a proof of how good the answer is.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"oasis_alloc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    demo = commands.add_parser("demo", help="make a market, allocate it, write the allocation and a page")
    demo.add_argument("--users", type=int, default=20_000, metavar="N", help="listeners (default 20,000)")
    demo.add_argument("--degree", type=int, default=50, metavar="D", help="candidates a listener (default 50)")
    demo.add_argument("--campaigns", type=int, default=40, metavar="C", help="campaigns (default 40)")
    demo.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, another market")
    demo.add_argument("--out", type=Path, default=Path("oasis-alloc-demo"), metavar="DIR", help="where to write")
    demo.add_argument("--tables", action="store_true", help="also write the market and a problem.toml for it")
    _solving(demo)

    solve = commands.add_parser("solve", help="solve a problem stated in a TOML file over your own tables")
    solve.add_argument("statement", type=Path, metavar="problem.toml")
    solve.add_argument(
        "--out", metavar="DIR", help="where to write: a folder, or an address such as s3://bucket/answer"
    )
    solve.add_argument("--format", choices=("parquet", "csv"), help="of the allocation")
    solve.add_argument("--solver", metavar="NAME", help="dual (default) or conic, the reference")
    _solving(solve)

    doctor = commands.add_parser("doctor", help="versions, threads, the compile cache, solvers; or a problem to send")
    doctor.add_argument("--problem", type=Path, metavar="problem.toml", help="write this problem as one file to report")
    doctor.add_argument("--out", metavar="FILE", help="where to write it (default problem.reproduction)")
    doctor.add_argument("--keep-labels", action="store_true", help="keep the labels of keys; else they are numbers")
    import_module("oasis_alloc.commands.store").register(commands)
    import_module("oasis_alloc.commands.published").register(commands)
    import_module("oasis_alloc.commands.job").register(commands)
    import_module("oasis_alloc.commands.replay").register(commands)
    import_module("oasis_alloc.commands.partition").register(commands)
    import_module("oasis_alloc.commands.agents.command").register(commands)
    import_module("oasis_alloc.commands.signals").register(commands)
    import_module("oasis_alloc.commands.board.command").register(commands)
    return parser


def _solving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gap", type=float, metavar="G", help="relative gap to prove (default 1e-4)")
    parser.add_argument("--time-limit", type=float, metavar="S", help="stop after S seconds")
    parser.add_argument("--pass-limit", type=int, metavar="P", help="stop after P passes over the pairs")
    parser.add_argument("--threads", type=int, metavar="T", help="threads (default: all)")


if __name__ == "__main__":
    sys.exit(main())
