"""The command line: what it writes, says and returns."""

from __future__ import annotations

import builtins
import csv
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oasis_alloc.__main__ import main
from oasis_alloc.commands.progress import Display
from oasis_alloc.commands.starter import statement
from oasis_alloc.markets import month

SMALL = ["--users", "400", "--degree", "20", "--campaigns", "6"]


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


def test_demo_prints_the_report_and_where_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *SMALL, "--seed", "2", "--out", str(tmp_path / "new" / "folder")]) == 0
    out, err = capsys.readouterr()
    assert "solved" in out
    assert "campaign floors" in out
    assert str(tmp_path / "new" / "folder" / "allocation.parquet") in out
    assert (tmp_path / "new" / "folder" / "report.html").is_file()
    assert err == ""  # no terminal, and done before the first line would be due


def test_the_demo_s_own_tables_give_the_same_answer(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(demo / "problem.toml"), "--threads", "1"]) == 0
    assert "campaign floors" in capsys.readouterr().out
    ours = pd.read_parquet(demo / "allocation.parquet")
    theirs = pd.read_parquet(demo / "answer" / "allocation.parquet")
    assert list(theirs.columns[:3]) == ["user_id", "track_id", "x"]
    value = [(one["x"] * (one["relevance"] + 0.4 * one["promotion"])).sum() for one in (ours, theirs)]
    assert value[0] == pytest.approx(value[1], rel=2e-4)


def test_the_example_is_the_statement_of_the_demo() -> None:
    example = Path(__file__).parents[2] / "examples" / "problem.toml"
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
    path = add(tiny, '\'(exposure() >= 1.9).named("enough")\', \'(total("relevance") >= 1.5).named("good")\',')
    assert main(["solve", path]) == 3
    out = capsys.readouterr().out
    assert "good" in out
    assert not (tiny / "answer" / "allocation.csv").exists()
    assert "What conflicts" in (tiny / "answer" / "report.html").read_text(encoding="utf-8")


def test_stopped_short_ends_with_4_and_still_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert main(["demo", *SMALL, "--out", str(tmp_path / "taken")]) == 2
    assert "taken" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dance"], ["demo", "--users", "many"], ["solve"]])
def test_arguments_that_make_no_sense_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
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

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in hidden else find(name, *a))
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert main(["demo", *SMALL, "--tables", "--out", str(tmp_path)]) == 0
    monkeypatch.undo()
    assert 'pip install ".[cli]"' in capsys.readouterr().err
    shown = pd.read_csv(tmp_path / "allocation.csv")
    assert list(shown.columns) == ["user", "item", "x", "relevance", "promotion", "streams"]
    assert 0 < shown["x"].sum() <= 400 * 10 + 1e-6
    assert main(["solve", str(tmp_path / "problem.toml")]) == 0  # the tables are CSV, too


def test_doctor_lists_versions_threads_cache_and_solvers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in (
        "python",
        f"{'numpy':<19}{np.__version__}",
        "threads",
        "compile cache",
        "solver dual",
        "ready",
    ):
        assert word in out


def test_doctor_knows_the_packages_of_the_project() -> None:
    from oasis_alloc.commands import doctor

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(needs: list[str]) -> set[str]:
        return {re.split(r"[\[<>=~;]", need)[0].strip() for need in needs}

    assert set(doctor._REQUIRED) == names(project["dependencies"])
    extras, other = project["optional-dependencies"], ("test", "dev", "docs", "bench", "browser", "host")
    wanted = set().union(*(names(needs) for extra, needs in extras.items() if extra not in other))
    assert set(doctor._OPTIONAL) == wanted | {"pandas", "polars"}  # the frames that a caller brings


def test_help_answers_without_loading_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys\nfrom oasis_alloc.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'cvxpy', 'pyarrow', 'pandas', 'rich', 'oasis_alloc.page.page'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "exit codes:" in done.stdout


def test_an_interrupted_solve_ends_with_the_best_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.skipif(os.name != "posix", reason="mode bits")
@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_doctor_says_that_an_empty_cache_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    tmp_path.chmod(mode)
    monkeypatch.setenv("OASIS_ALLOC_CACHE", str(tmp_path))
    assert main(["doctor"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("compile cache")]
    assert "not used, every process compiles" in line
    assert f"chmod go-w {tmp_path}" in line


def test_an_answer_needs_a_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").touch()
    assert main(["demo", "--users", "10", "--out", str(tmp_path / "taken")]) == 2
    assert "taken is a file; expected a directory" in capsys.readouterr().err
