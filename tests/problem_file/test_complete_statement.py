"""What the library can state, the file can state: the lists are compared, and answers are equal to the last bit."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem_file.entries import ENTRIES
from oasis_alloc.problem_file.expression import FUNCTIONS
from oasis_alloc.problem_file.statement import Statement, read_statement
from oasis_alloc.problem_file.uncertain import SOLVE_OPTIONS

# What a file says in another way, or cannot say.
ELSEWHERE = {
    "problem": "the file itself",
    "progress": "the command line shows it",
    "engine": "an object that a program makes: a cluster",
}

# Public functions that solve a problem and give no allocation to publish: what knowing more would be worth.
NOT_STATED = {"perfect_information"}

HEAD = """
maximize = 'total("relevance") + 0.2 * log(exposure(by="artist")) {more}'
subject_to = [
    '(exposure(by="campaign"){done} <= caps).named("caps")',
    'soft((exposure(by="campaign") >= floors).named("floors"), penalty=2)',
]
{top}
[candidates]
pairs = "pairs.parquet"
users = "users.parquet"
items = "items.parquet"
columns = ["relevance"]

[limits]
caps = {{ a = 14, b = 12 }}
floors = {{ a = 2 }}
{limits}
[slate]
{slate}

[solve]
gap = 1e-6
threads = 1
{solve}
"""


def head(**parts: str) -> str:
    given = {"more": "", "done": "", "top": "", "limits": "", "slate": "size = 2", "solve": ""}
    return HEAD.format(**given | parts)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Tables of 12 users and 8 items."""
    rng = np.random.default_rng(3)
    pairs = [(u, i, float(rng.random())) for u in range(12) for i in rng.choice(8, 5, replace=False).tolist()]
    users = pd.DataFrame({"user": range(12), "market": ["se", "de", "us"] * 4, "slots": [1, 2, 3] * 4})
    items = pd.DataFrame({"item": range(8), "artist": [0, 0, 1, 1, 2, 2, 3, 3], "campaign": list("aabb") + [None] * 4})
    pd.DataFrame(pairs, columns=["user", "item", "relevance"]).to_parquet(tmp_path / "pairs.parquet")
    users.to_parquet(tmp_path / "users.parquet")
    items.to_parquet(tmp_path / "items.parquet")
    return tmp_path


def candidates(tables: Path) -> oa.Candidates:
    frames = {name: pd.read_parquet(tables / f"{name}.parquet") for name in ("pairs", "users", "items")}
    return oa.Candidates.from_frames(**frames, columns=["relevance"])


def stated(tables: Path, **how: Any) -> oa.Problem:
    """The problem of HEAD in Python."""
    done, more, slate = how.pop("done", None), how.pop("more", None), how.pop("slate", oa.Slate(2))
    campaign = oa.exposure(by="campaign")
    gain = oa.total("relevance") + 0.2 * oa.log(oa.exposure(by="artist"))
    caps = (campaign if done is None else campaign.delivered_so_far(done)) <= {"a": 14, "b": 12}
    floors = oa.soft((campaign >= {"a": 2}).named("floors"), penalty=2)
    gain = gain if more is None else gain + more
    return oa.Problem(candidates(tables), gain, [caps.named("caps"), floors], slate, **how)


def read(tables: Path, **parts: str) -> Statement:
    (tables / "problem.toml").write_text(head(**parts))
    return read_statement(tables / "problem.toml")


def alike(statement: Statement, problem: oa.Problem, **options: Any) -> oa.Solution:
    one, other = oa.solve(statement.problem, **statement.solve), oa.solve(problem, gap=1e-6, threads=1, **options)
    assert one.value == other.value
    assert np.array_equal(one.x, other.x)
    assert one.policy().policy_id == other.policy().policy_id
    return other


def test_every_function_can_be_stated() -> None:
    homes = ("oasis_alloc.statement.functions", "oasis_alloc.statement.measures", "oasis_alloc.statement.stay_close")
    public = {name for name in dir(oa) if inspect.isfunction(getattr(oa, name))}
    assert {name for name in public if getattr(oa, name).__module__.startswith(homes)} == set(FUNCTIONS)
    assert all(FUNCTIONS[name] is getattr(oa, name) for name in FUNCTIONS)
    methods = {name for name, of in vars(oa.Measure).items() if inspect.isfunction(of) and not name.startswith("_")}
    assert methods - {"constant"} == {"delivered_so_far"}


