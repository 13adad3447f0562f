"""Whatever a statement says, the command line answers with a result or with one message, never with a traceback."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oasis_alloc.__main__ import main

# of numbers near the largest there are; results are then what other tests are about
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

WHOLE = """\
maximize = 'total("relevance")'
subject_to = ['exposure(by="genre") <= caps', 'exposure() <= most']
[candidates]
pairs = "pairs.csv"
items = "items.csv"
columns = ["relevance"]
[limits]
most = 3
caps = { rock = 1, pop = 2.5 }
[slate]
size = 2
at_most = { genre = 1 }
[solve]
gap = 1e-3
pass_limit = 30
threads = 1
[output]
directory = "answer"
format = "csv"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    (made / "pairs.csv").write_text("user,item,relevance\n1,1,0.5\n1,2,0.25\n2,1,0.5\n2,2,0.75\n")
    (made / "items.csv").write_text("item,genre\n1,rock\n2,pop\n")
    (made / "problem.toml").write_text(WHOLE)
    assert main(["solve", str(made / "problem.toml")]) == 0  # compiles, which takes longer than the limit in `run`
    return made


def run(folder: Path, text: str | bytes) -> tuple[int, str]:
    """(exit code, what was said on standard error) of a solve; anything raised is raised."""
    path = folder / "problem.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        code = main(["solve", str(path), "--time-limit", "5"])
    return code, err.getvalue()


def check(folder: Path, text: str | bytes) -> int:
    code, said = run(folder, text)
    assert code in (0, 2, 3, 4), said
    assert "internal error" not in said
    if code == 2:
        assert said.startswith("oasis-alloc: ")
        assert len(said) < 30_000
    return code


def test_the_statement_itself_is_solved(folder: Path) -> None:
    assert check(folder, WHOLE) == 0
    assert check(folder, "\ufeff" + WHOLE) == 0, "a byte order mark is nothing"
    assert check(folder, WHOLE.replace("\n", "\r\n")) == 0


