"""Code that the documentation shows is the code that runs.

Between `<!-- include: path -->` and `<!-- end -->` a page has a file of the repository, as it is. Run this file to put
the files of today into the pages.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import full_only

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
INCLUDE = re.compile(r"(<!-- include: (\S+) -->\n```\w*\n)(.*?)(```\n<!-- end -->)", re.DOTALL)
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def with_files(text: str) -> str:
    """The page with what its includes are now."""
    return INCLUDE.sub(lambda found: found[1] + (ROOT / found[2]).read_text(encoding="utf-8") + found[4], text)


@each_page
def test_what_a_page_includes_is_the_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(INCLUDE.findall(text)) == text.count("<!-- include:"), "an include that is not closed"
    assert text == with_files(text), f"run python tests/project/{Path(__file__).name}"


def test_the_page_about_functions_has_a_whole_one() -> None:
    text = (ROOT / "docs" / "adding-a-function.md").read_text(encoding="utf-8")
    assert [found[1] for found in INCLUDE.findall(text)] == ["src/oasis_alloc/statement/functions/log.py"]
    assert "class BoundLog(BoundSeparable):" in text


def test_a_page_that_differs_is_noticed() -> None:
    old = "<!-- include: LICENSE -->\n```text\nanother license\n```\n<!-- end -->"
    assert "another license" not in with_files(old)
    assert with_files(with_files(old)) == with_files(old) != old


def test_the_code_of_the_page_about_pacing_runs() -> None:
    text = (ROOT / "docs" / "pacing.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") > 5
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), "docs/pacing.md", "exec"), names)
    report = str(names["steady"])
    assert "slots changed since the previous solution" in report
    assert names["free"].churn(names["replan"]) > 0.01, "without the term something changes"
    assert names["plan"].prices["floors"].any()


@pytest.mark.full
@pytest.mark.parametrize("sync", [900.0, *full_only(60.0)])
def test_the_code_of_the_page_about_replay_runs(sync: float, capsys: pytest.CaptureFixture[str]) -> None:
    """With the page's synchronizations every minute, and in every run with fewer of them, which take the time."""
    text = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    assert text.count("sync=60.0") == 3
    text = text.replace("sync=60.0", f"sync={sync}")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") == 3
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), "docs/replay.md", "exec"), names)
    assert "share of hindsight" in capsys.readouterr().out
    assert names["low"] < names["mean"] < names["high"]


def test_the_code_of_the_page_about_serving_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") > 5
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), "docs/serving.md", "exec"), names)
    assert names["rows"] == names["cands"].n_pairs
    assert names["slate"][0] == 2
    assert names["solution"].prices["market caps"].any()
    assert "shown at 1" in " ".join(capsys.readouterr().out.split())
    assert ("price", "relevance guard", None) in names["parts"]


@pytest.mark.parametrize("name", ["sampling", "diversity"])
def test_the_code_of_the_pages_about_draws_and_diversity_runs(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") >= 2
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), f"docs/{name}.md", "exec"), names)
    if name == "sampling":
        assert names["estimate"] == pytest.approx(2.7, abs=0.15)
        assert np.count_nonzero(names["slates"].propensity < 1 - 1e-6), "something was drawn"
    else:
        assert names["mmr"].tolist() != names["plain"].tolist()
        assert names["dpp"][0] == 2


@pytest.mark.parametrize("name", ["what-if", "forecasts"])
def test_the_code_of_the_pages_about_what_if_and_forecasts_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") >= 2
    exec(compile("\n".join(blocks), f"docs/{name}.md", "exec"), {})
    out = capsys.readouterr().out
    assert "c2" in out


@pytest.mark.parametrize(("name", "least"), [("results", 6), ("progress-and-logs", 3)])
def test_the_code_of_the_pages_about_answers_and_logs_runs(
    name: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import logging

    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") >= least
    names: dict[str, Any] = {}
    level = logging.getLogger("oasis_alloc").level
    try:
        exec(compile("\n".join(blocks), f"docs/{name}.md", "exec"), names)
    finally:
        logging.getLogger("oasis_alloc").setLevel(level)
        pyplot.close("all")
    if name == "results":
        assert (tmp_path / "delivery.svg").stat().st_size > 1_000
    else:
        assert re.search(r"solved: value \S+, gap ", capsys.readouterr().err)


def test_the_code_of_the_page_about_publishing_runs() -> None:
    text = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") == 1
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), "docs/publishing.md", "exec"), names)
    assert names["version"].version == 1
    shutil.rmtree(names["folder"])