def _solves(function: Any) -> bool:
    """Whether the first argument of a function is a problem, and the function takes a gap."""
    names = list(inspect.signature(function).parameters)
    takes_options = "gap" in names or any(
        one.kind is one.VAR_KEYWORD for one in inspect.signature(function).parameters.values()
    )
    return names[:1] == ["problem"] and takes_options


def test_every_rule_and_option_can_be_stated() -> None:
    assert set(ENTRIES["slate"]) == {field.name for field in fields(oa.Slate)}
    assert set(ENTRIES["solve"]) == set(inspect.signature(oa.solve).parameters) - set(ELSEWHERE)
    parts = {field.name for field in fields(oa.Problem)}
    assert parts <= set(ENTRIES[""])
    assert set(inspect.signature(oa.Problem).parameters) <= set(ENTRIES[""])
    solvers = {name for name in dir(oa) if inspect.isfunction(of := getattr(oa, name)) and _solves(of)}
    assert solvers == {"solve", "solve_uncertain", "frontier", *NOT_STATED}
    made = set(inspect.signature(oa.Candidates.from_frames).parameters)
    changed = {name for name in ENTRIES["candidates"] if inspect.isfunction(getattr(oa.Candidates, name, None))}
    assert set(ENTRIES["candidates"]) == made | changed
    assert changed == {"calibrated"}


def test_every_argument_of_a_solve_by_risk_can_be_stated() -> None:
    asked = set(inspect.signature(oa.solve_uncertain).parameters) - {"problem"}
    assert asked - {"risk", "draws", "hold"} == set(SOLVE_OPTIONS)
    assert set(SOLVE_OPTIONS) <= set(ENTRIES["solve"])
    of_draws = set(inspect.signature(oa.Draws.from_frame).parameters) - {"candidates"}
    numbers = {field.name for risk in (oa.CVaR, oa.LowerQuantile) for field in fields(risk)}
    assert set(ENTRIES["uncertainty"]) == {"risk", "hold"} | of_draws | numbers


def test_standard_deviations_of_a_column_are_another_column(tables: Path) -> None:
    columns = 'columns = ["relevance"]\n'
    text = head().replace(columns, columns + 'uncertainty = { relevance = "relevance" }\n')
    (tables / "problem.toml").write_text(text)
    read_back = read_statement(tables / "problem.toml").problem.candidates
    assert np.array_equal(read_back.uncertainty["relevance"], read_back.columns["relevance"])
    (tables / "problem.toml").write_text(text.replace('= "relevance" }', '= "sd" }'))
    with pytest.raises(oa.InputError, match="there is no column 'sd' of standard deviations"):
        read_statement(tables / "problem.toml")


def fitted(tables: Path, key: str | None) -> oa.Calibration:
    """A calibration of relevance, of all pairs or by a key, in a file."""
    frames = {name: pd.read_parquet(tables / f"{name}.parquet") for name in ("pairs", "users", "items")}
    pairs = frames["pairs"].merge(frames["users"], on="user").merge(frames["items"], on="item")
    clicked = np.random.default_rng(5).random(len(pairs)) < pairs["relevance"] ** 2
    by = None if key is None else {key: pairs[key]}
    made = oa.Calibration.fit(pairs["relevance"], clicked, by, knots=3, shrinkage=2.0)
    (tables / "relevance.json").write_text(json.dumps(made.to_dict()))
    return made


CALIBRATED = 'columns = ["relevance"]\ncalibrated = { relevance = "relevance.json" }\n'


