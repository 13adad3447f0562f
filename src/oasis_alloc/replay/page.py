"""A replay as one HTML page, without a script from elsewhere: a table that sorts by its head, and small charts."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.remote_path import AnyPath, write_at

if TYPE_CHECKING:
    from oasis_alloc.replay.result import Replay

_WIDTH, _HEIGHT, _CHARTS = 260, 90, 60  # pixels of a chart, and how many goals are drawn

_STYLE = """body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;color:#1b1f24}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:.25em .6em;text-align:right;
border-bottom:1px solid #d8dee4}th{cursor:pointer;text-align:right;position:sticky;top:0;background:#fff}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}figure{display:inline-block;margin:.5em}
figcaption{font-size:12px}.plan{stroke:#8b949e;stroke-dasharray:3 3}.total{stroke:#0969da}.price{stroke:#bf5b04}
path{fill:none;stroke-width:1.5}.wide{overflow-x:auto}"""

_SORT = """document.querySelectorAll('th').forEach((head,at)=>head.addEventListener('click',()=>{
const body=head.closest('table').tBodies[0],up=head.dataset.up!=='1';head.dataset.up=up?'1':'0';
const key=row=>{const text=row.cells[at].textContent,number=parseFloat(text.replace(/,/g,''));
return isNaN(number)?text:number};
[...body.rows].sort((a,b)=>{const x=key(a),y=key(b);return (x<y?-1:x>y?1:0)*(up?1:-1)}).forEach(r=>body.append(r))}))"""


def write_page(found: Replay, path: AnyPath) -> None:
    """Write the page; it appears whole or not at all."""
    names = [
        name
        for name in dict.fromkeys(n for row in found.rows for n in row)
        if name not in ("contender", "scenario", "seed")
    ]
    means = {name: found.mean(name) for name in names}
    rows = [[s, c, *(_number(means[name][s, c]) for name in names)] for s in found.scenarios for c in found.contenders]
    first = found.seeds[0] if found.seeds else 0
    goals = [goal for goal in found.goals if goal["seed"] == first][:_CHARTS]
    left = sum(goal["seed"] == first for goal in found.goals) - len(goals)
    more = f"<p>{left:,} more goals are in campaigns().</p>" if left else ""
    text = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Replay</title><style>{_STYLE}</style>"
        f"<h1>Replay</h1><p>Means over {len(found.seeds)} seeds. Click a head to sort.</p>"
        f"<div class='wide'>{_table(['scenario', 'contender', *names], rows)}</div>"
        f"<h2>Delivery and prices over time, seed {first}</h2>"
        "<p>Blue: served; dashed: planned; orange: price.</p>"
        f"{''.join(_chart(goal) for goal in goals)}{more}<script>{_SORT}</script></html>"
    )
    write_at(path, text)


def _number(value: float) -> str:
    return "" if not math.isfinite(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _chart(goal: dict[str, Any]) -> str:
    top = max([*goal["planned"], *goal["total"], 1e-12])
    size = max([abs(price) for price in goal["price"]] + [1e-12])
    lines = (
        ("plan", [v / top for v in goal["planned"]]), ("total", [v / top for v in goal["total"]]),
        ("price", [0.5 + 0.5 * v / size for v in goal["price"]]),
    )  # fmt: skip
    paths = "".join(f"<path class='{name}' d='{_path(values)}'/>" for name, values in lines)
    title = f"{goal['scenario']}, {goal['contender']}: {goal['goal']}"
    said = f"{goal['delivered']:,.6g} of {goal['target']:,.6g}, price up to {size:.3g}"
    label = html.escape(title, quote=True)
    return (
        f"<figure><svg width='{_WIDTH}' height='{_HEIGHT}' role='img' aria-label='{label}'>{paths}</svg>"
        f"<figcaption>{html.escape(title)}<br>{html.escape(said)}</figcaption></figure>"
    )


def _path(values: Sequence[float]) -> str:
    last = max(len(values) - 1, 1)
    points = [f"{k / last * _WIDTH:.1f},{(1.0 - v) * (_HEIGHT - 4) + 2:.1f}" for k, v in enumerate(values)]
    return "M" + "L".join(points)
