"""Statements in TOML: what expressions mean, what they may not say, and where errors point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import oasis_alloc as oa
from oasis_alloc.errors import InputError, ProblemError
from oasis_alloc.problem_file.expression import SourcePosition, evaluate
from oasis_alloc.problem_file.statement import read_statement

LIMITS = {"caps": {"a": 2.0, "b": 4.0}, "most": 3.0}
PLACE = SourcePosition("problem.toml", 7, "subject_to[0]")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('total("relevance")', oa.total("relevance")),
        ("exposure()", oa.exposure()),
        ('exposure(by="campaign") <= 3', oa.exposure(by="campaign") <= 3),
        ("exposure(by=('market', 'campaign')) >= 1", oa.exposure(by=("market", "campaign")) >= 1),
        ("exposure(by=['market', 'campaign']) >= 1", oa.exposure(by=("market", "campaign")) >= 1),
        ('total("r") + 0.4 * total("p")', oa.total("r") + 0.4 * oa.total("p")),
        ('total("r") / 4 - total("p")', oa.total("r") / 4 - oa.total("p")),
        ('-total("p") >= -1e3', -oa.total("p") >= -1000),
        ("+exposure() == 2.5", oa.exposure() == 2.5),
        ("3 >= exposure()", oa.exposure() <= 3),
        ("exposure() <= most", oa.exposure() <= 3),
        ("exposure() <= 2 * (most + 1) / 4", oa.exposure() <= 2),
        ('exposure(by="c") <= caps', oa.exposure(by="c") <= LIMITS["caps"]),
        ('caps >= exposure(by="c")', oa.exposure(by="c") <= LIMITS["caps"]),
        ('exposure(by="c") <= 0.5 * caps', oa.exposure(by="c") <= {"a": 1.0, "b": 2.0}),
        ('exposure(by="c") <= caps / 2', oa.exposure(by="c") <= {"a": 1.0, "b": 2.0}),
        ('exposure(by="l") <= 0.25 * exposure()', oa.exposure(by="l") <= 0.25 * oa.exposure()),
        ('soft(exposure(by="c") >= 1, penalty=2)', oa.soft(oa.exposure(by="c") >= 1, penalty=2.0)),
        ("soft(exposure() >= 1,\n     penalty=2)", oa.soft(oa.exposure() >= 1, penalty=2.0)),
        ("exposure() <= 1  # a remark", oa.exposure() <= 1),
        ("  exposure()\n  <= 1  ", oa.exposure() <= 1),
    ],
)
def test_an_expression_means_what_python_would_mean(text: str, meaning: object) -> None:
    assert repr(evaluate(text, LIMITS, PLACE)) == repr(meaning)


def test_a_name_is_given_in_the_text() -> None:
    assert evaluate('(exposure() <= 1).named("all")', {}, PLACE).name == "all"
    assert evaluate('soft(exposure() <= 1, penalty=1).named("all")', {}, PLACE).name == "all"


@pytest.mark.parametrize(
    ("text", "words", "under"),
    [
        ("exposure() <= capz", ["unknown name 'capz'", "Did you mean 'caps'?"], "capz"),
        ("exposur() <= 1", ["unknown function 'exposur'", "'exposure'"], "exposur"),
        ("exposure <= 1", ["write exposure(...)"], "exposure"),
        ("exposure() < 1", ["strict inequality", "Use <=."], "exposure"),
        ("exposure() != 1", ["not a convex constraint"], "exposure"),
        ("1 <= exposure() <= 2", ["two constraints"], "1 <="),
        ("exposure() <= exposure", ["write exposure(...)"], "exposure\n"),
        ("exposure() +", ["not an expression"], None),
        ("exposure( <= 1", ["not an expression"], None),
        ("", ["empty"], None),
        ("   ", ["empty"], None),
        ("x" * 10_001, ["10,001 characters"], None),
        ("(" * 500 + "1" + ")" * 500, ["problem.toml"], None),
        ("-" * 5000 + "1", ["problem.toml"], None),
        ("exposure() <= True", ["True is not a number"], "True"),
        ("exposure() <= None", ["None is not a number"], "None"),
        ("exposure() <= 2j", ["2j is not a number"], "2j"),
        ("exposure() <= 1e999", ["too large"], "1e999"),
        ("exposure() <= " + "9" * 400, ["too large"], "999"),
        ("exposure() <= 'a'", ["text, not a measure"], "exposure"),
        ("exposure() * 'a' <= 1", ["text, not a measure"], "exposure"),
        ("exposure() + 1 <= 2", ["constant"], "exposure"),
        ("exposure() * exposure() <= 2", ["cannot combine"], "exposure"),
        ("exposure() / 0 <= 2", ["divide", "zero"], "exposure"),
        ("1 / 0 >= exposure()", ["division by zero"], "1 /"),
        ("1e308 * 10 * exposure() <= 1", ["finite"], "1e308"),
        ("caps + caps", ["cannot combine", "2 labels"], "caps"),
        ("caps <= most", ["cannot combine"], "caps"),
        ("exposure(buy='c')", ["buy"], "exposure"),
        ("total()", ["column"], "total"),
        ("total(1)", ["name of a column"], "total"),
        ("soft(exposure(), penalty=1)", ["takes a constraint"], "soft"),
        ("soft(exposure() >= 1, penalty=-1)", ["positive"], "soft"),
        ("exposure().named('x')", [".named"], "exposure"),
        ("(exposure() <= 1).named()", ["named"], "(exposure"),
        # what a statement from somebody else might try
        ("__import__('os').system('true')", ["can be called"], "__import__"),
        ("exposure.__globals__", ["an attribute"], "exposure"),
        ("exposure().terms", ["an attribute"], "exposure"),
        ("(exposure() <= 1).bind", ["an attribute"], "(exposure"),
        ("(exposure() <= 1).bind([1])", ["can be called"], "(exposure"),
        ("().__class__.__base__.__subclasses__()", ["can be called"], "("),
        ("open('x')", ["unknown function 'open'"], "open"),
        ("eval('1')", ["unknown function 'eval'"], "eval"),
        ("solve(1)", ["unknown function 'solve'"], "solve"),
        ("[x for x in (1, 2)]", ["a comprehension"], "[x"),
        ("{x: 1 for x in (1, 2)}", ["a comprehension"], "{x"),
        ("sum(x for x in (1, 2))", ["unknown function 'sum'"], "sum"),
        ("lambda: 1", ["function of your own"], "lambda"),
        ("9 ** 9 ** 9", ["cannot be used in a statement"], "9 **"),
        ("1 << 999999999", ["cannot be used in a statement"], "1 <<"),
        ("caps['a']", ["an index"], "caps"),
        ("f'{caps}'", ["a formatted text"], "f'"),
        ("1 if most else 2", ["a condition"], "1 if"),
        ("most and 1", ["'and' or 'or'"], "most"),
        ("not most", ["cannot be used in a statement"], "not"),
        ("~1", ["cannot be used in a statement"], "~"),
        ("(a := 1)", ["an assignment"], "a :="),
        ("exposure(*caps)", ["starred"], "*caps"),
        ("exposure(**caps)", ["starred"], "caps"),
        ("1 in caps", ["<=, >= or =="], "1 in"),
        ("{'a': 1}", ["cannot be used in a statement"], "{"),
        ("b'bytes'", ["not a number"], "b'"),
        ("...", ["not a number"], "..."),
        ("await most", ["problem.toml"], None),
        ("1) + (1\0", ["problem.toml"], None),
        ("import os", ["not an expression"], None),
        ("most; most", ["not an expression"], None),
    ],
)
def test_what_an_expression_may_not_say(text: str, words: list[str], under: str | None) -> None:
    with pytest.raises(ProblemError) as error:
        evaluate(text, LIMITS, PLACE)
    message = str(error.value)
    assert message.startswith("problem.toml, line 7: subject_to[0]: ")
    for word in words:
        assert word in message
    if under is not None:
        _, shown, caret = message.rsplit("\n", 2)
        assert (shown + "\n")[caret.index("^") :].startswith(under)


def test_an_error_points_at_its_own_line_and_past_wide_letters() -> None:
    with pytest.raises(ProblemError) as error:
        evaluate('exposure(by="größe")\n  <= obergräße', {}, PLACE)
    message = str(error.value)
    assert message.startswith("problem.toml, line 8: subject_to[0]: unknown name 'obergräße'")
    assert message.endswith("\n      <= obergräße\n         ^")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of three users and four tracks, and a campaign table with an empty cell."""
    pairs = pd.DataFrame(
        {
            "user_id": ["u1", "u1", "u1", "u2", "u2", "u3"],
            "track_id": [10, 11, 12, 10, 13, 13],
            "relevance": [0.9, 0.5, 0.1, 0.8, 0.7, -0.2],
        }
    )
    pairs.to_parquet(tmp_path / "pairs.parquet")
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    items = pd.DataFrame({"track_id": [10, 11, 12, 13], "campaign": ["a", "b", None, "b"], "label": [1, 2, 2, 1]})
    items.to_parquet(tmp_path / "items.parquet")
    users = pd.DataFrame({"user_id": ["u1", "u2", "u3"], "market": ["SE", "DE", "SE"]})
    users.to_parquet(tmp_path / "users.parquet")
    pd.DataFrame({"campaign": ["a", "b"], "cap": [1.0, 2.0], "floor": [None, 1.0]}).to_parquet(
        tmp_path / "campaigns.parquet"
    )
    pd.DataFrame({"market": ["SE", "DE"], "campaign": ["a", "b"], "cap": [1.0, 0.0]}).to_csv(
        tmp_path / "market_caps.csv", index=False
    )
    return tmp_path


