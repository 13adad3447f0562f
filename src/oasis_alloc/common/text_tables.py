"""Paragraphs and tables of text, formatted for a terminal and for a notebook."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 100  # columns of a screen
_NARROWEST = 12  # columns that a table's first column keeps
_HUGE = 1e12  # larger numbers are written with an exponent


@dataclass(frozen=True)
class TextTable:
    """Rows of text under a head; columns whose letter in `align` is "r" are aligned right."""

    head: Sequence[str]
    align: str
    rows: Sequence[Sequence[str]]
    more: str = ""  # lines below, such as the number of omitted rows


@dataclass(frozen=True)
class Folded:
    """A table that a page shows when its title is clicked."""

    title: str
    table: TextTable


def number(value: float, digits: int) -> str:
    """Write a number with `digits` significant digits and separated thousands.

    >>> number(1234567.891, 8), number(1234567.891, 6), number(0.0341234, 4), number(-0.0, 4), number(math.inf, 4)
    ('1,234,567.9', '1,234,568', '0.03412', '0', 'none')
    """
    if not math.isfinite(value):
        return "none"
    if 10.0 ** (digits - 1) <= abs(value) < _HUGE:
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if value else "0"


def signed(change: float, digits: int = 6) -> str:
    """A change with its sign.

    >>> signed(2.0), signed(-0.5), signed(float("nan"))
    ('+2', '-0.5', '')
    """
    return "" if change != change else ("+" if change > 0 else "-" if change < 0 else "") + number(abs(change), digits)


def small(value: float) -> str:
    """Write a measure of error, such as a gap; numbers below rounding are 0.

    >>> small(3.21e-5), small(1e-15)
    ('3.2e-05', '0')
    """
    return f"{value:.1e}" if value >= 1e-12 else "0"


def _columns(text: str) -> int:
    """Columns that a terminal gives to a text: two to a wide character, none to a combining one."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, max_width: int) -> str:
    """Fit a text in one line of `max_width` columns; characters that cannot be printed become question marks.

    >>> cut("an artist with a long name", 12), cut("two\\nlines", 12)
    ('an artist...', 'two?lines')
    """
    text = "".join(char if char.isprintable() else "?" for char in text)
    if _columns(text) <= max_width:
        return text
    while _columns(text) > max_width - 3:
        text = text[: min(len(text) - 1, max_width)]
    return text + "..."


def fit(texts: Sequence[str], max_width: int) -> list[str]:
    """Fit texts together into `max_width` columns, cutting the longest of them first.

    >>> fit(["a name that is far too long", "short"], 20)
    ['a name that ...', 'short']
    """
    out = [cut(text, max_width) for text in texts]
    while sum(map(_columns, out)) > max_width:
        longest = max(range(len(out)), key=lambda k: _columns(out[k]))
        shorter = max(_columns(out[longest]) - 1, 3)
        if _columns(out[longest]) <= 3:
            break
        out[longest] = cut(texts[longest], shorter)
    return out


def as_text(part: str | TextTable) -> str:
    """Format a paragraph or table for a terminal; if a table is too wide, its first column is cut.

    >>> print(as_text(TextTable(("who", "how many"), "lr", [("you", "1"), ("we", "20")])))
    who  how many
    you         1
    we         20
    """
    if isinstance(part, str):
        return textwrap.fill(part, _WIDTH, break_long_words=False, break_on_hyphens=False)
    lines = [list(line) for line in ([part.head, *part.rows] if part.head else part.rows)]
    if not lines:
        return part.more
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    over = sum(widths) + 2 * (len(widths) - 1) - _WIDTH
    if over > 0:
        widths[0] = max(widths[0] - over, _NARROWEST)
        for line in lines:
            line[0] = cut(line[0], widths[0])
    out = []
    for line in lines:
        cells = [
            " " * (width - _columns(cell)) + cell if align == "r" else cell + " " * (width - _columns(cell))
            for cell, width, align in zip(line, widths, part.align, strict=True)
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join([*out, part.more] if part.more else out)


# No colors, only a line that is visible on light and dark pages.
STYLE = (
    ".oasis-alloc{color:inherit;max-width:60em}"
    ".oasis-alloc table{border-collapse:collapse;margin:.6em 0;table-layout:auto;font-variant-numeric:tabular-nums}"
    ".oasis-alloc table th{text-align:left;font-weight:600}"
    ".oasis-alloc table td,.oasis-alloc table th{padding:.15em 1.2em .15em 0;background:none;color:inherit;"
    "text-align:left;border-bottom:1px solid rgba(128,128,128,.35)}"
    ".oasis-alloc table .n{text-align:right;white-space:nowrap}"
)


def as_page(parts: Iterable[str | TextTable | Folded]) -> str:
    """Set paragraphs and tables as HTML for a notebook: no script, and the colors of the page that it stands on.

    >>> as_page(["a < b"]).splitlines()[-2:]
    ['<p>a &lt; b</p>', '</div>']
    """
    inside = "\n".join(as_html(part) for part in parts)
    return f'<div class="oasis-alloc">\n<style>{STYLE}</style>\n{inside}\n</div>'


def as_html(part: str | TextTable | Folded) -> str:
    """Format a paragraph or table as HTML, with everything escaped.

    >>> as_html("a < b")
    '<p>a &lt; b</p>'
    """
    if isinstance(part, str):
        return f"<p>{escape(part)}</p>"
    if isinstance(part, Folded):
        return f"<details><summary>{escape(part.title)}</summary>{as_html(part.table)}</details>"

    def row(cells: Sequence[str], tag: str) -> str:
        opened = {"l": f"<{tag}>", "r": f'<{tag} class="n">'}
        inside = "".join(f"{opened[a]}{escape(cell)}</{tag}>" for cell, a in zip(cells, part.align, strict=True))
        return f"<tr>{inside}</tr>"

    head = [f"<thead>{row(part.head, 'th')}</thead>"] if part.head else []
    body = "\n".join(row(line, "td") for line in part.rows)
    table = ["<table>", *head, f"<tbody>{body}</tbody>", "</table>"] if part.rows else []
    return "\n".join([*table, *(f"<p>{escape(line)}</p>" for line in part.more.splitlines())])


class Printed:
    """Base of what `print` shows as paragraphs and tables, and a notebook as HTML: the parts that `_parts` lists.

    >>> class Two(Printed):
    ...     def _parts(self):
    ...         return ["one", "two"]
    >>> Two()
    one
    <BLANKLINE>
    two
    """

    __slots__ = ()

    def _parts(self) -> list[str | TextTable]:
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n\n".join(as_text(part) for part in self._parts())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_page(self._parts())
