"""`oasis-alloc replay replay.toml`: play recorded requests through a policy and pacers, from files."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oasis_alloc.common.labels import as_listed, is_none, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.regular_files import read_regular
from oasis_alloc.common.remote import Files
from oasis_alloc.common.remote_path import as_place, name_of, text_in
from oasis_alloc.errors import InputError

_TOP = ("policy", "requests", "plan", "contenders", "scenarios", "seeds", "hindsight", "out")
_REQUESTS = ("pairs", "table", "items", "user", "item", "time", "start", "end")
_PLAN = ("by", "table", "start", "end", "column", "mode", "penalty", "soft")
_LIMITS = {"cap": "caps", "floor": "floors", "daily": "daily", "hourly": "hourly", "start": "starts", "end": "ends"}


def register(commands: Any) -> None:
    """Add the command to those of `oasis-alloc`."""
    parser = commands.add_parser("replay", help="play recorded requests through a policy and pacers")
    parser.add_argument("statement", type=Path, metavar="replay.toml")
    parser.add_argument(
        "--out", metavar="DIR", help="where to write, or an address (default: what the file says, or replay)"
    )


def replay(arguments: argparse.Namespace) -> int:
    """Play, write metrics, goals and the page, and print the summary."""
    from oasis_alloc import Policy, replay
    from oasis_alloc.commands.terminal import NOT_WRITTEN, say
    from oasis_alloc.problem_file.output import make_directory, write_table

    path: Path = arguments.statement
    given = _read(path)
    folder = Files(path.parent)
    out = as_place(arguments.out or text_in(path.parent, str(given.get("out", "replay"))))
    policy = Policy.load(folder / _text(path, given, "policy"))
    requests = _requests(path, folder, _table(path, given, "requests"))
    plan = _plan(path, folder, _table(path, given, "plan"), requests.start, requests.end)
    make_directory(out)
    done = replay(
        requests, _contenders(path, policy, plan, given), plan=plan, scenario=_scenarios(path, given),
        seeds=given.get("seeds", 1), hindsight=given.get("hindsight", 1e-3) or None, resume=out / "replay.json",
        progress=True,
    )  # fmt: skip
    names = list(dict.fromkeys(name for row in done.rows for name in row))
    write_table(out / "metrics.csv", {name: np.array([row.get(name) for row in done.rows], object) for name in names})
    goals = ("contender", "scenario", "seed", "goal", "floor", "cap", "target", "delivered", "exhausted")
    write_table(out / "goals.csv", {name: np.array([goal[name] for goal in done.goals], object) for name in goals})
    done.page(out / "replay.html")
    lines = [str(done), "", *(f"{kind:9s} {out / name}" for kind, name in
             (("metrics", "metrics.csv"), ("goals", "goals.csv"), ("page", "replay.html")))]  # fmt: skip
    return 0 if say("\n".join(lines)) else NOT_WRITTEN


def _read(path: Path) -> dict[str, Any]:
    try:
        given = tomllib.loads(read_regular(path).decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # of bytes, of TOML and of its numbers
        raise InputError(f"{path}: not TOML: {error}.") from None
    _known(path, "", given, _TOP)
    return given


def _known(path: Path, where: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            inside = f" in [{where}]" if where else ""
            raise InputError(f"{path}: there is no entry {name!r}{inside}.{did_you_mean(name, known)}")


def _table(path: Path, given: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = given.get(name)
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a table [{name}].")
    return found


def _text(path: Path, given: Mapping[str, Any], name: str, otherwise: str | None = None) -> str:
    found = given.get(name, otherwise)
    if not isinstance(found, str) or not found:
        raise InputError(f"{path}: {name} is {shown(found)}; expected a text.")
    return found


def _requests(path: Path, folder: Files, given: dict[str, Any]) -> Any:
    from oasis_alloc import Requests
    from oasis_alloc.data.validation import by_name
    from oasis_alloc.problem_file.tables import read_table

    _known(path, "requests", given, _REQUESTS)
    user, item = _text(path, given, "user", "user"), _text(path, given, "item", "item")
    time = _text(path, given, "time", "time")
    pairs = read_table(folder / _text(path, given, "pairs"))
    table = read_table(folder / _text(path, given, "table"))
    items = read_table(folder / _text(path, given, "items")) if "items" in given else None
    columns = by_name(table) or {}
    for name in (user, time):
        if name not in columns:
            raise InputError(f"{_named(folder, given)}: there is no column {name!r}.{did_you_mean(name, columns)}")
    how: dict[str, Any] = {} if items is None else {"items": items}
    return Requests.from_frames(
        pairs, table, time, user=user, item=item, start=given.get("start"), end=given.get("end"), **how
    )


def _named(folder: Files, given: Mapping[str, Any]) -> str:
    """The table of an entry, for messages."""
    return name_of(text_in(folder.folder, given["table"]))


def _plan(path: Path, folder: Files, given: dict[str, Any], start: float, end: float) -> Any:
    from oasis_alloc import Plan
    from oasis_alloc.data.validation import by_name
    from oasis_alloc.problem_file.tables import read_table

    _known(path, "plan", given, _PLAN)
    by = given.get("by")
    keys = [by] if isinstance(by, str) else by
    if not isinstance(keys, list) or not keys:
        raise InputError(f"{path}: [plan] by is {shown(by)}; expected a key, or a list of keys.")
    columns = by_name(read_table(folder / _text(path, given, "table"))) or {}
    for key in keys:
        if key not in columns:
            raise InputError(f"{_named(folder, given)}: there is no column {key!r}.{did_you_mean(key, columns)}")
    parts = [as_listed(columns[key]) for key in keys]
    labels = parts[0] if len(keys) == 1 else list(zip(*parts, strict=True))
    limits: dict[str, Any] = {
        name: {
            label: number
            for label, number in zip(labels, as_listed(columns[column]), strict=True)
            if not is_none(number)
        }
        for column, name in _LIMITS.items()
        if column in columns and column not in keys
    }
    how = {name: given[name] for name in ("column", "mode", "penalty", "soft") if name in given}
    return Plan(
        keys[0] if len(keys) == 1 else tuple(keys), given.get("start", start), given.get("end", end), **limits, **how
    )


def _contenders(path: Path, policy: Any, plan: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    from oasis_alloc import Pacer

    out: dict[str, Any] = {}
    for name, how in (given.get("contenders") or {"policy alone": {"policy": True}, "adaptive": {}}).items():
        if not isinstance(how, dict):
            raise InputError(f"{path}: expected a table [contenders.{name}].")
        _known(path, f"contenders.{name}", how, ("policy", "controller", "options", "solves"))
        if how.get("policy") is True:
            out[name] = policy
            continue
        pacer = Pacer(policy, plan, controller=how.get("controller", "adaptive"), options=how.get("options"))
        out[name] = (pacer, how["solves"]) if "solves" in how else pacer
    return out


def _scenarios(path: Path, given: Mapping[str, Any]) -> Any:
    from dataclasses import fields

    from oasis_alloc import Scenario

    found = given.get("scenarios")
    if not found:
        return None
    out = {}
    for name, how in found.items():
        if not isinstance(how, dict):
            raise InputError(f"{path}: expected a table [scenarios.{name}].")
        _known(path, f"scenarios.{name}", how, tuple(field.name for field in fields(Scenario)))
        out[name] = Scenario(**how)
    return out
