"""The HTML page: one self-contained file, no script, light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.common.version import package_version
from oasis_alloc.page.charts import bullet, dot, signed
from oasis_alloc.page.style import STYLE
from oasis_alloc.page.summary import Cost, Delivery, cost, deliveries, label, notable

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem
    from oasis_alloc.solution import Solution

_ROWS = 60  # groups a table lists


def page(problem: Problem, solution: Solution, title: str, relevance: str | None = None) -> str:
    """The report of a solved (or infeasible) problem as HTML.

    `relevance` names the column whose loss against its own best is shown; without it, that part is left out.
    All labels are escaped.
    """
    candidates = problem.candidates
    head = (
        f"{candidates.n_users:,} users · {candidates.n_items:,} items · {candidates.n_pairs:,} candidates · "
        f"slates of {escape(problem.slate.words())}"
    )
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{head}</p>', _certificate(solution)]
    if not solution.conflicts:
        shown, x = solution.pairs, solution.x
        if relevance is not None and relevance in candidates.columns:
            parts.append(_cost(cost(problem, shown, x, relevance)))
        parts += [_delivery(delivery) for delivery in deliveries(problem, shown, x, solution.prices)]
        parts.append(_objective(solution))
    parts.append(f'<h2>The problem</h2><div class="wide"><pre>{escape(repr(problem))}</pre></div>')
    parts.append(
        "<footer>A price is what the objective gains if the limit is relaxed by one unit: positive at a "
        "cap, negative at a floor, 0 where the limit does not bind. Scoring each candidate by its value "
        "minus the prices of what it uses reproduces this allocation. "
        f"Made by oasis_alloc {escape(package_version())}.</footer>"
    )
    return html_document(title, parts)


def html_document(title: str, parts: Iterable[str]) -> str:
    """A page of these parts, which needs no other file."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def number(value: float) -> str:
    """A number for readers: four significant digits, separated thousands, infinity as a dash.

    >>> number(123456.7), number(12.3456), number(0.00012345), number(math.inf)
    ('123,457', '12.35', '0.0001234', '–')
    """
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-9 else "0"


def _certificate(solution: Solution) -> str:
    good = solution.status.name == "SOLVED"
    status = f'<span class="status{"" if good else " bad"}">{escape(str(solution.status))}</span>'
    lines = [f"<p>{status}: {escape(solution.status.advice)}</p>"]
    tiles = [
        ("value reached", number(solution.value)),
        ("bound, proven", number(solution.bound)),
        ("gap", _gap(solution.gap)),
        ("worst violation", number(solution.violation) if solution.violation else "none"),
        ("passes", f"{solution.passes:.0f}"),
        ("seconds", f"{solution.seconds:.1f}"),
    ]
    boxes = "".join(f'<div class="tile"><b>{text}</b><span>{name}</span></div>' for name, text in tiles if text != "–")
    lines.append(f'<div class="tiles">{boxes}</div>')
    if math.isfinite(solution.gap):
        lines.append(
            "<p>No allocation that keeps the constraints can be worth more than the bound, so this one is "
            f"proven to be within {_gap(solution.gap)} of the best there is.</p>"
        )
    if solution.conflicts:
        rows = "".join(
            f"<tr><td>{escape(c.constraint)}</td><td>{escape(label(c.label))}</td>"
            f'<td class="n">{escape(c.sense)} {number(c.limit)}</td><td class="n">{number(c.reached)}</td>'
            f'<td class="n">{f"<b>{number(c.give)}</b>" if c.give > 0 else "in the way"}</td></tr>'
            for c in solution.conflicts[:_ROWS]
        )
        head = (
            '<tr><th>constraint</th><th>group</th><th class="n">requires</th><th class="n">can reach</th>'
            '<th class="n">relax by</th></tr>'
        )
        lines.append(
            "<h2>What conflicts</h2>\n<p>No allocation meets all of these limits at once. The last column "
            "is the smallest total change that makes them feasible. A limit is <i>in the way</i> if it is met but "
            "leaves no room for the others.</p>\n"
            f'<div class="wide"><table>{head}{rows}</table></div>'
        )
    return "\n".join(lines)


def _gap(gap: float) -> str:
    if not math.isfinite(gap):
        return "–"
    return f"{100 * gap:.2g} %" if gap >= 1e-8 else "< 1e-6 %"


