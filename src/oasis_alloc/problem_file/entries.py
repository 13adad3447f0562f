"""The entries that a statement may have, with their types: one table for the checks and for the JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem_file.limits import shown

Types = tuple[type, ...]
NUMBER: Types = (int, float)
WHOLE: Types = (int,)
TEXT: Types = (str,)
TEXTS: Types = (list,)
TABLE: Types = (dict,)
NUMBERS: Types = (list, tuple)
FLAG: Types = (bool,)
BY_USER: Types = (int, str, dict)
BY_USER_ONLY: Types = (str, dict)
LARGEST = 2**63 - 1  # whole numbers that arrays hold
TOO_LARGE = "expected at most 9,223,372,036,854,775,807 (2**63 - 1), and at most 1.8e308 where it is a limit."

_EXPECTED = {
    NUMBER: "a number", WHOLE: "a whole number", TEXT: "a text", TEXTS: "a list of texts",
    NUMBERS: "a list of numbers", FLAG: "true or false",
    BY_USER: "a whole number, the name of a column of users, or a table of a file",
    BY_USER_ONLY: "the name of a column of users, or a table of a file",
}  # fmt: skip


class Entry(NamedTuple):
    """The type of an entry, and what it means."""

    types: Types
    meaning: str


Tables = Mapping[str, Mapping[str, Entry]]
"""Entries by table; those before the first table are in the table ""."""

ENTRIES: Tables = {
    "": {
        "maximize": Entry(TEXT, "What to maximize: an expression."),
        "subject_to": Entry(TEXTS, "Constraints: a list of expressions."),
        "supply": Entry(BY_USER_ONLY, "Weight of each user: a column of users, or {file, key, value}."),
        "candidates": Entry(TABLE, "The tables of pairs, users and items."),
        "limits": Entry(TABLE, "Names for the numbers, tables and earlier solutions that expressions use."),
        "slate": Entry(TABLE, "The rules of slates."),
        "solve": Entry(TABLE, "Options of the solve."),
        "uncertainty": Entry(TABLE, "Solves by a measure of risk: arguments of solve_uncertain."),
        "frontier": Entry(TABLE, "A sweep of a weight or a limit; writes a table."),
        "rounding": Entry(TABLE, "Whole slates, drawn from the allocation; writes a table."),
        "batch": Entry(TABLE, "Boosts, scores and ranks of all candidates; writes a Parquet file."),
        "output": Entry(TABLE, "Where the answer is written."),
    },
    "candidates": {
        "pairs": Entry(TEXT, "One row per candidate: a Parquet or CSV file, or a folder of them."),
        "users": Entry(TEXT, "One row per user: the id, and keys."),
        "items": Entry(TEXT, "One row per item: the id, and keys."),
        "user": Entry(TEXT, "The column of user ids; by default user."),
        "item": Entry(TEXT, "The column of item ids; by default item."),
        "columns": Entry(TEXTS, "Columns of pairs to read; by default all numbers."),
        "uncertainty": Entry(TABLE, "{column: column of the standard deviations of its errors}."),
        "calibrated": Entry(TABLE, "{column: JSON file of a calibration, as Calibration.to_dict gives it}."),
    },
    "slate": {
        "size": Entry(BY_USER, "Number of slots: a number, a column of users, or {file, key, value}."),
        "at_most": Entry(TABLE, "{key: number}: maximum number of items of a category."),
        "diminishing": Entry(TABLE, "{key: step or list of decrements}."),
        "keep": Entry(TABLE, "{column: share} that every user keeps."),
        "at_least": Entry(BY_USER, "Minimum number of filled slots, as size."),
        "slot_weights": Entry(NUMBERS, "The weight of each slot, from the first."),
    },
    "solve": {
        "solver": Entry(TEXT, "dual or conic."),
        "gap": Entry(NUMBER, "Relative gap to prove."),
        "time_limit": Entry(NUMBER, "Seconds."),
        "pass_limit": Entry(NUMBER, "Passes over the pairs."),
        "threads": Entry(WHOLE, "Threads; by default all."),
        "start": Entry(TEXT, "Prices to start from: a file of Solution.save, or a snapshot of a policy."),
        "checkpoint": Entry(TEXT, "A file for the state of the solve."),
        "checkpoint_every": Entry(NUMBER, "Seconds between two checkpoints."),
        "resume": Entry(TEXT, "A checkpoint to go on from."),
        "on_conflict": Entry(TEXT, "infeasible or relax."),
        "relax_weights": Entry(TABLE, "{constraint: weight of a missed unit}: a number, or a name of [limits]."),
    },
    "uncertainty": {
        "risk": Entry(TEXT, "expected, worst, CVaR or LowerQuantile; by default expected."),
        "share": Entry(NUMBER, "Of CVaR: the share of the draws that counts; by default 0.05."),
        "probability": Entry(NUMBER, "Of LowerQuantile: that of a lower value; by default 0.05."),
        "pairs": Entry(TEXT, "Draws of columns: a table with one row per draw and pair."),
        "users": Entry(TEXT, "Draws of supply: a table with one row per draw and user."),
        "draw": Entry(TEXT, "The column that says which draw; by default draw."),
        "supply": Entry(TEXT, "The column of the weights of users; by default supply."),
        "hold": Entry(TABLE, "{floor: share of the draws in which it holds}."),
    },
    "frontier": {
        "vary": Entry(TEXT, "A constraint, a function, or a total of the objective."),
        "points": Entry(NUMBERS, "The weights or limits to solve for."),
        "scale": Entry(FLAG, "true multiplies what the problem states by each point."),
    },
    "rounding": {
        "seed": Entry(WHOLE, "The seed of the draw; by default 0."),
    },
    "batch": {
        "organic": Entry(TEXT, "The column by which the host ranks."),
        "unproven": Entry(FLAG, "true writes prices of a solve that ended early."),
    },
    "output": {
        "directory": Entry(TEXT, "Where to write: a folder, or an address."),
        "format": Entry(TEXT, "parquet or csv."),
    },
}


def check_entries(stated: Mapping[str, Any], file: str, tables: Tables) -> None:
    """Refuse unknown tables and entries, and entries of the wrong type."""
    for table, known in tables.items():
        entries = stated if table == "" else _inner(stated, table)
        for name, value in entries.items():
            where = f"{file}: {table}{'.' if table else ''}{name}"
            if name not in known:
                hint = did_you_mean(name, known)
                if table and name in tables[""]:  # TOML gives it to the table above it
                    hint = f" Write {name} before the first [table] of the file."
                raise ProblemError(f"{where}: unknown entry.{hint}")
            _check_type(where, name, value, known[name].types, table)


def _inner(stated: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    """The entries of a table, whose name may have dots."""
    found: Any = stated
    for part in table.split("."):
        found = found.get(part, {})
        if not isinstance(found, dict):
            return {}  # refused where its own type is checked
    return dict(found)


def _check_type(where: str, name: str, value: Any, types: Types, table: str) -> None:
    if types is TABLE and not isinstance(value, dict):
        expected = f"a table: [{name}]" if table == "" else f"a table: {name} = {{artist = 2}}"
        raise ProblemError(f"{where} is {shown(value)}; expected {expected}.")
    wrong = not isinstance(value, types) or (isinstance(value, bool) and types is not FLAG)
    if wrong or (types is TEXTS and not all(isinstance(text, str) for text in value)):
        raise ProblemError(f"{where} is {shown(value)}; expected {_EXPECTED[types]}.")
    for entry in value if types is NUMBERS else [value] if types in (NUMBER, WHOLE, BY_USER) else ():
        if isinstance(entry, int) and abs(entry) > LARGEST:
            raise ProblemError(f"{where} is {shown(entry)}; {TOO_LARGE}")


def schema_of(tables: Tables, title: str) -> dict[str, Any]:
    """A JSON schema of files with these entries, for editors."""
    number, text, whole = {"type": "number"}, {"type": "string"}, {"type": "integer"}
    of_file = {"type": "object"}
    forms: dict[Types, dict[str, Any]] = {
        NUMBER: number, WHOLE: whole, TEXT: text, TEXTS: {"type": "array", "items": text}, TABLE: of_file,
        FLAG: {"type": "boolean"}, NUMBERS: {"type": "array", "items": number},
        BY_USER: {"anyOf": [whole, text, of_file]}, BY_USER_ONLY: {"anyOf": [text, of_file]},
    }  # fmt: skip

    def of(table: str) -> dict[str, Any]:
        properties = {}
        for name, entry in tables[table].items():
            inner = f"{table}.{name}" if table else name
            form = of(inner) if inner in tables else dict(forms[entry.types])
            properties[name] = form | {"description": entry.meaning}
        return {"type": "object", "properties": properties, "additionalProperties": False}

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **of("")}
