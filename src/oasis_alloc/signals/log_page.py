"""The report of a log as one HTML page, which loads nothing: the verdict first, then what to do, then the blocks."""

from __future__ import annotations

import math
from html import escape

from oasis_alloc.common.text_tables import TextTable, as_html, number
from oasis_alloc.page.page import html_document
from oasis_alloc.signals.log_checks import Predicted
from oasis_alloc.signals.log_report import Block, LogReport
from oasis_alloc.signals.off_policy.charts import STYLE, against, bars
from oasis_alloc.signals.off_policy.page import blocks as off_policy_blocks

_COLUMNS = 40  # rows of the table of columns
_WORDS = {"good": "good", "watch": "watch", "bad": "needs action"}
_MORE = (
    "<style>.pair{display:flex;flex-wrap:wrap;gap:12px}.wide{margin:0 0 12px}"
    ".status.watch{color:var(--cap)}figure{margin:0}</style>"
)


def page_of(report: LogReport) -> str:
    """The whole page."""
    parts = [STYLE, _MORE, "<h1>Signals of the decision log</h1>", f'<p class="soft">{escape(report.source)}</p>']
    parts.append(f'<p class="{_status(report.level)}">{escape(report.verdict)}</p>')
    if report.actions:
        items = "".join(f"<li>{escape(action)}</li>" for action in report.actions)
        parts.append(f"<h2>Recommended actions</h2>\n<ol>{items}</ol>")
    parts.append(f'<div class="wide">{as_html(report.log)}</div>')
    for block in report.blocks:
        parts += _block(block)
    return html_document("Signals of the decision log", parts)


def _status(level: str) -> str:
    return {"good": "status", "watch": "status watch", "bad": "status bad"}[level]


def _block(block: Block) -> list[str]:
    title = block.title[:1].upper() + block.title[1:]
    word = f'<span class="{_status(block.level)}">{_WORDS[block.level]}</span>'
    parts = [f"<h2>{escape(title)}: {word}</h2>"]
    if block.off_policy is not None:
        return parts + off_policy_blocks(block.off_policy)
    parts.append(f"<p>{escape(block.finding)}</p>")
    if block.reliability:
        drawn = "".join(
            f'<figure><figcaption class="soft">{escape(name)}</figcaption>'
            f"{against(_points(one), 'predicted', 'observed')}</figure>"
            for name, one in block.reliability.items()
        )
        parts.append(f'<div class="pair">{drawn}</div>')
        rows = [
            (name, number(one.reliability.expected, 4), number(one.reliability.occurred, 4), f"{100 * one.ratio:.0f} %",
             number(one.reliability.calibration_error, 3))
            for name, one in block.reliability.items()
        ]  # fmt: skip
        head = ("", "expected", "occurred", "ratio", "calibration error")
        parts.append(f'<div class="wide">{as_html(TextTable(head, "lrrrr", rows))}</div>')
    if block.drift is not None:
        parts += _drift(block)
    return parts


def _points(one: Predicted) -> list[tuple[float, float, float, float]]:
    of = one.reliability
    return list(zip(of.predicted.tolist(), of.observed.tolist(), of.low.tolist(), of.high.tolist(), strict=True))


def _drift(block: Block) -> list[str]:
    assert block.drift is not None
    columns = block.drift.columns[:_COLUMNS]
    rows = [
        (one.column, number(one.index, 3) if math.isfinite(one.index) else "absent", one.level,
         _value(one.first_mean), _value(one.second_mean),
         f"{100 * one.first_missing:.1f} %", f"{100 * one.second_missing:.1f} %")
        for one in columns
    ]  # fmt: skip
    left = len(block.drift.columns) - len(columns)
    head = ("column", "stability index", "", "mean, first half", "second half", "missing, first half", "second half")
    table = TextTable(head, "lrlrrrr", rows, f"{left:,} more columns" if left else "")
    finite = [one for one in columns[:12] if math.isfinite(one.index)]
    drawing = bars([(one.column, one.index) for one in finite], "stability index by column")
    return [
        "<p>Population stability index: below 0.1 stable, from 0.25 on moved.</p>",
        f'<div class="wide">{drawing}</div>', f'<div class="wide">{as_html(table)}</div>',
    ]  # fmt: skip


def _value(value: float) -> str:
    return number(value, 4) if math.isfinite(value) else "–"
