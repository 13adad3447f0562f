"""What is public is written down, and pages and examples use nothing else; docs/public-api.md says what that means."""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import oasis_alloc

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "oasis_alloc" / "__init__.py"
MODULES = {
    "oasis_alloc.telemetry": {"opentelemetry", "prometheus", "metrics"},
    "oasis_alloc.markets": {"month", "matching"},
}
# These speak to those who change the package; decision records are history.
INSIDE = ("adding-a-function.md", "architecture.md", "style.md")
PAGES = [
    *ROOT.glob("*.md"),
    *(page for page in (ROOT / "docs").rglob("*.md") if page.name not in INSIDE and "decisions" not in page.parts),
]
CODE = [*PAGES, *(ROOT / "examples").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
IMPORT = re.compile(r"^[ \t]*(from oasis_alloc[\w.]* import .+|import oasis_alloc.*)$", re.MULTILINE)
USE = re.compile(r"(?<![\w./-])(?:oa\.([A-Za-z_]\w*)|oasis_alloc\.([A-Za-z_]\w*)\()")


def exported() -> set[str]:
    """Names that `__init__` imports as themselves, which is how it exports."""
    names = [name for node in ast.walk(ast.parse(PACKAGE.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)
             for name in node.names]  # fmt: skip
    return {name.name for name in names if name.asname == name.name}


def private_uses(text: str) -> Iterator[str]:
    """What a page or a program takes from the package that is not public."""
    known = exported() | {"__version__"}
    for line in IMPORT.findall(text):
        for node in ast.parse(textwrap.dedent(line)).body:
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names if name.name not in {"oasis_alloc", *MODULES})
            elif isinstance(node, ast.ImportFrom) and node.module == "oasis_alloc":
                modules = {module.removeprefix("oasis_alloc.") for module in MODULES}
                yield from (f"oasis_alloc.{name.name}" for name in node.names if name.name not in known | modules)
            elif isinstance(node, ast.ImportFrom):
                allowed = MODULES.get(node.module or "", set())
                yield from (f"{node.module}.{name.name}" for name in node.names if name.name not in allowed)
    attributes = known | {module.removeprefix("oasis_alloc.") for module in MODULES}
    used = ("".join(found) for found in USE.findall(IMPORT.sub("", text)))
    yield from (f"oa.{name}" for name in used if name not in attributes)


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_and_examples_use_public_names_alone(path: Path) -> None:
    assert list(private_uses(path.read_text(encoding="utf-8"))) == []


def test_a_private_name_is_found() -> None:
    text = "x = oa.solve(oa.lower(1))\n    from oasis_alloc.serving import telemetry\nimport oasis_alloc.program as p\n"
    assert sorted(private_uses(text)) == ["oa.lower", "oasis_alloc.program", "oasis_alloc.serving.telemetry"]
    assert list(private_uses("import oasis_alloc as oa\nfrom oasis_alloc.markets import month\noa.markets.month")) == []


def test_the_page_lists_what_is_exported() -> None:
    text = (ROOT / "docs" / "public-api.md").read_text(encoding="utf-8")
    table = text.split("## Exported names")[1].split("\n\n")[1]
    listed = re.findall(r"`(\w+)`", table)
    assert len(listed) == len(set(listed))
    assert set(listed) == exported()
    assert all(hasattr(oasis_alloc, name) for name in listed)


def test_no_other_class_has_the_name_of_a_public_one() -> None:
    """`class Forecast` is found once: a reader who looks for a name of the reference gets what it describes."""
    allowed = {"telemetry.py: Sample"}  # the word of Prometheus for one number and its labels; public there
    found = []
    for path in sorted(PACKAGE.parent.rglob("*.py")):
        text, where = path.read_text(encoding="utf-8"), path.relative_to(PACKAGE.parent).as_posix()
        home = f"oasis_alloc.{where.removesuffix('.py').replace('/', '.')}"
        for name in set(re.findall(r"^class (\w+)", text, re.MULTILINE)) & exported():
            if getattr(oasis_alloc, name).__module__ != home:
                found.append(f"{where}: {name}")
    assert sorted(found) == sorted(allowed)


def test_there_is_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert ROOT / project["tool"]["hatch"]["version"]["path"] == PACKAGE
    version = oasis_alloc.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.dev\d+)?", version)
    newest = re.search(r"^## \[(\S+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