@pytest.mark.few(1)
@pytest.mark.parametrize("key", [None, "market", "artist"])
def test_a_calibration_is_a_file_and_the_answer_has_its_bits(tables: Path, key: str | None) -> None:
    pytest.importorskip("sklearn")
    made = fitted(tables, key)
    (tables / "problem.toml").write_text(head().replace('columns = ["relevance"]\n', CALIBRATED))
    statement = read_statement(tables / "problem.toml")
    problem = stated(tables)
    mapped = problem.candidates.calibrated({"relevance": made})
    assert np.array_equal(statement.problem.candidates.columns["relevance"], mapped.columns["relevance"])
    assert not np.array_equal(mapped.columns["relevance"], mapped.request_columns["relevance"])
    assert np.array_equal(
        statement.problem.candidates.request_columns["relevance"], mapped.request_columns["relevance"]
    )
    alike(statement, problem.replace(candidates=mapped))


def edited(tables: Path, change: dict[str, Any]) -> str:
    document = {"format": "oasis_alloc.calibration", "schema": 1, "x": [0, 1], "y": [[0.1, 0.3]], "key": None}
    return json.dumps(document | {"labels": []} | change)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("{", "cannot be read as JSON"),
        ("[]", "expected a document of Calibration.to_dict"),
        ('{"x": NaN}', "NaN is not a number of JSON"),
        ('{"x": 1, "x": 2}', "a name appears twice"),
        ({"schema": 2}, "expected a document of Calibration.to_dict"),
        ({"x": [1, 0]}, "relevance.json: knots do not ascend"),
        ({"x": ["a", "b"]}, "relevance.json: ValueError"),
        ({"y": [[0.3, 0.1]]}, "relevance.json: values decrease"),
        ({"y": [[0.1, 0.2], [0.1, 0.3]]}, "0 labels for 1 rows"),
        ({"key": 3}, "its key is not a text"),
        ({"labels": "SE"}, "labels is 'SE'"),
        ({"key": "market", "labels": ["se", "se"], "y": [[0, 1]] * 3}, "a label appears twice"),
        ({"key": "planet", "labels": ["a"], "y": [[0, 1]] * 2}, "there is no key 'planet' of users or items"),
        ({"key": "market", "labels": ["xx"], "y": [[0, 1]] * 2}, "no label is in both"),
    ],
)
def test_files_without_a_calibration_are_named(tables: Path, text: Any, words: str) -> None:
    if text is not None:
        (tables / "relevance.json").write_text(edited(tables, text) if isinstance(text, dict) else text)
    (tables / "problem.toml").write_text(head().replace('columns = ["relevance"]\n', CALIBRATED))
    with pytest.raises(oa.InputError, match=re.escape(words)):
        read_statement(tables / "problem.toml")


def test_a_calibration_is_of_a_column_and_a_path(tables: Path) -> None:
    (tables / "relevance.json").write_text(edited(tables, {}))
    for entry, words in (('r = "relevance.json"', "there is no column 'r'"), ("relevance = 3", "expected the path of")):
        columns = f'columns = ["relevance"]\ncalibrated = {{ {entry} }}\n'
        (tables / "problem.toml").write_text(head().replace('columns = ["relevance"]\n', columns))
        with pytest.raises((oa.InputError, ProblemError), match=re.escape(words)):
            read_statement(tables / "problem.toml")


def test_the_plain_statement(tables: Path) -> None:
    alike(read(tables), stated(tables))


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("slate", "rules"),
    [
        ('size = "slots"', {"size": "slots"}),
        ('size = 3\nat_least = "slots"', {"size": 3, "at_least": "slots"}),
        ('size = {file = "sizes.csv", key = "user", value = "n"}', {"size": {u: 1 + u % 2 for u in range(12)}}),
        ("size = 3\nat_most = {artist = 1}\nat_least = 1", {"size": 3, "at_most": {"artist": 1}, "at_least": 1}),
        ("size = 2\ndiminishing = {artist = [0.0, 0.2]}", {"size": 2, "diminishing": {"artist": [0.0, 0.2]}}),
        ("size = 2\nkeep = {relevance = 0.9}", {"size": 2, "keep": {"relevance": 0.9}}),
        ("size = 2\nslot_weights = [1, 0.5]", {"size": 2, "slot_weights": [1.0, 0.5]}),
    ],
)
def test_rules_of_slates(tables: Path, slate: str, rules: dict[str, Any]) -> None:
    pd.DataFrame({"user": range(12), "n": [1 + u % 2 for u in range(12)]}).to_csv(tables / "sizes.csv", index=False)
    alike(read(tables, slate=slate), stated(tables, slate=oa.Slate(**rules)))


