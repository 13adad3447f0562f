"""The command line: what it writes, says and returns, and what a person sees meanwhile."""

from __future__ import annotations

import builtins
import csv
import importlib.util
import io
import math
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.commands.page import number, page
from oasis_alloc.commands.progress import Display, numbers
from oasis_alloc.commands.starter import statement
from oasis_alloc.commands.summary import cost, deliveries
from oasis_alloc.markets import month

SMALL = ["--users", "400", "--degree", "20", "--campaigns", "6"]


class Page(HTMLParser):
    """Reads a page, refuses tags that do not match, and keeps its texts and tags."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("href", "src") for name, _ in attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demonstration writes for a small market, with its tables."""
    folder = tmp_path_factory.mktemp("demo")
    assert main(["demo", *SMALL, "--tables", "--out", str(folder)]) == 0
    return folder


def test_demo_writes_an_allocation_that_keeps_the_demands(demo: Path) -> None:
    shown = pd.read_parquet(demo / "allocation.parquet")
    market = month(400, 20, 6)
    policy, labels = market.policy, market.item_attributes()["campaign"]
    assert list(shown.columns) == ["user", "item", "x", "relevance", "promotion", "streams"]
    assert shown["x"].between(0, 1 + 1e-9).all()
    assert (shown.groupby("user")["x"].sum() <= market.size + 1e-6).all()
    delivered = shown["x"].groupby(labels[shown["item"].to_numpy()]).sum()
    for name, floor in policy.floors.items():
        assert delivered[name] >= floor * (1 - 1e-6)
    for name, cap in policy.caps.items():
        assert delivered.get(name, 0.0) <= cap * (1 + 1e-6)
    assert (shown["x"] * shown["relevance"]).sum() >= policy.guard * policy.organic * (1 - 1e-6)


def test_demo_prints_the_report_and_where_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *SMALL, "--seed", "2", "--out", str(tmp_path / "new" / "folder")]) == 0
    out, err = capsys.readouterr()
    assert "solved" in out
    assert "campaign floors" in out
    assert str(tmp_path / "new" / "folder" / "allocation.parquet") in out
    assert (tmp_path / "new" / "folder" / "report.html").is_file()
    assert err == ""  # no terminal, and done before the first line would be due


def test_demo_page_is_whole_and_stands_alone(demo: Path) -> None:
    source = (demo / "report.html").read_text(encoding="utf-8")
    read = Page(source)
    assert "script" not in read.tags
    assert "http" not in source
    assert {"svg", "table", "style"} <= read.tags
    for name in month(400, 20, 6).policy.caps:
        assert name in read.texts
    assert any(text.startswith("What relevance it cost") for text in read.texts)
    assert "nan" not in " ".join(read.texts).lower().split()


def test_the_demo_s_own_tables_give_the_same_answer(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(demo / "problem.toml"), "--threads", "1"]) == 0
    assert "campaign floors" in capsys.readouterr().out
    ours = pd.read_parquet(demo / "allocation.parquet")
    theirs = pd.read_parquet(demo / "answer" / "allocation.parquet")
    assert list(theirs.columns[:3]) == ["user_id", "track_id", "x"]
    value = [(one["x"] * (one["relevance"] + 0.4 * one["promotion"])).sum() for one in (ours, theirs)]
    assert value[0] == pytest.approx(value[1], rel=2e-4)


