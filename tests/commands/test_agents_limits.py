"""What tools refuse: paths out of their folder, tables and calls that are too large, statements that would write."""

from __future__ import annotations

import importlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asked import Market, statement

from oasis_alloc.__main__ import main
from oasis_alloc.commands.agents.reading import check_text
from oasis_alloc.commands.agents.room import Limits, Room
from oasis_alloc.commands.agents.server import answered, guide
from oasis_alloc.commands.agents.tools import TOOLS, Workbench
from oasis_alloc.errors import InputError, OasisAllocError

OUT = [
    "../outside.toml", "/etc/passwd", "a/../../outside.toml", "..", "C:\\tables\\x.toml", "..\\x.toml", "\\x.toml",
    "s3://bucket/x.toml", "file:///etc/passwd", "link.toml", "folder/plain.toml", "", "x\0.toml",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    room = tmp_path / "room"
    Market().write(room)
    (tmp_path / "outside.toml").write_text(statement())
    (tmp_path / "outside.csv").write_text("user,item,relevance\n1,1,0.5\n")
    os.symlink(tmp_path / "outside.toml", room / "link.toml")
    os.symlink(tmp_path / "room", room / "folder")
    return room


@pytest.fixture
def bench(folder: Path) -> Workbench:
    return Workbench(Room(folder), Limits())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def calls(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls of every tool in which each text that names a file is this one."""
    for name in TOOLS:
        if name == "files":
            yield name, {"folder": path}
        elif name == "read":
            yield name, {"path": path}
        elif name == "write":
            yield name, {"path": path, "text": statement()}
        elif name == "compare":
            yield name, {"before": path, "after": "plain.toml"}
            yield name, {"before": "plain.toml", "after": path}
        else:
            more = {
                "explain": {"user": 100},
                "sweep": {"vary": "caps", "points": [1.0]},
                "quote": {"of": {"artist": "artist 0"}},
            }.get(name, {})
            yield name, {"statement": path, **more}
    yield "solve", {"statement": "plain.toml", "out": path}


@pytest.mark.few(3)
@pytest.mark.parametrize("path", OUT)
def test_paths_out_of_the_folder_are_refused_by_every_tool(folder: Path, bench: Workbench, path: str) -> None:
    before = tree(folder.parent)
    for name, arguments in calls(path):
        with pytest.raises(InputError, match=r"the path .* (is|leads|goes)"):
            bench.call(name, arguments)
    assert tree(folder.parent) == before


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"tables/pairs.parquet"', '"../outside.csv"'), ('"tables/pairs.parquet"', '"{parent}/outside.csv"'),
        ('"tables/pairs.parquet"', '"linked/pairs.parquet"'), ('"tables/pairs.parquet"', '"s3://bucket/pairs.parquet"'),
        ('"tables/pairs.parquet"', '"with_link"'),
        ('file = "tables/campaigns.csv"', 'file = "../outside.csv"'),
        ("size = 3", 'size = { file = "../outside.csv", key = "user", value = "item" }'),
        ('{ best = "relevance" }', '{ solution = "../outside.toml" }'),
        ('{ best = "relevance" }', '{ ledger = "../outside.db", by = "campaign" }'),
        ('{ best = "relevance" }', '{ ledger = "postgresql://host/ledger", by = "campaign" }'),
        ("gap = 1e-8", 'start = "../outside.toml"'), ("gap = 1e-8", 'checkpoint = "tables/pairs.parquet"'),
        ("gap = 1e-8", 'resume = "../outside.toml"'),
        ("[candidates]", 'supply = { file = "../outside.csv", key = "user", value = "item" }\n[candidates]'),
    ],
)  # fmt: skip
def test_statements_that_lead_out_are_refused(folder: Path, bench: Workbench, old: str, new: str) -> None:
    os.symlink(folder / "tables", folder / "linked")
    (folder / "with_link").mkdir()
    os.symlink(folder.parent / "outside.csv", folder / "with_link" / "part-0.csv")
    assert old in statement()
    text = statement().replace(old, new.replace("{parent}", str(folder.parent)))
    (folder / "other.toml").write_text(text)
    before = tree(folder.parent)
    for name in ("check", "solve", "conflicts"):
        with pytest.raises(OasisAllocError, match=r"the path|symbolic link|cannot be used here|not an address"):
            bench.call(name, {"statement": "other.toml"})
    assert tree(folder.parent) == before


def test_runs_of_a_job_must_be_in_the_folder(folder: Path, bench: Workbench) -> None:
    text = (folder / "job.toml").read_text()
    (folder / "job.toml").write_text(text + '\n[run]\ndirectory = "../runs"\n')
    with pytest.raises(InputError, match="leads out of the folder"):
        bench.call("check", {"statement": "job.toml"})


def test_tools_write_statements_and_answers_and_replace_nothing_else(folder: Path, bench: Workbench) -> None:
    before = tree(folder)
    for path in ("tables/pairs.parquet", "tables", "notes.txt"):
        with pytest.raises(InputError, match=r"ends in \.toml"):
            bench.call("write", {"path": path, "text": statement()})
    for out in ("tables", ".", "plain.toml", "./"):
        with pytest.raises(InputError, match=r"not a new folder|has other files"):
            bench.call("solve", {"statement": "plain.toml", "out": out})
    for text in ("maximize = [", "maximum = 'total(\"relevance\")'", "[solve]\ncheckpoint = 'x'", "x" * 1_000_001):
        with pytest.raises(OasisAllocError):
            bench.call("write", {"path": "new.toml", "text": text})
    assert tree(folder) == before

    assert bench.call("write", {"path": "new/deep.toml", "text": statement()})["kind"] == "problem"
    for _ in range(2):  # an answer may be replaced by another one
        written = bench.call("solve", {"statement": "plain.toml", "out": "answers/monday"})["written"]
    assert written == [f"answers/monday/{name}" for name in ("allocation.parquet", "report.html", "solution")]
    new = {path for path in tree(folder) if path not in before}
    assert new == {str(folder / path) for path in ("new/deep.toml", *written)}
    os.symlink(folder / "plain.toml", folder / "answers" / "monday" / "allocation.csv")
    with pytest.raises(InputError, match="symbolic link"):
        bench.call("solve", {"statement": "plain.toml", "out": "answers/monday"})


def test_a_server_that_only_reads(folder: Path) -> None:
    bench = Workbench(Room(folder), Limits(), read_only=True)
    assert not any(tool.writes for tool in bench.tools.values())
    with pytest.raises(InputError, match="no tool 'write'"):
        bench.call("write", {"path": "new.toml", "text": statement()})
    with pytest.raises(InputError, match="no parameter 'out'"):
        bench.call("solve", {"statement": "plain.toml", "out": "answers"})


def test_sizes_are_limited_before_tables_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import oasis_alloc.problem_file.statement as module

    wide = pa.table({"user": pa.array(np.zeros(2_000_000, np.int64)), "item": pa.array(np.zeros(2_000_000, np.int64))})
    pq.write_table(wide, folder / "bomb.parquet", compression="zstd")
    assert (folder / "bomb.parquet").stat().st_size < 20_000
    (folder / "bomb.toml").write_text(statement().replace("tables/pairs.parquet", "bomb.parquet"))

    def never(_path: Path) -> Any:
        raise AssertionError("read")

    monkeypatch.setattr(module, "read_table", never)
    for limits, words in ((Limits(pairs=1_000_000), "2,000,000 rows"), (Limits(megabytes=20), "more than 20 MB")):
        with pytest.raises(InputError, match=words):
            Workbench(Room(folder), limits).call("solve", {"statement": "bomb.toml"})


def test_pairs_of_csv_are_counted_too(folder: Path) -> None:
    Market().pairs.to_csv(folder / "pairs.csv", index=False)
    (folder / "csv.toml").write_text(statement().replace("tables/pairs.parquet", "pairs.csv"))
    assert Workbench(Room(folder), Limits()).call("check", {"statement": "csv.toml"})["sizes"]["pairs"] == 320
    with pytest.raises(InputError, match="320 pairs; expected at most 300"):
        Workbench(Room(folder), Limits(pairs=300)).call("check", {"statement": "csv.toml"})


def test_lists_and_sweeps_are_limited(folder: Path) -> None:
    bench = Workbench(Room(folder), Limits(rows=3, points=2))
    groups = bench.call("solve", {"statement": "plain.toml", "rows": 100})["groups"]
    assert len(groups["rows"]) == 3
    assert groups["left_out"] > 0
    with pytest.raises(InputError, match="3 numbers; expected 1 to 2"):
        bench.call("sweep", {"statement": "plain.toml", "vary": "promotion", "points": [1.0, 2.0, 3.0]})
    with pytest.raises(InputError, match="rows is 0"):
        bench.call("solve", {"statement": "plain.toml", "rows": 0})


def test_time_is_limited_and_a_canceled_call_stops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solving = importlib.import_module("oasis_alloc.solve")  # the attribute of the package is the function
    bench = Workbench(Room(folder), Limits(seconds=20.0))
    given: dict[str, Any] = {}
    plain = solving.solve

    def seen(problem: Any, **options: Any) -> Any:
        given.update(options)
        return plain(problem, **options)

    monkeypatch.setattr(solving, "solve", seen)
    bench.call("solve", {"statement": "plain.toml", "time_limit": 1e9})
    assert 15.0 < given["time_limit"] <= 20.0
    bench.call("solve", {"statement": "wide.toml", "time_limit": 5.0})
    assert given["time_limit"] <= 5.0
    stopped = threading.Event()

    def when_asked(problem: Any, **options: Any) -> Any:
        stopped.set()
        assert options["progress"](None) is True
        return plain(problem, **options)

    monkeypatch.setattr(solving, "solve", when_asked)
    bench.call("solve", {"statement": "plain.toml", "gap": 1e-7}, stop=stopped.is_set)
    with pytest.raises(InputError, match="was canceled"):
        bench.call("solve", {"statement": "plain.toml"}, stop=lambda: True)
    with pytest.raises(InputError, match="time_limit is -1"):
        bench.call("solve", {"statement": "plain.toml", "time_limit": -1})


def test_answers_follow_the_tables(folder: Path, bench: Workbench) -> None:
    """A solution is kept while its files stay as they are, and no longer."""
    first = bench.call("solve", {"statement": "plain.toml"})
    assert bench.call("solve", {"statement": "plain.toml"}) == first, "known, even its seconds"
    campaigns = Market().campaigns.assign(cap=[9.3, 12.7, 30.0, None])
    time.sleep(0.01)
    campaigns.to_csv(folder / "tables" / "campaigns.csv", index=False)
    assert bench.call("solve", {"statement": "plain.toml"})["certificate"]["value"] < first["certificate"]["value"]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("solv", {}, "Did you mean 'solve'"), ("solve", {}, "statement is missing"),
        ("solve", {"statement": 3}, "statement is 3; expected a text"),
        ("solve", {"statement": "plain.toml", "gapp": 1}, "Did you mean 'gap'"),
        ("solve", {"statement": "plain.toml", "gap": "small"}, "expected a finite number"),
        ("solve", {"statement": "plain.toml", "gap": True}, "expected a finite number"),
        ("solve", {"statement": "plain.toml", "name": "capz"}, "Did you mean 'caps'"),
        ("solve", {"statement": "none.toml"}, "no such file"), ("solve", {"statement": "tables"}, "no such file"),
        ("solve", {"statement": "tables/items.csv"}, "ends in .toml"),
        ("explain", {"statement": "plain.toml", "user": 7}, "there is no user 7"),
        ("explain", {"statement": "plain.toml", "user": 100, "items": [99]}, "there is no item 99"),
        ("explain", {"statement": "clash.toml", "user": 100}, "infeasible"),
        ("sweep", {"statement": "plain.toml", "vary": "x", "points": [1.0]}, "'x'"),
        ("sweep", {"statement": "plain.toml", "vary": "caps", "points": ["1"]}, "list of finite numbers"),
        ("conflicts", {"statement": "clash.toml", "weights": {"cap": 2}}, "Did you mean 'caps'"),
        ("conflicts", {"statement": "clash.toml", "weights": {"caps": -2}}, "positive"),
        ("compare", {"before": "plain.toml", "after": "clash.toml"}, "call conflicts first"),
        ("compare", {"before": "plain.toml", "after": "wide.toml", "by": "song"}, "song"),
        ("quote", {"statement": "plain.toml"}, "which impressions"),
        ("quote", {"statement": "plain.toml", "of": {"campaign": "c9"}}, "c9"),
        ("quote", {"statement": "plain.toml", "of": {"campaign": None}}, "list of labels"),
        ("quote", {"statement": "plain.toml", "of": {"campaign": "c3"}, "units": -1}, "units"),
        ("quote", {"statement": "plain.toml", "of": {"campaign": "c3"}, "certify": "yes"}, "true or false"),
        ("quote", {"statement": "clash.toml", "of": {"campaign": "c3"}}, "infeasible"),
        ("read", {"path": "tables/none.csv"}, "no such file"), ("files", {"folder": "none"}, "no such folder"),
    ],
)  # fmt: skip
def test_mistakes_are_messages(bench: Workbench, tool: str, arguments: dict[str, Any], words: str) -> None:
    document, failed = answered(bench, tool, arguments, threading.Event())
    assert failed
    assert words in document["error"], document
    assert str(bench.room.folder) not in document["error"]


def test_statements_are_parsed_and_never_run(folder: Path, bench: Workbench) -> None:
    for text in ("__import__('os').system('touch owned')", "(lambda: 1)()", "total.__class__", "[x for x in caps]"):
        said = statement().replace('total("relevance") + 0.4', f"{text} + 0.4".replace("'", '"'))
        (folder / "evil.toml").write_text(said)
        with pytest.raises(OasisAllocError, match=r"evil\.toml, line 2: maximize"):
            bench.call("check", {"statement": "evil.toml"})
    assert not list(folder.rglob("owned"))


def test_a_fault_of_ours_shows_nothing_of_the_machine(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any, **_more: Any) -> Any:
        raise RuntimeError(f"{bench.room.folder} secret")

    monkeypatch.setattr(bench, "call", broken)
    document, failed = answered(bench, "solve", {}, threading.Event())
    assert failed
    assert document["kind"] == "internal"
    assert "secret" not in document["error"]


def test_statements_of_the_guide_are_valid(bench: Workbench, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = guide()
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 1
    assert check_text(blocks[0], "guide.toml") == "problem"
    market = Market()
    market.pairs.to_parquet(folder / "pairs.parquet")
    for name in ("users", "items"):
        getattr(market, name).to_parquet(folder / f"{name}.parquet")
    pd.DataFrame({"campaign": ["c0"], "cap": [20.0]}).to_csv(folder / "campaigns.csv", index=False)
    (folder / "guide.toml").write_text(blocks[0].replace("artist = 2", "artist = 1").replace("size = 10", "size = 3"))
    assert bench.call("solve", {"statement": "guide.toml"})["certificate"]["status"] == "SOLVED"
    bench.call("solve", {"statement": "plain.toml", "out": "monday"})
    rows = dict(re.findall(r"^\| ([^|`]+) \| .*?`(.+?)`", text, re.MULTILINE))
    assert len(rows) == 12
    for meaning, expression in rows.items():
        one = expression.removeprefix("add ").strip()
        (folder / "row.toml").write_text(_with(one))
        assert bench.call("check", {"statement": "row.toml"})["constraints"], meaning
    assert main(["mcp", "--guide"]) == 0
    assert capsys.readouterr().out == text
    assert len(TOOLS) == len([name for name in TOOLS if f"`{name}`" in text or name == "files"])


def _with(expression: str) -> str:
    """A statement that uses an expression of the guide's table."""
    said = statement().replace('by = "licensor"', 'by = "artist"')
    expression = expression.replace("licensor", "artist").replace('"streams"', '"promotion"')
    expression = expression.replace('"caps"', '"more caps"').replace('"floors"', '"more floors"')
    names = "plan = { c0 = 5, c1 = 5, c2 = 5, c3 = 5 }\npromised = { c0 = 5 }\ndone = { c0 = 2 }\n"
    names += "monday = { solution = 'monday/solution' }\n"
    said = said.replace("[limits]\n", f"[limits]\n{names}")
    if expression[0] in "+-":
        return said.replace('total("promotion")\'', f'total("promotion") {expression}\'')
    if "=" not in expression.split("by=")[-1].partition(")")[2]:
        expression = f"{expression} >= 0"
    return said.replace("subject_to = [", f"subject_to = [\n    '{expression}',")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected the folder"), (["none"], "there is no such folder"), ([".", "--seconds", "0"], "--seconds is 0"),
        ([".", "--pairs", "0"], "--pairs is 0"), ([".", "--rows", "-1"], "--rows is -1"),
    ],
)  # fmt: skip
def test_options_of_the_command(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mcp", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_without_the_extra_the_command_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    for module in ("anyio", "mcp", "mcp.server", "mcp.server.stdio"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main(["mcp", str(folder)]) == 2
    assert 'pip install ".[mcp]"' in capsys.readouterr().err
