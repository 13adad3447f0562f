"""What agents can do: the tools, each a function of plain arguments that returns a document."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oasis_alloc.commands.agents import answers, folder, quoting, several
from oasis_alloc.commands.agents.documents import Document
from oasis_alloc.commands.agents.parameters import Parameter, Parameters, checked
from oasis_alloc.commands.agents.reading import Statements
from oasis_alloc.commands.agents.room import Limits, Room
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError


@dataclass(frozen=True)
class Call:
    """What a tool is given besides its arguments: the statements, when its time ends, and whether it is to stop."""

    statements: Statements
    deadline: float
    stop: Callable[[], bool]

    @property
    def limits(self) -> Limits:
        """Of the server."""
        return self.statements.limits


@dataclass(frozen=True)
class Tool:
    """A tool: what it does, its parameters, and its function."""

    meaning: str
    parameters: Parameters
    function: Callable[..., Document]
    writes: bool = False


_STATEMENT = Parameter("text", "A statement (problem or job) in the folder, such as radio/problem.toml.", True)
_GAP = Parameter("number", "Relative gap to prove; by default that of the statement, else 1e-4.")
_TIME = Parameter("number", "Seconds; by default, and at most, the limit of the server.")
_ROWS = Parameter("whole", "Rows of each list; by default 50.")

TOOLS: dict[str, Tool] = {
    "files": Tool(
        "List the files of the folder: statements and tables, with their sizes.",
        {"folder": Parameter("text", "A folder below the server's; by default the whole folder.")},
        folder.files,
    ),
    "read": Tool(
        "Read a file: the text of a statement, or the columns of a table with their types and first rows.",
        {"path": Parameter("text", "A .toml, .csv or .parquet file, or a folder of one table.", True)},
        folder.read,
    ),
    "write": Tool(
        "Write a statement. Its entries are checked, and nothing is written if they are invalid; `check` says the "
        "rest. Read the resource oasis-alloc://guide first: it says how to state problems.",
        {
            "path": Parameter("text", "A path in the folder that ends in .toml; an existing file is replaced.", True),
            "text": Parameter("text", "The statement, in TOML.", True),
        },
        folder.write,
        writes=True,
    ),
    "check": Tool(
        "Read the tables of a statement, state the problem and check it, without a solve: sizes, columns, keys, the "
        "problem as text, and for a job its [checks]. Use it before solve.",
        {"statement": _STATEMENT, "rows": _ROWS},
        answers.check,
    ),
    "solve": Tool(
        "Solve a statement: its certificate, the objective by part, and the total, limits and price of each group. "
        "With `out`, also writes the allocation, the solution and a page.",
        {
            "statement": _STATEMENT, "gap": _GAP, "time_limit": _TIME, "rows": _ROWS,
            "name": Parameter("text", "Only groups of this constraint or function."),
            "label": Parameter("id", "Only groups with this label."),
            "out": Parameter("text", "A new folder, or one of an earlier answer, to write to."),
        },
        answers.solve,
        writes=True,
    ),
    "explain": Tool(
        "Why a user is shown these items: the slate that the prices select, the parts of each score, the rule that "
        "decided, the margin, and what would reverse the decision.",
        {
            "statement": _STATEMENT, "user": Parameter("id", "The id of a user in the tables.", True),
            "items": Parameter("ids", "Ids of candidates to explain; by default the slate and the best others."),
            "rows": _ROWS,
        },
        answers.explain,
    ),
    "conflicts": Tool(
        "Which limits cannot be met together, and the cheapest remedy: the smallest total relaxation, limit by limit, "
        "with the value of the best allocation under it.",
        {
            "statement": _STATEMENT, "time_limit": _TIME,
            "weights": Parameter(
                "weights", "{constraint: weight of a missed unit}; a larger weight spares the constraint; by default 1."
            ),
        },
        answers.conflicts,
    ),
    "compare": Tool(
        "Two statements next to each other: value, share of slots that changed, totals and prices by group.",
        {
            "before": _STATEMENT, "after": _STATEMENT, "time_limit": _TIME, "rows": _ROWS,
            "by": Parameter("text", "A key: also the share of slots that changed, by its labels."),
        },
        several.compare,
    ),
    "sweep": Tool(
        "Solve a statement at several limits of one constraint, or several weights of one part of the objective: "
        "value, parts, price and certificate of each point.",
        {
            "statement": _STATEMENT,
            "vary": Parameter("text", "The name of a constraint or function, or a column of the objective.", True),
            "points": Parameter("numbers", "The limits or weights to solve for.", True),
            "scale": Parameter("flag", "true multiplies what the statement says by each point."),
            "gap": _GAP, "time_limit": _TIME,
        },
        several.sweep,
    ),
    "quote": Tool(
        "What more impressions of a campaign would cost and how many there are: the cost (low and high are proven), "
        "the price of the next one, the maximum, the supply curve, who is displaced, and which limits stop it.",
        {
            "statement": _STATEMENT,
            "of": Parameter("labels", "Which items, by their keys: {campaign: c17}."),
            "items": Parameter("ids", "Which items, by their ids; instead of `of`."),
            "where": Parameter("labels", "Which users, by their keys: {market: DE}; by default all."),
            "units": Parameter("number", "Impressions on top of the plan; without it, the curve and the maximum."),
            "max_price": Parameter("number", "A price: how many impressions cost at most that each."),
            "certify": Parameter("flag", "true proves cost and maximum on both sides; about as slow as the solve."),
            "gap": Parameter("number", "Width of the proven cost, as a share of the objective; by default 1e-4."),
            "rows": _ROWS,
        },
        quoting.quote,
    ),
}  # fmt: skip


class Workbench:
    """The tools over one room; calls run one after the other."""

    def __init__(self, room: Room, limits: Limits, read_only: bool = False) -> None:
        self.room, self.limits, self.read_only = room, limits, read_only
        self._statements = Statements(room, limits)
        self._busy = threading.Lock()

    @property
    def tools(self) -> dict[str, Tool]:
        """The tools of this server; a server that only reads has no `write`, and its `solve` has no `out`."""
        if not self.read_only:
            return TOOLS
        out = {name: tool for name, tool in TOOLS.items() if name != "write"}
        solve = TOOLS["solve"]
        parameters = {name: one for name, one in solve.parameters.items() if name != "out"}
        meaning = solve.meaning.partition(" With `out`")[0]
        return out | {"solve": Tool(meaning, parameters, solve.function)}

    def call(self, name: str, arguments: Mapping[str, Any], stop: Callable[[], bool] = lambda: False) -> Document:
        """Call a tool. Raises errors of the package for what is wrong with the arguments, statements and tables."""
        tool = self.tools.get(name)
        if tool is None:
            raise InputError(f"there is no tool {name!r}.{did_you_mean(name, list(self.tools))}")
        given = checked(name, tool.parameters, arguments)
        asked = given.pop("time_limit", self.limits.seconds)
        if asked <= 0:
            raise InputError(f"{name}: time_limit is {asked:g}; expected a number above 0.")
        with self._busy:
            deadline = time.monotonic() + min(asked, self.limits.seconds)
            if stop():
                raise InputError(f"{name} was canceled.")
            return tool.function(Call(self._statements, deadline, stop), **given)

    def without_folder(self, message: str) -> str:
        """A message with paths relative to the folder."""
        return message.replace(f"{self.room.folder}/", "").replace(str(self.room.folder), "the folder")
