"""A run as one HTML page: how it ended, its steps, and what each check and gate found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from oasis_alloc.common.version import package_version
from oasis_alloc.page.page import html_document


def page_of(summary: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]], solution: str | None) -> str:
    """The page of a run; `solution` is the file of the solution's own page, next to it."""
    good = summary["status"] in ("published", "checked")
    heading = f"{summary['job']}: run {summary['run']}"
    parts = [
        f"<h1>{escape(heading)}</h1>",
        f'<p><span class="status{"" if good else " bad"}">{escape(str(summary["status"]))}</span>'
        f"{': ' if summary['message'] else ''}{escape(str(summary['message']))}</p>",
        _tiles(summary),
        "<h2>Steps</h2>",
        _table(["step", "", "seconds", ""], ([name, of["status"], f"{of['seconds']:.1f}", of["text"]]
               for name, of in steps.items())),
    ]  # fmt: skip
    for name, title in (("checks", "Checks of the input"), ("gates", "Gates on the result")):
        findings = steps.get(name, {}).get("findings")
        if findings:
            parts += [f"<h2>{title}</h2>", _table(["", "", "found", "limit", ""], map(_row, findings))]
    for gate, reason in summary.get("accepted", {}).items():
        parts.append(f"<p>Accepted: {escape(gate)}, because: {escape(reason)}</p>")
    if solution is not None:
        parts.append(f'<p><a href="{escape(solution)}">The solution</a>: certificate, delivery, prices.</p>')
    parts.append(f"<footer>Made by oasis_alloc {escape(package_version())}.</footer>")
    return html_document(heading, parts)


def _tiles(summary: Mapping[str, Any]) -> str:
    version = summary.get("version") or {}
    tiles = [
        ("version", version.get("version")), ("policy", version.get("policy_id")),
        ("key", version.get("key")), ("last run", summary.get("last")),
    ]  # fmt: skip
    boxes = "".join(
        f'<div class="tile"><b>{escape(str(text))}</b><span>{name}</span></div>' for name, text in tiles if text
    )
    return f'<div class="tiles">{boxes}</div>'


def _row(finding: Mapping[str, Any]) -> list[str]:
    value, limit = finding["value"], finding["limit"]
    passed = "passed" if finding["passed"] else "failed"
    words = [*finding["where"], finding["note"]]
    return [
        finding["name"], passed, "" if value is None else f"{value:.6g}", "" if limit is None else str(limit),
        ", ".join(word for word in words if word),
    ]  # fmt: skip


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    first = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{first}</tr>{body}</table></div>'
