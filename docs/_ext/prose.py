"""Docstrings of this package as Sphinx wants them: they are written for `help()` and editors, in a little Markdown."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

CODE = re.compile(r"(?<![`:\w])`([^`]+)`(?!`)")
ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[([^\[\]]+)\]\]")
ALIAS = re.compile(r"~?[\w.]*TypeAliasForwardRef\('(\w+)'\)")
NAME = re.compile(r"[A-Za-z_][\w.]*(\(\))?$")


def _code(found: re.Match[str]) -> str:
    inside = found[1]
    return found[0] if NAME.match(inside) else f"``{inside}``"


def literal_code(_app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Backticks around anything but a name are code; a name stays as it is and becomes a link where one exists."""
    text = CODE.sub(_code, "\n".join(lines))
    lines[:] = text.split("\n")


def short_arrays(
    _app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Arrays in signatures as they are written, `NDArray[int64]`, and not what that stands for."""
    return tuple(text and ALIAS.sub(r"\1", ARRAY.sub(r"NDArray[\1]", text)) for text in (signature, returns))


class Attributes:
    """Docstrings of attributes as they are: napoleon takes what comes before their first colon for a type."""

    def __init__(self) -> None:
        self._kept: dict[str, list[str]] = {}

    def keep(self, _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
        if what in ("attribute", "data", "property") and not any(line.startswith("----") for line in lines):
            self._kept[name] = list(lines)

    def put_back(self, _app: Sphinx, _what: str, name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
        lines[:] = self._kept.pop(name, lines)


def pages_of_the_site(_app: Sphinx, _page: str, content: list[str]) -> None:
    """Links to pages outside `docs/` lead, on the site, to the pages that include them."""
    for outside, inside in (("../CONTRIBUTING.md", "contributing.md"), ("../CHANGELOG.md", "changelog.md")):
        content[0] = content[0].replace(f"]({outside}", f"]({inside}")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("autodoc-process-docstring", literal_code, priority=100)
    app.connect("autodoc-process-signature", short_arrays)
    attributes = Attributes()
    app.connect("autodoc-process-docstring", attributes.keep, priority=200)
    app.connect("autodoc-process-docstring", attributes.put_back, priority=900)  # napoleon comes at 500
    app.connect("source-read", pages_of_the_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
