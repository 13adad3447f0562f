"""Text tables."""

from __future__ import annotations

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = (0,)) -> str:
    """Columns in line: those in `text` to the left, the others, numbers, to the right.

    >>> print(table(["solver", "s"], [["a", "1.5"], ["bcd", "10.0"]]))
    solver     s
    a        1.5
    bcd     10.0
    """
    widths = [max(len(line[k]) for line in [heads, *rows]) for k in range(len(heads))]
    lines = []
    for line in [heads, *rows]:
        cells = [
            cell.ljust(width) if k in text else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
