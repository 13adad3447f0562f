"""An off-policy evaluation as one HTML page, which loads nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from oasis_alloc.common.remote_path import AnyPath, write_at
from oasis_alloc.common.text_tables import TextTable, as_html
from oasis_alloc.page.page import html_document
from oasis_alloc.signals.off_policy.charts import STYLE, forest

if TYPE_CHECKING:
    from oasis_alloc.signals.off_policy.result import OffPolicy


def write_page(found: OffPolicy, path: AnyPath, title: str) -> None:
    """Write the page; it appears whole or not at all."""
    parts = [STYLE, f"<h1>{escape(title)}</h1>", *blocks(found)]
    write_at(path, html_document(title, parts))


def blocks(found: OffPolicy) -> list[str]:
    """Verdict, cautions, intervals and weights."""
    good = not found.refused and not found.cautions
    parts = [f'<p class="status{"" if good else " bad"}">{escape(found.verdict)}</p>']
    parts += [f"<p>{escape(text)}</p>" for text in found.cautions]
    if found.estimates:
        rows = [(one.estimator, one.value, one.low, one.high) for one in found.estimates]
        parts.append(f'<div class="wide">{forest(rows, found.logged.value, "logged policy")}</div>')
    tables = [part for part in found.parts() if isinstance(part, TextTable)]
    return parts + [f'<div class="wide">{as_html(table)}</div>' for table in tables]