def test_the_code_of_the_page_about_decision_logs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "decision-logs.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") == 1
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), "docs/decision-logs.md", "exec"), names)
    assert names["rows"]["request"].tolist() == ["request-1"]
    assert "scores" in capsys.readouterr().out
    shutil.rmtree(names["folder"])


def test_the_code_of_the_page_about_memory_runs() -> None:
    text = (ROOT / "docs" / "beyond-memory.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(found[2]) for found in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```python") == 4
    names: dict[str, Any] = {}
    try:
        exec(compile("\n".join(blocks), "docs/beyond-memory.md", "exec"), names)
        assert names["solution"].status.name == names["again"].status.name == "SOLVED"
        assert names["part"].status.name == "PASS_LIMIT"
        assert names["again"].value == pytest.approx(names["solution"].value, rel=2e-6)
        assert names["frame"]["item"].str.startswith("track ").all()
        assert names["candidates"].stream.budget.peak <= 4 << 20
    finally:
        shutil.rmtree(names["directory"])


@each_page
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@each_page
def test_lists_have_the_levels_that_they_show(page: Path) -> None:
    """A line of an item begins below the item's text: two spaces more, and the next item is taken for a part of it."""
    text, wrong, below = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE), [], 0
    for line in text.splitlines():
        item, indent = re.match(r" *(?:[-*]|\d+\.) +", line), len(line) - len(line.lstrip())
        if item or not indent:
            below = item.end() if item else 0
        elif below and indent > below:
            wrong.append(line)
        below = below if line.strip() else 0
    assert not wrong


@each_page
def test_the_names_that_a_page_quotes_from_the_tests_are_there(page: Path) -> None:
    for name in re.findall(r"`((?:tests|src|docs|examples|benchmarks)/[\w./-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{page.name} speaks of {name}"


def test_extras_are_installed_from_a_checkout() -> None:
    """The package is on no index yet: an instruction that names it there would fail, or install something else."""
    texts = [*PAGES, *(ROOT / "src").rglob("*.py"), *(ROOT / "examples").rglob("*.*")]
    wrong = re.compile(r"pip install (?:-\S+ )*[\"']?oasis[_-]alloc\b")
    found = [
        path.name for path in texts if path.suffix in (".md", ".py", ".toml") and wrong.search(path.read_text("utf-8"))
    ]
    assert not found
    assert wrong.search('pip install --upgrade "oasis_alloc[ray]"')
    assert not wrong.search("pip install . && oasis-alloc demo")


SOURCES = {
    path.relative_to(ROOT).as_posix(): path
    for folder in ("src", "tests", "docs", "examples", "benchmarks")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".java")
} | {"noxfile.py": ROOT / "noxfile.py"}
SOURCE = r"`([\w./-]+\.(?:py|java))"


@each_page
def test_code_is_where_a_page_says(page: Path) -> None:
    """Files by the end of their path, and what is in them: "`name` in `file.py`", "`file.py::name`"."""
    if "decisions" in page.parts:
        return  # they keep the names of their day
    text = page.read_text(encoding="utf-8")
    named = [(name, "") for name in re.findall(SOURCE + "`", text)]
    named += re.findall(SOURCE + r"::(\w+)`", text)
    named += [(name, what) for what, name in re.findall(r"`(?:\w+\.)?(\w+)`\s+in\s+" + SOURCE + "`", text)]
    for name, what in named:
        found = [path for known, path in SOURCES.items() if f"/{known}".endswith(f"/{name}")]
        assert found, f"{page.name}: there is no file {name}"
        defines = re.compile(rf"^ *(?:def|class) {what}\b|^ *{what}\b.*=", re.MULTILINE)
        assert not what or any(defines.search(path.read_text("utf-8")) for path in found), f"{page.name}: {what}"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(with_files(path.read_text(encoding="utf-8")), encoding="utf-8")