DEEP = "[" * 3_000 + "]" * 3_000
TABLES = "{a=" * 3_000 + "1" + "}" * 3_000
NASTY = [
    ("x = 1", f"x = {DEEP}"), ("x = 1", f"x = {TABLES}"), ("x = 1", "x" + ".x" * 2_000 + " = 1"),
    ("most = 3", f"most = {'9' * 400}"), ("most = 3", f"most = {'9' * 5_000}"),
    ("most = 3", f"most = 0x{'f' * 5_000}"), ("most = 3", f"most = {DEEP[2_950:3_050]}"),
    ("most = 3", "most = nan"), ("most = 3", "most = -inf"), ("most = 3", "most = 1979-05-27"),
    ("most = 3", "most = 07:32:00"), ("most = 3", 'most = "3"'), ("rock = 1", f"rock = {'9' * 400}"),
    ("rock = 1", f"{'9' * 5_000} = 1"), ("rock = 1", '"\\u0000" = 1'), ("size = 2", f"size = 1{'0' * 20}"),
    ("size = 2", "size = 9223372036854775807"), ("size = 2", "size = 1e20"), ("size = 2", "size = -1"),
    ("size = 2", f"size = 0x{'f' * 5_000}"), ("size = 2", "size = 2\nslot_weights = [1, 1]"),
    ("size = 2", f"size = 2\nslot_weights = [1, {'9' * 400}]"),
    ("size = 2", "size = 2\nat_least = 99999999999999999999"), ("genre = 1", f"genre = {'9' * 400}"),
    ("genre = 1", "genre = true"), ("genre = 1", "gerne = 1"),
    ("size = 2", f"size = 2\ndiminishing = {{ genre = {'9' * 400} }}"),
    ("size = 2", "size = 2\nkeep = { relevance = 1e999 }"), ("gap = 1e-3", f"gap = {'9' * 400}"),
    ("gap = 1e-3", "gap = inf"), ("gap = 1e-3", "gap = nan"), ("gap = 1e-3", "gap = 0"),
    ("gap = 1e-3", "gap = 1e-3\ntime_limit = nan"), ("gap = 1e-3", "gap = 1e-3\ntime_limit = -inf"),
    ("threads = 1", "threads = 99999999999999999999"), ("threads = 1", "threads = 0"),
    ("threads = 1", "threads = 10000"), ("pass_limit = 30", f"pass_limit = {'9' * 400}"),
    ("threads = 1", "threads = 1\nsolver = \"\\u0000\""), ('"answer"', '"a\\u0000b"'),
    ('"answer"', f'"{"x" * 5_000}"'), ('"answer"', '"pairs.csv"'), ('"answer"', '""'),
    ('"pairs.csv"', '"a\\u0000b.csv"'), ('"pairs.csv"', f'"{"x" * 5_000}.csv"'), ('"pairs.csv"', '"."'),
    ('"pairs.csv"', '""'), ('"pairs.csv"', '"/dev/zero.csv"'), ('"items.csv"', '"/dev/null"'),
    ('["relevance"]', '["relevance", "relevance"]'), ('["relevance"]', "[]"), ("<= most", f"<= {'9' * 5_000}"),
    ("<= most", "<= " + "-" * 3_000 + "1"), ("<= most", "<= " + "(" * 3_000 + "1" + ")" * 3_000),
    ("<= most", "<= " + "1+" * 4_000 + "1"), ("<= most", "<= 1e308 * 10"), ("<= most", "<= 1e-320 / 1e320"),
    ("<= most", "<= most / 0"), ("<= most", "<= 2 ** 3"), ("<= most", "<= caps[0]"), ("<= most", "<= caps"),
    ("<= most", "<= most <= most"), ('total("relevance")', 'log(exposure(by="genre"), offset=1e308)'),
    ('total("relevance")', 'alpha_fair(exposure(), alpha=1e308)'),
    ('total("relevance")', 'total("relevance") * 1e308 * 1e308'),
    ('total("relevance")', 'total(total("relevance"))'), ('total("relevance")', "exposure(by=())"),
    ('total("relevance")', "soft(exposure() <= 1, penalty=-1)"), ("most = 3", "most = 5.2e-151"),
]  # fmt: skip


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("what", "instead"),
    [
        pytest.param(*entry, id=f"{k}-{entry[1][:24]}", marks=() if k % 3 == 0 else pytest.mark.full)
        for k, entry in enumerate(NASTY)
    ],
)
def test_extreme_entries_are_one_message_or_a_result(folder: Path, what: str, instead: str) -> None:
    text = "x = 1\n" + WHOLE if what == "x = 1" else WHOLE
    assert what in text
    check(folder, text.replace(what, instead, 1))


RAW = [b"\xff\xfe" + WHOLE.encode("utf-16-le"), b"\x00" * 100, b"", b"\xed\xa0\x80 = 1", b'x = "\x7f"', b"\xef\xbb\xbf"]


@pytest.mark.parametrize("raw", RAW)
def test_bytes_that_are_no_statement_are_one_message(folder: Path, raw: bytes) -> None:
    assert check(folder, raw) == 2


_VALUES = st.one_of(
    st.integers(-(10**25), 10**25).map(str),
    st.floats().map(lambda x: repr(x).replace("e+", "e")),
    st.text(max_size=8).map(lambda s: "'''" + s.replace("'", "") + "'''"),
    st.sampled_from(["true", "[]", "{}", "[[1]]", "1979-05-27", "[1, 'a']", "{ a = { b = 1 } }", "1e400", "[nan]"]),
)
_LINES = [k for k, line in enumerate(WHOLE.splitlines()) if " = " in line]


@pytest.mark.full
@given(st.sampled_from(_LINES), _VALUES)
@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_of_an_entry(folder: Path, line: int, value: str) -> None:
    lines = WHOLE.splitlines()
    lines[line] = f"{lines[line].partition(' = ')[0]} = {value}"
    check(folder, "\n".join(lines))


@given(st.data())
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_the_text(folder: Path, data: st.DataObject) -> None:
    raw = WHOLE.encode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        cut = data.draw(st.integers(0, 6))
        raw = raw[:at] + data.draw(st.binary(max_size=4)) + raw[at + cut :]
    check(folder, raw)
