"""`oasis-alloc demo`: make a market, allocate it, and show the answer with its proof."""

from __future__ import annotations

import argparse
from pathlib import Path

from oasis_alloc.commands.progress import Display
from oasis_alloc.commands.run import report, solve_in_view
from oasis_alloc.commands.starter import write_starter
from oasis_alloc.markets import month
from oasis_alloc.problem_file.output import make_directory, written


def demo(arguments: argparse.Namespace) -> int:
    """Allocate a generated month of campaigns; return the exit code."""
    directory: Path = arguments.out
    market = month(arguments.users, arguments.degree, arguments.campaigns, seed=arguments.seed)
    make_directory(directory)
    with Display() as display:
        display.stage("making the market")
        candidates = market.candidates()
        problem = market.problem(candidates)
        if arguments.tables:
            display.stage("writing the tables")
            with written(directory):
                stated = write_starter(market, candidates, directory)
        options = {name: getattr(arguments, name) for name in ("gap", "threads", "time_limit", "pass_limit")}
        solution = solve_in_view(problem, display, options)
    title = f"A month of {market.campaigns} campaigns for {market.users:,} listeners"
    more = [f"statement   {stated}"] if arguments.tables else []
    return report(problem, solution, directory, None, title, "relevance", more)