@pytest.mark.few(1)
@pytest.mark.parametrize("by", ["column", "file"])
def test_supply(tables: Path, by: str) -> None:
    weights = {u: 0.5 + u % 3 for u in range(12)}
    pd.DataFrame({"user": list(weights), "visits": list(weights.values())}).to_csv(tables / "visits.csv", index=False)
    top = 'supply = "slots"' if by == "column" else 'supply = {file = "visits.csv", key = "user", value = "visits"}'
    alike(read(tables, top=top), stated(tables, supply="slots" if by == "column" else weights))


def test_what_was_delivered_from_a_table_or_a_ledger(tables: Path) -> None:
    done = {"a": 3.0, "b": 1.0}
    with oa.Ledger(tables / "ledger.db", by="campaign") as ledger:
        ledger.record_columns(list("wxyz"), ["a", "a", "a", "b"], 1_782_864_000.0)
    for limits in ("done = {a = 3, b = 1}", 'done = {ledger = "ledger.db", by = "campaign"}'):
        statement = read(tables, done=".delivered_so_far(done)", limits=limits)
        alike(statement, stated(tables, done=done))


def test_an_earlier_solution_to_stay_close_to(tables: Path) -> None:
    before = oa.solve(stated(tables), gap=1e-6)
    before.save(tables / "monday.solution")
    statement = read(tables, more="+ stay_close(monday, weight=0.3)", limits='monday = {solution = "monday.solution"}')
    solution = alike(statement, stated(tables, more=oa.stay_close(before, weight=0.3)))
    assert solution.churn(before) < 1.0


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["solution", "policy"])
def test_prices_to_start_from(tables: Path, kind: str) -> None:
    before = oa.solve(stated(tables), gap=1e-6, threads=1)
    (before if kind == "solution" else before.policy()).save(tables / "before")
    statement = read(tables, solve='start = "before"')
    alike(statement, stated(tables), start=before.prices_by_label)  # a solution of this process knows more than these
    assert dict(statement.solve["start"]) == before.prices_by_label


def test_prices_of_constraints_that_are_gone_are_left_out(tables: Path) -> None:
    before = oa.solve(stated(tables), gap=1e-6, threads=1)
    before.save(tables / "before")
    other = head(solve='start = "before"').replace('named("caps")', 'named("other caps")').replace("a = 2", "b = 2")
    (tables / "problem.toml").write_text(other)
    statement = read_statement(tables / "problem.toml")
    assert "other caps" not in statement.solve["start"]
    assert oa.solve(statement.problem, **statement.solve).status is oa.Status.SOLVED


def test_checkpoints_conflicts_and_weights(tables: Path) -> None:
    extra = 'checkpoint = "state"\ncheckpoint_every = 1\non_conflict = "relax"\nrelax_weights = {caps = "weights"}'
    statement = read(tables, limits="weights = {a = 3}", solve=extra)
    assert statement.solve["checkpoint"] == tables / "state"
    assert statement.solve["relax_weights"] == {"caps": {"a": 3.0}}
    first = oa.solve(statement.problem, **statement.solve)
    assert (tables / "state").is_file()
    again = read(tables, solve='resume = "state"')
    assert oa.solve(again.problem, **again.solve).value == pytest.approx(first.value, rel=1e-5)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"top": "supply = 3"}, "supply is 3; expected the name of a column"),
        ({"top": 'supply = "visits"'}, "no column 'visits'"),
        ({"top": 'supply = {file = "no.csv", key = "user", value = "n"}'}, "no such file"),
        ({"slate": "size = {user = 3}"}, "slate.size: unknown entry 'user'"),
        ({"slate": "size = true"}, "slate.size is True"),
        ({"solve": 'start = "nothing"'}, "nothing"),
        ({"solve": "start = 3"}, "solve.start is 3; expected a text"),
        ({"solve": 'relax_weights = {caps = "weight"}'}, "which [limits] does not have"),
        ({"solve": 'on_conflict = "maybe"'}, None),
        ({"limits": 'done = {ledger = "none.db", by = "campaign"}'}, "there is no such ledger"),
        ({"limits": 'done = {ledger = "none.db"}'}, "by names the key"),
        ({"limits": 'monday = {solution = "none"}'}, "none"),
        ({"limits": 'monday = {solution = "none", weight = 1}'}, "unknown entry 'weight'"),
        ({"more": "+ stay_close(caps, weight=1)"}, "expected the oa.Solution"),
        ({"more": "+ log(exposure()).delivered_so_far(3)"}, "follows a measure"),
        ({"done": ".delivered_so_far(-1)"}, "delivered"),
    ],
)
def test_what_is_wrong_is_named(tables: Path, parts: dict[str, str], words: str | None) -> None:
    if words is None:
        statement = read(tables, **parts)
        with pytest.raises(ProblemError, match="on_conflict"):
            oa.solve(statement.problem, **statement.solve)
        return
    with pytest.raises(oa.OasisAllocError) as caught:
        read(tables, **parts)
    assert words in str(caught.value)


