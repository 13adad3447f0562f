"""Mermaid diagrams without scripts from elsewhere: each is an SVG in `docs/diagrams/`, named after its source.

`python docs/scripts/draw_diagrams.py` draws those that are missing. A diagram whose drawing is missing is a warning of
the build, so it is an error.
"""

from __future__ import annotations

from docutils import nodes
from drawings import DRAW, drawing_of
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata


class Mermaid(SphinxDirective):
    """A diagram: the image of its drawing, with its source as the text for people who do not see it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        source = "\n".join(self.content)
        drawing = drawing_of(source)
        if not drawing.exists():
            message = f"the drawing of this diagram is missing: run python docs/scripts/{DRAW.name}"
            return [self.state.document.reporter.warning(message, line=self.lineno)]
        image = nodes.image(uri=f"/diagrams/{drawing.name}", alt=f"Diagram: {source}", classes=["diagram"])
        self.set_source_info(image)
        return [nodes.container("", image, classes=["wide"])]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("mermaid", Mermaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