CANDIDATES = """
[candidates]
pairs = "pairs.parquet"
users = "users.parquet"
items = "items.parquet"
user = "user_id"
item = "track_id"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "problem.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_statement_is_the_problem_it_states(folder: Path) -> None:
    text = f"""
maximize = 'total("relevance")'
subject_to = [
    '(exposure(by="campaign") <= caps).named("caps")',
    'exposure(by="campaign") >= floors',
    'exposure(by=("market", "campaign")) <= market_caps',
    'exposure(by="label") <= labels',
    'exposure(by="campaign") <= few',
    'total("relevance") >= 0.5 * organic',
]
{CANDIDATES}
[limits]
caps = {{ file = "campaigns.parquet", key = "campaign", value = "cap" }}
floors = {{ file = "campaigns.parquet", key = "campaign", value = "floor" }}
market_caps = {{ file = "market_caps.csv", key = ["market", "campaign"], value = "cap" }}
labels = {{ 1 = 2, 2 = 3.5 }}
few = {{ a = 1 }}
organic = {{ best = "relevance" }}
[slate]
size = 2
[solve]
gap = 1e-6
threads = 1
[output]
directory = "answer"
format = "csv"
"""
    statement = read_statement(write(folder, text))
    limits = [function.limit for function in statement.problem.subject_to]
    assert limits[0] == {"a": 1.0, "b": 2.0}
    assert limits[1] == {"b": 1.0}  # an empty cell is no limit
    assert limits[2] == {("SE", "a"): 1.0, ("DE", "b"): 0.0}
    assert limits[3] == {1: 2.0, 2: 3.5}  # the labels of the table are whole numbers
    assert limits[4] == {"a": 1.0}
    assert limits[5] == pytest.approx(0.5 * (0.9 + 0.5 + 0.8 + 0.7), rel=1e-6)  # nothing below 0 is shown
    assert statement.problem.names[0] == "caps"
    assert statement.problem.slate == oa.Slate(2)
    assert statement.problem.candidates.n_pairs == 6
    assert dict(statement.solve) == {"gap": 1e-6, "threads": 1}
    assert statement.directory == str(folder / "answer")
    assert statement.format == "csv"


def test_a_slate_may_hold_so_many_of_a_category(folder: Path) -> None:
    text = f"maximize = 'exposure()'\n{CANDIDATES}\n[slate]\nsize = 2\nat_most = {{campaign = 1, label = 2}}\n"
    assert read_statement(write(folder, text)).problem.slate == oa.Slate(2, {"campaign": 1, "label": 2})
    lines = f"maximize = 'exposure()'\n{CANDIDATES}\n[slate.at_most]\ncampaign = 3\n"
    assert read_statement(write(folder, lines)).problem.slate == oa.Slate(1, {"campaign": 3})


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("at_most = 2", ["slate.at_most is 2", "a table: at_most = {artist = 2}"]),
        ("at_most = {campaign = 0}", ["{'campaign': 0}", "at least 1"]),
        ("at_most = {campaign = 1.5}", ["{'campaign': 1.5}", "whole number"]),
        ("at_most = {campain = 1}", ["no key 'campain'", "Did you mean 'campaign'?"]),
        ("at_mots = {campaign = 1}", ["slate.at_mots: unknown entry", "'at_most'"]),
        ("size = 0", ["size=0", "at least 1"]),
    ],
)
def test_rules_of_a_slate_that_are_stated_wrongly(folder: Path, rules: str, words: list[str]) -> None:
    with pytest.raises(ProblemError) as error:
        read_statement(write(folder, f"maximize = 'exposure()'\n{CANDIDATES}\n[slate]\n{rules}\n"))
    for word in ["problem.toml", *words]:
        assert word in str(error.value)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_pairs_alone_are_enough(folder: Path, kind: str) -> None:
    text = (
        f'maximize = "total(\\"relevance\\")"\n[candidates]\npairs = "pairs.{kind}"\n'
        'user = "user_id"\nitem = "track_id"\n'
    )
    problem = read_statement(write(folder, text)).problem
    assert problem.candidates.n_users == 3
    np.testing.assert_allclose(problem.candidates.columns["relevance"][:2], [0.9, 0.5])


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("maximize = ", ProblemError, ["not valid TOML", "Invalid value"]),
        ("maximizes = 'x'", ProblemError, ["maximizes: unknown entry", "'maximize'"]),
        ("maximize = 3", ProblemError, ["maximize is 3", "a text"]),
        ("subject_to = ['a', 2]", ProblemError, ["subject_to", "a list of texts"]),
        ("candidates = 3", ProblemError, ["expected a table: [candidates]"]),
        ("maximize = 'exposure()'", ProblemError, ["[candidates] must name a file"]),
        (CANDIDATES, ProblemError, ["maximize is missing"]),
        (
            CANDIDATES + "maximize = 'exposure()'",
            ProblemError,
            ["candidates.maximize", "before the first [table]"],
        ),
        (CANDIDATES + "[slate]\nsize = 2.5", ProblemError, ["slate.size is 2.5", "whole number"]),
        (CANDIDATES + "[slate]\nsize = true", ProblemError, ["slate.size is True"]),
        (CANDIDATES + "[solve]\ngaps = 1", ProblemError, ["solve.gaps", "'gap'"]),
        (CANDIDATES + "[solve]\ngap = '1'", ProblemError, ["solve.gap is '1'", "a number"]),
        (CANDIDATES + "[output]\nformat = 'xls'", ProblemError, ["output.format is 'xls'", "parquet, csv"]),
    ],
)
def test_a_statement_that_cannot_be_read(folder: Path, text: str, kind: type[Exception], words: list[str]) -> None:
    with pytest.raises(kind) as error:
        read_statement(write(folder, text))
    for word in ["problem.toml", *words]:
        assert word in str(error.value)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("objective", "rest", "words"),
    [
        ("'total(\"relevanc\")'", "", ["'relevanc'", "'relevance'"]),
        ('\'total("relevance", by="campaign")\'', "", ["expected one number to maximize"]),
        ("'exposure() <= 1'", "", ["is a constraint"]),
        ("'exposure()'\nsubject_to = ['exposure()']", "", ["line 2: subject_to[0]", "not a constraint"]),
        ("'exposure()'\nsubject_to = ['1 >= 2']", "", ["not a constraint"]),
        (
            "'exposure()'\nsubject_to = [\n'exposure() <= 1',\n'capz >= 1']",
            "",
            ["line 4: subject_to[1]", "capz"],
        ),
        ("'exposure()'\nsubject_to = ['exposure(by=\"artist\") <= 1']", "", ["artist", "campaign"]),
        ("'exposure()'\nsubject_to = ['exposure(by=\"campaign\") <= {}']", "", ["cannot be used"]),
        ("'exposure()'", "[limits]\nc = 'x'", ["limits.c is 'x'", "a number"]),
        ("'exposure()'", "[limits]\nc = nan", ["limits.c is nan"]),
        ("'exposure()'", "[limits]\nc = { a = true }", ["limits.c.a is True"]),
        ("'exposure()'", "[limits]\n'a b' = 1", ["'a b' cannot be used in an expression"]),
        ("'exposure()'", "[limits]\nc = { best = 'relevanc' }", ["no column 'relevanc'", "'relevance'"]),
        ("'exposure()'", "[limits]\nc = { best = 'relevance', size = 3 }", ["unknown entry 'size'"]),
        (
            "'exposure()'",
            "[limits]\nc = { file = 'campaigns.parquet', value = 'cap' }",
            ["key names the column"],
        ),
        ("'exposure()'", "[limits]\nc = { file = 'campaigns.parquet', key = 'campaign' }", ["value names"]),
        (
            "'exposure()'",
            "[limits]\nc = { file = 'campaigns.parquet', key = 'campaign', value = 'caps' }",
            ["no column 'caps'", "'cap'"],
        ),
        (
            "'exposure()'",
            "[limits]\nc = { file = 'items.parquet', key = 'campaign', value = 'label' }",
            ["row 3", "'b' appears twice"],
        ),
        (
            "'exposure()'",
            "[limits]\nc = { file = 'campaigns.parquet', key = 'cap', value = 'campaign' }",
            ["row 0", "'a'", "a number"],
        ),
        (
            "'exposure()'\nsubject_to = ['exposure(by=\"campaign\") <= c']",
            "[limits]\nc = { z = 1 }",
            ["no group 'z'", "Known: a, b"],
        ),
    ],
)
def test_a_problem_that_is_stated_wrongly(folder: Path, objective: str, rest: str, words: list[str]) -> None:
    with pytest.raises(ProblemError) as error:
        read_statement(write(folder, f"maximize = {objective}\n{CANDIDATES}\n{rest}\n"))
    for word in ["problem.toml", *words]:
        assert word in str(error.value)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ("missing.parquet", ["missing.parquet", "no such file", "pairs.parquet"]),
        ("nothere", ["nothere: there is no such file or folder", "Known: "]),
        ("missing.parqet", ["there is no such file", ".parquet or .csv", "Did you mean"]),
        ("a\\u001b[31m.csv", ["a\\x1b[31m.csv: there is no such file"]),
        ("/dev/null", ["/dev/null is a device"]),
        ("mixed", ["mixed has files of two kinds: 1 such as a.parquet and 2 such as b.csv", "not both"]),
        ("pairs.xlsx", ["pairs.xlsx", ".parquet or .csv"]),
        ("broken.parquet", ["broken.parquet", "cannot read it"]),
    ],
)
def test_tables_that_cannot_be_read(folder: Path, pairs: str, words: list[str]) -> None:
    (folder / "broken.parquet").write_text("this is not Parquet")
    (folder / "missing.parquet.old").touch()
    (folder / "mixed").mkdir()
    for name in ("a.parquet", "b.csv", "c.csv"):
        (folder / "mixed" / name).write_text("user,item,r\n1,1,1\n")
    text = f"maximize = 'exposure()'\n[candidates]\npairs = \"{pairs}\"\nuser = 'user_id'\nitem = 'track_id'\n"
    with pytest.raises(InputError) as error:
        read_statement(write(folder, text))
    for word in words:
        assert word in str(error.value)


def test_a_statement_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_statement(tmp_path / "problem.toml")


def test_the_files_of_a_statement_start_at_its_own_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    path = write(folder, f"maximize = 'exposure()'\n{CANDIDATES}")
    assert read_statement(path).problem.candidates.n_items == 4


def test_labels_of_limits_may_be_of_any_type_that_toml_can_spell(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({"user": np.repeat(np.arange(6), 4), "item": np.tile(np.arange(4), 6), "r": rng.random(24)})
    items = pd.DataFrame(
        {
            "item": np.arange(4),
            "new": [True, False, True, False],
            "day": pd.to_datetime(["2026-11-01", "2026-11-02", "2026-11-01", "2026-11-02"]).date,
            "level": [0.5, 1.5, 0.5, 1.5],
            "number": [7, 8, 7, 8],
            "word": ["8", "true", "8", "true"],
        }
    )
    pairs.to_parquet(tmp_path / "pairs.parquet")
    items.to_parquet(tmp_path / "items.parquet")
    path = write(
        tmp_path,
        "maximize = 'total(\"r\")'\nsubject_to = ['exposure(by=\"new\") <= news', 'exposure(by=\"day\") <= days', "
        "'exposure(by=\"level\") <= levels', 'exposure(by=\"number\") <= numbers']\n"
        '[candidates]\npairs = "pairs.parquet"\nitems = "items.parquet"\n'
        '[limits]\nnews = { false = 1 }\ndays = { 2026-11-01 = 2 }\nlevels = { "0.5" = 3 }\nnumbers = { 7 = 4 }\n',
    )
    problem = read_statement(path).problem
    assert [f.limit for f in problem.subject_to] == [  # type: ignore[attr-defined]
        {False: 1.0}, {items["day"][0]: 2.0}, {0.5: 3.0}, {7: 4.0}
    ]  # fmt: skip


def test_numbers_that_no_array_holds_name_the_limit(folder: Path) -> None:
    for digits in ("9" * 400, "9" * 5_000):
        for text in (f"[slate]\nsize = {digits}", f"[limits]\ncap = {digits}"):
            with pytest.raises(ProblemError, match=r"expected at most .*1\.8e308") as error:
                read_statement(write(folder, f"maximize = 'exposure()'\n{CANDIDATES}\n{text}\n"))
            assert "set_int_max_str_digits" not in str(error.value)
            assert len(str(error.value)) < 400


def test_columns_of_one_name_in_a_parquet_file_are_left_alone(folder: Path) -> None:
    ids = pa.array([1, 2, 1])
    names = ["user", "item", "r", "k", "k"]
    table = pa.Table.from_arrays([pa.array([1, 1, 2]), ids, pa.array([0.1, 0.2, 0.3]), ids, ids], names=names)
    pq.write_table(table, folder / "doubled.parquet")
    stated = "maximize = 'total(\"{}\")'\n[candidates]\npairs = 'doubled.parquet'\n"
    assert read_statement(write(folder, stated.format("r"))).problem.candidates.n_pairs == 3
    with pytest.raises(ProblemError, match=r"They were renamed to 'k \(column 4\)' and 'k \(column 5\)'"):
        read_statement(write(folder, stated.format("k")))