def _cost(shown: Cost) -> str:
    total, kept = float(shown.organic.sum()), float(shown.kept.sum())
    share = kept / total if total else 1.0
    gains = [(name, before, now) for name, before, now in shown.others if name != shown.column]
    text = (
        f"Showing every user's best by {escape(shown.column)} alone would give {number(total)}; this "
        f"allocation keeps {100 * share:.2f} % of it, {number(kept)}."
    )
    if gains:
        moved = "; ".join(f"{escape(name)} from {number(before)} to {number(now)}" for name, before, now in gains)
        text += f" Other columns move with it: {moved}."
    out = f"<h2>What {escape(shown.column)} it cost</h2>\n<p>{text}</p>"
    shares = [k / o if o > 0 else 1.0 for k, o in zip(shown.kept, shown.organic, strict=True)]
    if shown.by is None or not shares:
        return out
    low = max(0.0, math.floor(100 * min(shares) - 1e-9) / 100 - 0.01)
    rows = "".join(
        f'<tr><td>{escape(label)}</td><td class="n">{number(o)}</td><td class="n">{number(k)}</td>'
        f'<td class="n">{100 * s:.2f} %</td><td>{dot(s, low)}</td></tr>'
        for label, o, k, s in zip(shown.labels, shown.organic, shown.kept, shares, strict=True)
    )
    head = (
        f'<tr><th>{escape(shown.by)}</th><th class="n">alone</th><th class="n">now</th>'
        '<th class="n">kept</th>'
        f"<th>{100 * low:.0f} % to 100 %</th></tr>"
    )
    return f'{out}\n<div class="wide"><table>{head}{rows}</table></div>'


def _delivery(delivery: Delivery) -> str:
    chosen = notable(delivery, _ROWS)
    limited = int((np.isfinite(delivery.floor) | np.isfinite(delivery.cap)).sum())
    at = delivery.state
    text = (
        f"{at.count('at floor'):,} of {limited:,} at their floor, {at.count('at cap'):,} at their cap. "
        f"Delivered in {escape(delivery.unit)}."
    )
    missed = at.count("below floor") + at.count("above cap")
    if missed:
        text += f" {missed:,} miss a limit."
    if len(chosen) < limited:
        text += f" The table shows the {len(chosen)} groups whose limits weigh most."
    largest = max((abs(float(delivery.price[k])) for k in chosen), default=0.0)
    rows = "".join(
        f'<tr><td>{escape(delivery.labels[k])}</td><td class="n">{number(delivery.floor[k])}</td>'
        f'<td class="n"><b>{number(delivery.delivered[k])}</b></td>'
        f'<td class="n">{number(delivery.cap[k])}</td>'
        f"<td>{bullet(delivery.delivered[k], delivery.floor[k], delivery.cap[k])}</td>"
        f'<td class="state {at[k].replace(" ", "-")}">{at[k]}</td>'
        f'<td class="n">{number(delivery.price[k])}</td><td>{signed(delivery.price[k], largest)}</td></tr>'
        for k in chosen
    )
    head = (
        '<tr><th></th><th class="n">floor</th><th class="n">delivered</th><th class="n">cap</th><th></th>'
        "<th></th>"
        '<th class="n">price</th><th></th></tr>'
    )
    key = (
        '<div class="key"><span><i class="bar"></i>delivered</span><span><i class="range"></i>allowed</span>'
        '<span><i class="floor"></i>floor: a price below 0, a bonus in scores</span>'
        '<span><i class="cap"></i>cap: a price above 0, a charge in scores</span></div>'
    )
    names = escape(", ".join(delivery.names))
    title = names[:1].upper() + names[1:] if not names.startswith("&") else names
    return f'<h2>{title}</h2>\n<p>{text}</p>\n{key}<div class="wide"><table>{head}{rows}</table></div>'


def _objective(solution: Solution) -> str:
    rows = "".join(
        f'<tr><td>{escape(text)}</td><td class="n">{number(part)}</td></tr>' for text, part in solution.parts.items()
    )
    rows += f'<tr><td><b>value</b></td><td class="n"><b>{number(solution.value)}</b></td></tr>'
    return f'<h2>What adds up to the value</h2>\n<div class="wide"><table>{rows}</table></div>'
