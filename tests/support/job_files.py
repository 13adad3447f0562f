"""Any problem as tables and a job file, so that what was stated in Python can be published from a file too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import oasis_alloc as oa
from oasis_alloc.common.labels import as_listed
from oasis_alloc.data.multi_keys import MultiKey
from oasis_alloc.statement.functions.band import Band
from oasis_alloc.statement.functions.base import Function
from oasis_alloc.statement.functions.soft import Soft

_SNAKE = re.compile(r"(?<!^)(?=[A-Z])")
_NUMBERS = ("gap", "time_limit", "pass_limit", "threads", "solver", "on_conflict")


@dataclass
class JobFile:
    """The job file of a problem, in a folder of its own.

    `earlier` has files of the solutions that the problem stays close to, by the number of the term; `start` one of the
    solution whose prices the solve starts from; `uncertainty` the arguments `risk`, `draws` and `hold` of
    `oa.solve_uncertain`.
    """

    problem: oa.Problem
    folder: Path
    solve: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[Path, ...] = ()
    start: Path | None = None
    uncertainty: Mapping[str, Any] | None = None
    _limits: dict[str, str] = field(default_factory=dict)

    def write(self) -> Path:
        """Write the tables and the file; return its path."""
        self.folder.mkdir(parents=True, exist_ok=True)
        problem, candidates = self.problem, self.problem.candidates
        tables = {name: f"{name}.parquet" for name in ("pairs", "users", "items")}
        for name, table in tables_of(candidates).items():
            pq.write_table(table, self.folder / f"{name}.parquet")
        deviations = {name: f"{name} deviation" for name in candidates.uncertainty or {}}
        columns = list(dict.fromkeys([*candidates.columns, *deviations.values()]))
        entries = {**tables, "user": candidates.user_name, "item": candidates.item_name, "columns": columns}
        if deviations:
            entries["uncertainty"] = deviations
        objective = self._objective()
        subject_to = [self._function(one, name) for one, name in zip(problem.subject_to, problem.names, strict=False)]
        slate, supply = self._slate(), problem.supply
        solve = {name: value for name, value in self.solve.items() if name in _NUMBERS and value is not None}
        if self.start is not None:
            solve["start"] = str(self.start)
        if self.solve.get("relax_weights"):
            solve["relax_weights"] = {
                name: float(weight) if np.isscalar(weight) else self._named(weight, problem.labels(name), name)
                for name, weight in self.solve["relax_weights"].items()
            }
        top = {"maximize": objective, "subject_to": subject_to}
        if supply is not None:
            top["supply"] = self._by_user("supply", supply)
        lines = [f"{name} = {toml(value)}" for name, value in top.items()]
        parts = {"candidates": entries, "slate": slate, "solve": solve, "policy": self.policy}
        if self.uncertainty is not None:
            parts["uncertainty"] = self._uncertainty(**self.uncertainty)
        for name, table in {**parts, "publish": {"directory": "policies"}}.items():
            lines += [f"[{name}]", *(f"{entry} = {toml(value)}" for entry, value in table.items())]
        lines += ["[limits]", *(f"{name} = {value}" for name, value in self._limits.items())]
        path = self.folder / "job.toml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _uncertainty(
        self, risk: Any = "expected", draws: oa.Draws | None = None, hold: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        """The table of a solve by risk, with its draws in tables, one draw after the other."""
        kind = risk if isinstance(risk, str) else type(risk).__name__
        out: dict[str, Any] = {"risk": kind, **({} if isinstance(risk, str) else asdict(risk))}
        if hold:
            out["hold"] = dict(hold)
        if draws is not None:
            candidates = self.problem.candidates
            pairs, n = tables_of(candidates)["pairs"], draws.number
            user, item = (pairs[name].to_numpy(zero_copy_only=False) for name in pairs.column_names[:2])
            if draws.columns:
                columns = {candidates.user_name: np.tile(user, n), candidates.item_name: np.tile(item, n)}
                columns |= {name: of.ravel() for name, of in draws.columns.items()}
                columns["draw"] = np.repeat(np.arange(n), len(user))
                pq.write_table(pa.table(columns), self.folder / "draws of pairs.parquet")
                out["pairs"] = "draws of pairs.parquet"
            if draws.supply is not None:
                users = np.asarray(ids_of(candidates.user_ids, candidates.n_users))
                columns = {candidates.user_name: np.tile(users, n), "supply": draws.supply.ravel()}
                columns["draw"] = np.repeat(np.arange(n), len(users))
                pq.write_table(pa.table(columns), self.folder / "draws of users.parquet")
                out["users"] = "draws of users.parquet"
        return out

    def _objective(self) -> str:
        objective, n = self.problem.maximize, len(self.problem.subject_to)
        parts = [] if objective.linear is None else [self._measure(objective.linear)]
        names = self.problem.names[n:]
        parts += [self._function(one, name) for one, name in zip(objective.functions, names, strict=True)]
        for k, (steady, path) in enumerate(zip(objective.steady, self.earlier, strict=True)):
            self._limits[f"earlier_{k}"] = toml({"solution": str(path)})
            parts.append(f"stay_close(earlier_{k}, weight={steady.weight!r})")
        return " + ".join(parts)

    def _measure(self, measure: Any) -> str:
        texts = []
        for term in measure.terms:
            by = f"by={json.dumps(list(term.by))}" if term.by else ""
            column = None if term.column is None else json.dumps(term.column)
            text = f"exposure({by})" if column is None else f"total({column}{', ' if by else ''}{by})"
            texts.append(text if term.coefficient == 1.0 else f"{float(term.coefficient)!r} * {text}")
        text = " + ".join(texts)
        for constant in measure.constants:
            assert constant.coefficient == 1.0
            labels = self.problem.candidates.groups(constant.by or None)
            text = f"({text}).delivered_so_far({self._named(constant.given, labels, 'delivered')})"
        return text

    def _function(self, function: Function, name: str) -> str:
        labels = self.problem.candidates.groups(function.measure.by or None)
        if isinstance(function, Band):
            text = f"({self._measure(function.measure)} {function.sense} {self._named(function.limit, labels, name)})"
        elif isinstance(function, Soft):
            text = f"soft({self._function(function.constraint, name)}, penalty={function.penalty!r})"
        else:
            made = _SNAKE.sub("_", type(function).__name__).lower()
            given = [self._measure(function.measure)]
            for one in fields(function):
                value = getattr(function, one.name)
                if one.name in ("measure", "weight", "given_name") or value is None:
                    continue
                is_list = isinstance(value, np.ndarray) and made == "gini_welfare"
                shown = str(list(map(float, value))) if is_list else self._named(value, labels, name)
                given.append(f"{one.name}={shown}")
            text = f"{made}({', '.join(given)})"
            if function.weight != 1.0:
                text = f"({float(function.weight)!r} * {text})"
        called = getattr(function, "given_name", None)
        return text if called is None else f"{text}.named({json.dumps(called)})"

    def _named(self, value: Any, labels: Any, name: str) -> str:
        """A number as it is, and the name of a limit with a table for the numbers of groups."""
        if isinstance(value, (int, float, np.number)) or getattr(value, "shape", None) == ():
            return repr(float(value))
        if not isinstance(value, Mapping):
            value = dict(zip(labels, np.asarray(value, np.float64).tolist(), strict=True))
        if list(value) == [None]:
            return repr(float(value[None]))
        key = f"limit_{len(self._limits)}"
        several = [label if isinstance(label, tuple) else (label,) for label in value]
        n_keys = len(several[0]) if several else 1
        columns = {f"key {k}": pa.array([one[k] for one in several]) for k in range(n_keys)}
        numbers = pa.array([None if number is None else float(number) for number in value.values()], pa.float64())
        pq.write_table(pa.table({**columns, "number": numbers}), self.folder / f"{key}.parquet")
        self._limits[key] = toml({"file": f"{key}.parquet", "key": list(columns), "value": "number"})
        return key

    def _slate(self) -> dict[str, Any]:
        slate = self.problem.slate
        out: dict[str, Any] = {
            "size": self._by_user("size", slate.size), "at_most": dict(slate.at_most),
            "diminishing": {
                key: float(step) if np.ndim(step) == 0 else np.asarray(step, float).tolist()
                for key, step in slate.diminishing.items()
            },
            "keep": dict(slate.keep), "at_least": self._by_user("at_least", slate.at_least),
        }  # fmt: skip
        if slate.slot_weights is not None:
            out["slot_weights"] = slate.slot_weights.tolist()
        return {name: value for name, value in out.items() if value != {}}

    def _by_user(self, name: str, numbers: Any) -> Any:
        if np.ndim(numbers) == 0:
            return int(numbers)
        ids = ids_of(self.problem.candidates.user_ids, self.problem.candidates.n_users)
        table = pa.table({"user": ids, "number": pa.array(np.asarray(numbers))})
        pq.write_table(table, self.folder / f"by user {name}.parquet")
        return {"file": f"by user {name}.parquet", "key": "user", "value": "number"}


def tables_of(candidates: oa.Candidates) -> dict[str, pa.Table]:
    """Candidates as tables of pairs, users and items; numbers are the ids where there are none."""
    pairs = np.arange(candidates.n_pairs)
    users, items = ids_of(candidates.user_ids, candidates.n_users), ids_of(candidates.item_ids, candidates.n_items)
    user, item = pa.array(candidates.user_of(pairs)), pa.array(np.asarray(candidates.item[pairs]).astype(np.int64))
    columns = {candidates.user_name: users.take(user), candidates.item_name: items.take(item)}
    columns |= {name: pa.array(np.asarray(values[pairs])) for name, values in candidates.columns.items()}
    columns |= {f"{name} deviation": pa.array(of) for name, of in (candidates.uncertainty or {}).items()}
    return {
        "pairs": pa.table(columns),
        "users": pa.table({candidates.user_name: users, **_keys(candidates.users)}),
        "items": pa.table({candidates.item_name: items, **_keys(candidates.items)}),
    }


def ids_of(ids: Any, count: int) -> pa.Array:
    return pa.array(np.arange(count) if ids is None else as_listed(ids))


def _keys(keys: Mapping[str, Any]) -> dict[str, pa.Array]:
    out = {}
    for name in keys:
        key, labels = keys[name], keys[name].labels.tolist()
        if isinstance(key, MultiKey):
            parts = np.split(key.codes, key.indptr[1:-1])
            out[name] = pa.array([[labels[code] for code in part.tolist()] for part in parts])
        else:
            out[name] = pa.array([None if code < 0 else labels[code] for code in key.codes.tolist()])
    return out


def read_again(candidates: oa.Candidates) -> oa.Candidates:
    """Candidates from the tables of others, as a file has them: with ids."""
    tables = tables_of(candidates)
    deviations = {name: f"{name} deviation" for name in candidates.uncertainty or {}}
    columns = [*candidates.columns, *deviations.values()]
    return oa.Candidates.from_frames(
        tables["pairs"], users=tables["users"], items=tables["items"], user=candidates.user_name,
        item=candidates.item_name, columns=columns, uncertainty=deviations or None,
    )  # fmt: skip


def drawn_again(draws: oa.Draws, again: oa.Candidates) -> oa.Draws:
    """Draws for what `read_again` has made of their candidates: users, and pairs of a user, may be in another order."""
    before, after = (tables_of(one) for one in (draws.candidates, again))
    ids = [draws.candidates.user_name, draws.candidates.item_name]

    def places(table: str, names: list[str]) -> Any:
        old, new = (of[table].select(names).to_pandas() for of in (before, after))
        return pd.Index(old.itertuples(index=False, name=None)).get_indexer(new.itertuples(index=False, name=None))

    columns = {name: of[:, places("pairs", ids)] for name, of in draws.columns.items()}
    supply = None if draws.supply is None else draws.supply[:, places("users", ids[:1])]
    return oa.Draws(again, columns, supply)


def toml(value: Any) -> str:
    """A value of a TOML file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_dataclass(value):
        value = asdict(value)  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(name))} = {toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    return str(int(value)) if isinstance(value, (int, np.integer)) else json.dumps(str(value), ensure_ascii=True)
