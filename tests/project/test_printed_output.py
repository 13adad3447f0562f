"""Output that pages show is what the command next to it prints: all of it but the times.

A default run tries one command; the others have the mark `full`.
"""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path

import printed
import pytest
from printed import JAVA, MISTAKE, PROGRAM, ROOT, SLOW, TRADE_OFFS, VERIFIED, Shown, output

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if "decisions" not in page.parts),
    ROOT / "benchmarks" / "README.md",
]


def check(shown: Shown) -> None:
    different = printed.differences(shown.block()[2], shown.of(output(shown.command)))
    assert not different, "\n".join([f"run python tests/support/printed.py {shown.page}", *different])


@pytest.mark.full
def test_the_page_about_trade_offs_shows_what_the_example_prints() -> None:
    check(TRADE_OFFS)


def test_the_page_about_the_command_line_shows_its_message() -> None:
    pytest.importorskip("pyarrow", reason="the tables of the page are Parquet files")
    check(MISTAKE)


@pytest.mark.full
def test_the_page_about_snapshots_shows_what_the_host_in_java_prints() -> None:
    if shutil.which("java") is None or shutil.which("javac") is None:
        pytest.skip("there is no JDK on the path")
    check(JAVA)


@pytest.mark.full
@pytest.mark.parametrize("shown", SLOW, ids=lambda shown: f"{shown.page}: {shown.command}")
def test_a_page_shows_what_its_command_prints(shown: Shown, request: pytest.FixtureRequest) -> None:
    if shown.needs:
        data = request.getfixturevalue("data_dir")
        missing = [name for name in shown.needs if not (data / name).is_file()]
        if missing:
            pytest.skip(f"no {', '.join(missing)} in {data}; set OASIS_ALLOC_DATA to the directory that has it")
    check(shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_shows_output_that_is_not_verified(page: Path) -> None:
    text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()
    verified = {shown.block().start() for shown in VERIFIED if shown.page == name}
    advice = "add the block and its command to VERIFIED in tests/support/printed.py"
    assert {block.start() for block in printed.blocks(text)} == verified, advice
    for lines in printed.commands(text):
        others = [line for line in lines if not PROGRAM.match(line)]
        assert not others, f"output between commands is not verified: make it a block of `text`: {others}"


def test_a_change_is_noticed_and_a_time_is_not() -> None:
    shown = "gap  2.6e-05\n40.4 passes in 2.22 seconds\n\nrow  gap  seconds\na    0.5     0.63\n"
    same = "gap  2.6e-05\n40.4 passes in 31 seconds\n\nrow  gap  seconds\na    0.5    12.00\n"
    assert printed.differences(shown, same) == []
    for old, new in (("2.6e-05", "1.2e-06"), ("40.4", "22.4"), ("row", "line"), ("0.5 ", "0.8 "), ("a   ", "\na   ")):
        assert printed.differences(shown, same.replace(old, new)), (old, new)


def test_the_examples_of_the_comparison_run() -> None:
    failed, tried = doctest.testmod(printed)
    assert (failed, tried > 3) == (0, True)