def test_the_command_takes_them(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oa.solve(stated(tables), gap=1e-6).save(tables / "monday.solution")
    (tables / "problem.toml").write_text(
        head(
            more="+ stay_close(monday, weight=0.3)", limits='monday = {solution = "monday.solution"}',
            solve='start = "monday.solution"', top='supply = "slots"',
        )
    )  # fmt: skip
    assert main(["solve", str(tables / "problem.toml"), "--out", str(tables / "out")]) == 0
    assert json.dumps(capsys.readouterr().out)
    assert (tables / "out" / "allocation.parquet").is_file()


def test_a_frontier_slates_and_boosts(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = '[frontier]\nvary = "caps"\npoints = [0.5, 1]\nscale = true\n[rounding]\nseed = 3\n[batch]\n'
    (tables / "problem.toml").write_text(head() + more)
    assert main(["solve", str(tables / "problem.toml"), "--out", str(tables / "out")]) == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said for name in ("frontier", "slates", "boosts"))
    problem = stated(tables)
    solution = oa.solve(problem, gap=1e-6, threads=1)
    curve = oa.frontier(problem, vary="caps", points=[0.5, 1.0], scale=True, gap=1e-6, threads=1)
    written = pd.read_parquet(tables / "out" / "frontier.parquet")
    assert list(written.columns) == list(curve.columns)
    assert written["value"].tolist() == curve.column("value").tolist()
    slates, drawn = pd.read_parquet(tables / "out" / "slates.parquet"), solution.round(3)
    assert slates["propensity"].tolist() == drawn.propensity.tolist()
    assert slates["item"].tolist() == problem.candidates.item_ids[problem.candidates.item[drawn.pairs]].tolist()
    solution.policy().to_parquet(problem.candidates, tables / "boosts.parquet")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tables / "out" / "boosts.parquet"), pd.read_parquet(tables / "boosts.parquet")
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[frontier]\nvary = 'caps'", "[frontier] must have points"),
        ("[frontier]\nvary = 3\npoints = [1]", "frontier.vary is 3"),
        ("[rounding]\nseed = 0.5", "rounding.seed is 0.5; expected a whole number"),
        ("[batch]\nk = 3", "batch.k: unknown entry"),
    ],
)
def test_what_further_answers_need(tables: Path, more: str, words: str) -> None:
    (tables / "problem.toml").write_text(head() + more)
    with pytest.raises(ProblemError, match=re.escape(words)):
        read_statement(tables / "problem.toml")


def test_an_answer_that_cannot_be_written_stops_no_other(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = '[frontier]\nvary = "capz"\npoints = [1]\n[rounding]\n'
    (tables / "problem.toml").write_text(head() + more)
    assert main(["solve", str(tables / "problem.toml"), "--out", str(tables / "out")]) == 5
    assert "frontier in" in capsys.readouterr().err
    assert (tables / "out" / "slates.parquet").is_file()
    assert (tables / "out" / "allocation.parquet").is_file()