def test_the_example_is_the_statement_of_the_demo() -> None:
    example = Path(__file__).parents[1] / "examples" / "problem.toml"
    assert example.read_text(encoding="utf-8") == statement(month(), "parquet")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Two users who both like track `x` best; a statement with a cap on it, and room for one more line."""
    pairs = pd.DataFrame(
        {"user": ["u", "u", "v", "v"], "item": ["x", "<y>", "x", "<y>"], "relevance": [0.9, 0.5, 0.8, 0.1]}
    )
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    pd.DataFrame({"item": ["x", "<y>"], "campaign": ["<b>bold</b> & co", "other"]}).to_csv(
        tmp_path / "items.csv", index=False
    )
    (tmp_path / "problem.toml").write_text(
        "maximize = 'total(\"relevance\")'\n"
        "subject_to = [\n  'exposure(by=\"campaign\") <= 1',\n  # more\n]\n"
        '[candidates]\npairs = "pairs.csv"\nitems = "items.csv"\n'
        '[output]\ndirectory = "answer"\nformat = "csv"\n',
        encoding="utf-8",
    )
    return tmp_path


def add(folder: Path, line: str) -> str:
    path = folder / "problem.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("# more", line), encoding="utf-8")
    return str(path)


def test_solve_writes_csv_with_the_ids_of_the_tables(tiny: Path) -> None:
    assert main(["solve", str(tiny / "problem.toml")]) == 0
    with (tiny / "answer" / "allocation.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shown = {(row["user"], row["item"]): float(row["x"]) for row in rows}
    # the best is x for v and <y> for u: 0.8 + 0.5, against 0.9 + 0.1 the other way round
    assert shown == pytest.approx({("u", "<y>"): 1.0, ("v", "x"): 1.0}, abs=1e-3)


def test_labels_are_escaped(tiny: Path) -> None:
    assert main(["solve", str(tiny / "problem.toml")]) == 0
    read = Page((tiny / "answer" / "report.html").read_text(encoding="utf-8"))
    assert "<b>bold</b> & co" in read.texts
    assert read.tags & {"b"} == {"b"}  # our own bold numbers; the label's stays text


def test_the_command_line_goes_before_the_file(tiny: Path) -> None:
    out = tiny / "elsewhere"
    assert main(["solve", str(tiny / "problem.toml"), "--out", str(out), "--format", "parquet"]) == 0
    assert (out / "allocation.parquet").is_file()
    assert not (tiny / "answer").exists()


def test_the_reference_solves_the_same(tiny: Path) -> None:
    assert main(["solve", str(tiny / "problem.toml"), "--solver", "conic"]) == 0
    shown = pd.read_csv(tiny / "answer" / "allocation.csv")
    assert (shown["x"] * shown["relevance"]).sum() == pytest.approx(1.3, abs=1e-3)


def test_an_infeasible_statement_ends_with_3_and_names_what_conflicts(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = add(
        tiny, '\'(exposure() >= 1.9).named("enough")\', \'(total("relevance") >= 1.5).named("good")\','
    )
    assert main(["solve", path]) == 3
    out = capsys.readouterr().out
    assert "good" in out
    assert not (tiny / "answer" / "allocation.csv").exists()
    read = Page((tiny / "answer" / "report.html").read_text(encoding="utf-8"))
    assert any("good" in text for text in read.texts)


def test_stopped_short_ends_with_4_and_still_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["demo", *SMALL, "--gap", "1e-12", "--pass-limit", "3", "--out", str(tmp_path)])
    assert code == 4
    assert "pass limit" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "--users", "0"], ["users=0"]),
        (["demo", *SMALL, "--gap", "-1"], ["gap"]),
        (["demo", *SMALL, "--threads", "0"], ["threads"]),
        (["solve", "no-such.toml"], ["no-such.toml", "no such file"]),
        (["solve", "bad.toml"], ["bad.toml, line 1: maximize", "Did you mean 'total'?", "^"]),
    ],
)
def test_bad_input_ends_with_2_and_one_message(
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    (tiny / "bad.toml").write_text("maximize = 'totl(\"relevanc\")'\n[candidates]\npairs = 'pairs.csv'\n")
    monkeypatch.chdir(tiny)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("oasis-alloc: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_a_folder_that_cannot_be_made_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    assert main(["demo", *SMALL, "--out", str(tmp_path / "taken")]) == 2
    assert "taken" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dance"], ["demo", "--users", "many"], ["solve"]])
def test_arguments_that_make_no_sense_end_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: oasis-alloc" in capsys.readouterr().err


def test_without_a_library_for_parquet_the_answer_is_csv_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = {"pyarrow", "polars", "pandas", "rich", "matplotlib"}
    find, load = importlib.util.find_spec, builtins.__import__

    def refuse(name: str, *rest: object, **named: object) -> object:
        if name.partition(".")[0] in hidden:
            raise ImportError(f"No module named {name!r}")
        return load(name, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in hidden else find(name, *a)
    )
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert main(["demo", *SMALL, "--tables", "--out", str(tmp_path)]) == 0
    monkeypatch.undo()
    assert 'pip install "oasis_alloc[cli]"' in capsys.readouterr().err
    shown = pd.read_csv(tmp_path / "allocation.csv")
    assert list(shown.columns) == ["user", "item", "x", "relevance", "promotion", "streams"]
    assert 0 < shown["x"].sum() <= 400 * 10 + 1e-6
    assert main(["solve", str(tmp_path / "problem.toml")]) == 0  # the tables are CSV, too


def test_doctor_lists_versions_threads_cache_and_solvers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in (
        "python",
        f"numpy          {np.__version__}",
        "threads",
        "compile cache",
        "solver dual",
        "ready",
    ):
        assert word in out


def test_help_answers_without_loading_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys\nfrom oasis_alloc.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'cvxpy', 'pyarrow', 'pandas', 'rich', 'oasis_alloc.commands.page'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "exit codes:" in done.stdout


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def state(**changes: float | str) -> SimpleNamespace:
    """A solver's state, as `progress=` is called with."""
    fields: dict[str, float | str] = {
        "stage": "passes", "passes": 3.0, "seconds": 0.5, "bound": 1234.5, "value": math.nan, "gap": math.inf,
        "violation": 0.0, "smoothing": 0.1, "target": 1e-4,
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def test_the_display_is_quiet_without_a_terminal_and_speaks_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr("oasis_alloc.commands.progress.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    with Display(stream) as display:
        assert display(state()) is False
        assert stream.getvalue() == ""
        clock[0] += 6
        display(state(value=1234.0, gap=4e-4))
        display(state(value=1234.1, gap=3e-4))
    assert stream.getvalue().count("\n") == 1
    assert "bound 1,234.5  value 1,234  gap 4.0e-04 of 1e-04  pass 3  0.5 s" in stream.getvalue()


@pytest.mark.parametrize("rich", [True, False])
def test_the_display_on_a_terminal_leaves_nothing_behind(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not rich:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Display(stream) as display:
        display.stage("making the market")
        for gap in (math.inf, 1e-1, 1e-3, 1e-5):
            display(state(gap=gap, value=1.0 if gap < 1 else math.nan))
            if rich:
                display._view._progress.refresh()  # type: ignore[union-attr]
    seen = stream.getvalue()
    assert "making the market" in seen
    assert "gap 1.0e-03 of 1e-04" in seen
    assert "100%" in seen
    if not rich:
        assert seen.endswith("\r")


def test_the_bar_measures_orders_of_magnitude_and_never_falls() -> None:
    display = Display(io.StringIO())
    way = [display.done(state(gap=gap)) for gap in (math.inf, 1.0, 1e-2, 1e-1, 1e-3, 1e-4)]
    assert way == pytest.approx([0.0, 0.0, 0.5, 0.5, 0.75, 1.0])
    assert "value" not in numbers(state())


def test_the_first_interrupt_asks_the_solver_to_stop_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Display(io.StringIO()) as display:
        assert display(state()) is False
        signal.raise_signal(signal.SIGINT)
        assert display(state()) is True
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_solve_ends_with_the_best_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Display):
        def __enter__(self) -> Display:
            entered = super().__enter__()
            self.calls = 0
            return entered

        def __call__(self, state: object) -> bool:
            self.calls += 1
            if self.calls == 2:
                signal.raise_signal(signal.SIGINT)
            return super().__call__(state)  # type: ignore[arg-type]

    monkeypatch.setattr("oasis_alloc.commands.demo.Display", Impatient)
    assert main(["demo", *SMALL, "--gap", "1e-13", "--out", str(tmp_path)]) == 4
    assert (tmp_path / "report.html").is_file()


def test_a_share_is_shown_as_a_cap_on_what_is_delivered() -> None:
    cands = oa.Candidates.from_arrays(
        [0, 2, 4], [0, 1, 0, 1], {"relevance": [0.9, 0.5, 0.8, 0.7]}, items={"licensor": ["m", "n"]},
        users={"market": ["SE", "DE"]},
    )  # fmt: skip
    problem = oa.Problem(
        cands,
        maximize=oa.total("relevance"),
        subject_to=[
            oa.exposure(by="licensor") <= 0.75 * oa.exposure(),
            oa.exposure(by=("licensor", "market")) <= 0.5 * oa.exposure(by="market"),
            (oa.exposure(by="licensor") >= 1.0).named("floor"),
            (oa.exposure(by="licensor") <= {"m": 5.0}).named("cap"),
        ],
        slate=oa.Slate(2),
    )
    positions, x = np.array([0, 1, 2]), np.array([1.0, 0.5, 1.0])
    prices = {name: np.zeros(len(problem.labels(name))) for name in problem.names}
    prices["floor"][1] = -0.2
    share, pairs, both = deliveries(problem, positions, x, prices)
    np.testing.assert_allclose(share.delivered, [2.0, 0.5])
    np.testing.assert_allclose(share.cap, [0.75 * 2.5, 0.75 * 2.5])
    assert pairs.labels == ["m · DE", "m · SE", "n · DE", "n · SE"]
    np.testing.assert_allclose(pairs.delivered, [1.0, 1.0, 0.0, 0.5])
    np.testing.assert_allclose(pairs.cap, [0.5, 0.75, 0.5, 0.75])
    assert both.names == ["floor", "cap"]
    np.testing.assert_allclose(both.floor, [1.0, 1.0])
    np.testing.assert_allclose(both.cap, [5.0, np.inf])
    np.testing.assert_allclose(both.price, [0.0, -0.2])
    assert both.state == ["", "at floor"]
    lost = cost(problem, positions, x, "relevance")
    assert lost.labels == ["DE", "SE"]
    np.testing.assert_allclose(lost.organic, [1.5, 1.4], rtol=1e-6)
    np.testing.assert_allclose(lost.kept, [0.8, 1.15], rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567.8, "1,234,568"),
        (-0.012345, "-0.01235"),
        (12.0, "12"),
        (0.0, "0"),
        (math.inf, "–"),
        (1e-12, "0"),
    ],
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_a_page_lists_the_groups_that_weigh_most_of_many() -> None:
    n = 200
    cands = oa.Candidates.from_arrays(
        np.arange(n + 1), np.arange(n), {"v": np.ones(n)}, items={"campaign": np.arange(n)}
    )
    problem = oa.Problem(
        cands, maximize=oa.total("v"), subject_to=[oa.exposure(by="campaign") <= 0.5], slate=oa.Slate(1)
    )
    solution = oa.solve(problem)
    source = page(problem, solution, "many", "v")
    Page(source)
    assert len(re.findall(r"at cap</td>", source)) == 60
    assert "Listed are the 60 whose limits weigh most." in source
