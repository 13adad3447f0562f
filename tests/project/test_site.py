"""The site is complete: every public name, every page, and what its pages show is what the code gives.

`nox -s site` builds it with warnings as errors. These tests need no Sphinx.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import oasis_alloc
from oasis_alloc import markets, telemetry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.md"))
REFERENCE = re.compile(r"^\.\. auto(?:class|function):: ([\w.]+)(?:\(\))?$", re.MULTILINE)
MODULE = re.compile(r"^\.\. currentmodule:: (\S+)$", re.MULTILINE)
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESS = re.compile(r"https?://[^\s)\"'`>]+")


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: its `__all__`, else what it defines or imports from this package under a public name."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name in dir(module) if not name.startswith("_") and name != "TYPE_CHECKING"]
    found = {name: getattr(module, name) for name in names}
    home = "oasis_alloc.telemetry" if module is telemetry else "oasis_alloc"
    return [
        f"{module.__name__}.{name}"
        for name, item in found.items()
        if not inspect.ismodule(item) and getattr(item, "__module__", "").startswith(home)
    ]


NAMES = [name for module in (oasis_alloc, telemetry, markets) for name in public_names(module)]


def in_reference() -> list[str]:
    """The full names that the pages of the reference describe."""
    out: list[str] = []
    for page in sorted((DOCS / "reference").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        module = (MODULE.findall(text) or [""])[0]
        out += [name if name.startswith("oasis_alloc") else f"{module}.{name}" for name in REFERENCE.findall(text)]
    return out


def test_the_reference_has_every_public_name_once() -> None:
    assert len(NAMES) > 45
    assert sorted(in_reference()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    item = getattr(importlib.import_module(module), attribute)
    assert ">>>" in (inspect.getdoc(item) or ""), f"{name}: its docstring has no example"


def pages_below(page: Path) -> set[Path]:
    """The pages that the toctrees of a page name."""
    out: set[Path] = set()
    for block in TOCTREE.findall(page.read_text(encoding="utf-8")):
        entries = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(":")]
        for entry in entries:
            out |= set(page.parent.glob(f"{entry}.md"))
    return out


def linked(page: Path) -> set[Path]:
    """The pages of the site that the text of a page links to."""
    targets = {(page.parent / link).resolve() for link in LINK.findall(page.read_text(encoding="utf-8"))}
    return targets & set(PAGES)


@pytest.mark.parametrize("next_pages", [pages_below, linked], ids=["by the menus", "by links in the text"])
def test_every_page_is_reachable_from_the_landing_page(next_pages: Any) -> None:
    seen: set[Path] = set()
    ahead = {DOCS / "index.md"}
    while ahead:
        page = ahead.pop()
        seen.add(page)
        new = next_pages(page)
        if next_pages is linked and {"reference", "decisions"} & {page.parent.name}:
            new |= pages_below(page)  # their indexes show the menu as the list
        ahead |= new - seen
    assert [str(page.relative_to(DOCS)) for page in PAGES if page not in seen] == []


def test_every_diagram_has_its_drawing_and_no_drawing_is_left_over() -> None:
    drawings = _module(DOCS / "_ext" / "drawings.py")
    sources = [source for page in PAGES for source in drawings.diagrams_of(page.read_text(encoding="utf-8"))]
    assert {drawings.drawing_of(source) for source in sources} == set(drawings.DRAWINGS.glob("*.svg")) != set()


def test_the_report_of_the_landing_page_is_the_readmes() -> None:
    landing = (DOCS / "index.md").read_text(encoding="utf-8")
    assert '```{literalinclude} ../README.md\n:language: text\n:start-after: "```text"' in landing
    first = (ROOT / "README.md").read_text(encoding="utf-8").split("```text\n")[1]
    assert first.startswith("solved: "), "the first block of text in the README is the report"


@pytest.mark.full
def test_the_numbers_of_the_page_about_functions_are_those_of_a_run() -> None:
    script = _module(DOCS / "scripts" / "choosing_functions.py")
    shown = script.TABLE.search(script.PAGE.read_text(encoding="utf-8"))[2]
    found = script.table([script.row(name) for name in script.FUNCTIONS])
    number = re.compile(r"-?\d[\d,]*\.?\d*")
    assert number.sub("", shown) == number.sub("", found), "run python docs/scripts/choosing_functions.py"
    for old, new in zip(number.findall(shown), number.findall(found), strict=True):
        was, now = (float(text.replace(",", "")) for text in (old, new))
        # Totals are of solves to 1e-5, and many allocations are worth nearly the same.
        assert now == pytest.approx(was, rel=0.01, abs=0.011), f"{old} on the page, {new} today"


@pytest.mark.parametrize("name", ["getting-started", "choosing-functions"])
def test_the_code_of_a_page_runs(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    blocks = PYTHON.findall(text)
    assert len(blocks) == text.count("```python") > 0
    exec(compile("\n".join(blocks), f"docs/{name}.md", "exec"), {})


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_run(notebook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in CELL.findall(notebook.read_text(encoding="utf-8")):
        exec(compile(cell, str(notebook.relative_to(ROOT)), "exec"), names)
    if "plt" in names:
        names["plt"].close("all")


def test_there_are_the_four_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "fairness_choices", "first_allocation", "from_policy_to_service", "pacing_a_month"
    ]  # fmt: skip


def test_pages_load_nothing_from_elsewhere() -> None:
    for file in [DOCS / "conf.py", *(DOCS / "_ext").glob("*.py"), *(DOCS / "_static").iterdir()]:
        assert not ADDRESS.findall(file.read_text(encoding="utf-8")), file.name
    for image in [*(DOCS / "plots").glob("*.svg"), *(DOCS / "diagrams").glob("*.svg")]:
        loaded = re.findall(r"(?:href|src)=\"(https?:[^\"]+)|url\((https?:[^)]+)", image.read_text(encoding="utf-8"))
        assert not loaded, image.name


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
