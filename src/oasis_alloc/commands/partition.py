"""`oasis-alloc partition`: writes pairs in any order as partitions by user."""

from __future__ import annotations

import argparse
from typing import Any


def register(commands: Any) -> None:
    """Add the command to those of `oasis-alloc`."""
    parser = commands.add_parser("partition", help="write pairs in any order as partitions by user, for a cluster")
    parser.add_argument("pairs", metavar="PAIRS", help="a Parquet file or a directory of them, also in s3:// or gs://")
    parser.add_argument("directory", metavar="DIR", help="where to write, also s3:// or gs://")
    parser.add_argument("--user", default="user", metavar="NAME", help="column of user ids (default user)")
    parser.add_argument("--item", default="item", metavar="NAME", help="column of item ids (default item)")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="columns of numbers (default: all)")
    parser.add_argument("--user-keys", nargs="+", default=(), metavar="NAME", help="columns that are keys of users")
    parser.add_argument(
        "--rows", type=int, default=4_000_000, metavar="N", help="rows of a partition (default 4,000,000)"
    )
    parser.add_argument("--verify", action="store_true", help="then compare every file with its digest")


def partition(arguments: argparse.Namespace) -> int:
    """Write the partitions, or those that are missing, and say which."""
    from oasis_alloc.commands.terminal import NOT_WRITTEN, say
    from oasis_alloc.partitions import partition as write

    made = write(
        arguments.pairs,
        arguments.directory,
        user=arguments.user,
        item=arguments.item,
        columns=arguments.columns,
        user_keys=arguments.user_keys,
        rows_per_partition=arguments.rows,
    )
    if arguments.verify:
        made.verify()
    of = f"{made.n_users:,} users, {made.n_items:,} items, {made.n_pairs:,} pairs"
    text = f"{made.directory}: {of}; {len(made.written):,} of {made.n_partitions:,} partitions written"
    return 0 if say(text) else NOT_WRITTEN
