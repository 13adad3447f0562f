"""Draw the Mermaid diagrams of the pages that have no drawing yet, and remove drawings that no page has any more.

    npm pack mermaid && tar -xzf mermaid-*.tgz
    python docs/scripts/draw_diagrams.py --mermaid package/dist/mermaid.min.js --browser chromium

Only who changes a diagram needs this, a Chromium and Mermaid; building the site needs neither.
"""

from __future__ import annotations

import argparse
import html
import re
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DOCS / "_ext"))

from drawings import DRAWINGS, diagrams_of, drawing_of  # noqa: E402  # found by the line above

PAGE = """<!doctype html><meta charset="utf-8"><body><script src="{library}"></script><script>
mermaid.initialize({{startOnLoad: false, theme: "neutral", htmlLabels: false, flowchart: {{htmlLabels: false}},
                    fontFamily: "sans-serif", deterministicIds: true}});
mermaid.render("diagram", {source}).then(({{svg}}) => {{ document.body.innerHTML = svg; }});
</script></body>"""


def draw(source: str, library: Path, browser: str) -> str:
    """The diagram as an SVG of its own."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        quoted = "`" + source.replace("\\", "\\\\").replace("`", "\\`") + "`"
        page.write_text(PAGE.format(library=library.resolve().as_uri(), source=quoted), encoding="utf-8")
        run = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
        out = subprocess.run([*run, page.as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<svg.*</svg>", out, re.DOTALL)
    if found is None:
        raise SystemExit(f"Mermaid drew nothing of:\n{source}\n{html.unescape(out)[-500:]}")
    svg = found[0].replace("<br>", "<br/>")
    return svg if "xmlns=" in svg[:500] else svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mermaid", type=Path, required=True, help="mermaid.min.js")
    options.add_argument("--browser", default="chromium", help="a Chromium (default: chromium)")
    given = options.parse_args()
    DRAWINGS.mkdir(exist_ok=True)
    sources = [s for page in sorted(DOCS.rglob("*.md")) for s in diagrams_of(page.read_text(encoding="utf-8"))]
    for old in set(DRAWINGS.glob("*.svg")) - {drawing_of(source) for source in sources}:
        old.unlink()
        print(f"removed {old.name}")
    for source in sources:
        drawing = drawing_of(source)
        if not drawing.exists():
            drawing.write_text(draw(source, given.mermaid, given.browser) + "\n", encoding="utf-8")
            print(f"drew {drawing.name}")


if __name__ == "__main__":
    main()
