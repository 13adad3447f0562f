"""A replay as one HTML page, without a script from elsewhere: a table that sorts by its head, and small charts."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.remote_path import AnyPath, write_at

if TYPE_CHECKING:
    from oasis_alloc.replay.result import Replay

_WIDTH, _HEIGHT, _CHARTS = 260, 90, 60  # pixels of a chart, and how many goals are drawn

_OF_GOALS = ("scenario", "contender", "goal", "floor", "cap", "target", "delivered", "of the target", "ran out (UTC)")

_STYLE = """body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;color:#1b1f24}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:.25em .6em;text-align:right;
border-bottom:1px solid #d8dee4}th{cursor:pointer;text-align:right;position:sticky;top:0;background:#fff}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}figure{display:inline-block;margin:.5em}
figcaption{font-size:12px}.plan{stroke:#8b949e;stroke-dasharray:3 3}.total{stroke:#0969da}.price{stroke:#bf5b04}
path{fill:none;stroke-width:1.5}.wide{overflow-x:auto}"""

_SORT = """document.querySelectorAll('th').forEach(head=>head.addEventListener('click',()=>{
const body=head.closest('table').tBodies[0],up=head.dataset.up!=='1';head.dataset.up=up?'1':'0';
const key=row=>{const text=row.cells[head.cellIndex].textContent,number=Number(text.replace(/,/g,''));
return isNaN(number)||text===''?text:number};
[...body.rows].sort((a,b)=>{const x=key(a),y=key(b);if(x===''||y==='')return (x==='')-(y==='');
return (x<y?-1:x>y?1:0)*(up?1:-1)}).forEach(r=>body.append(r))}))"""


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
    goals = [goal for goal in found.goals if goal["seed"] == first]
    left = len(goals) - len(goals[:_CHARTS])
    more = f"<p>{left:,} more goals are in campaigns().</p>" if left else ""
    text = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Replay</title><style>{_STYLE}</style>"
        f"<h1>Replay</h1><p>Means over {len(found.seeds)} seeds. Click a head to sort.</p>"
        f"<div class='wide'>{_table(['scenario', 'contender', *names], rows)}</div>"
        f"<h2>Delivery by goal, seed {first}</h2>"
        f"<div class='wide'>{_table(_OF_GOALS, [_delivery(goal) for goal in goals])}</div>"
        f"<h2>Delivery and prices over time, seed {first}</h2>"
        "<p>Blue: served; dashed: planned; orange: price.</p>"
        f"{''.join(_chart(goal) for goal in goals[:_CHARTS])}{more}<script>{_SORT}</script></html>"
    )
    write_at(path, text)


def _delivery(goal: dict[str, Any]) -> list[str]:
    """A row of the table of goals: limits, delivery against the plan, and when nothing was left."""
    out = goal["exhausted"]
    numbers = (goal["floor"], goal["cap"], goal["target"], goal["delivered"])
    has_target = math.isfinite(goal["target"]) and goal["target"] > 0
    against = goal["delivered"] / goal["target"] if has_target else math.nan
    ran_out = f"{datetime.fromtimestamp(out, UTC):%Y-%m-%d %H:%M:%S}" if math.isfinite(out) else ""
    return [goal["scenario"], goal["contender"], goal["goal"], *map(_number, numbers), _number(against), ran_out]


def _number(value: float) -> str:
    return "" if not math.isfinite(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _chart(goal: dict[str, Any]) -> str:
    planned = goal["planned"] if np.isfinite(goal["planned"]).all() else []  # without a limit of the flight, nothing is
    top = max([*planned, *goal["total"], 1e-12])
    size = max([abs(price) for price in goal["price"]] + [1e-12])
    lines = (
        ("plan", [v / top for v in planned]), ("total", [v / top for v in goal["total"]]),
        ("price", [0.5 + 0.5 * v / size for v in goal["price"]]),
    )  # fmt: skip
    paths = "".join(f"<path class='{name}' d='{_path(values)}'/>" for name, values in lines if values)
    title = f"{goal['scenario']}, {goal['contender']}: {goal['goal']}"
    asked = f" of {goal['target']:,.6g}" if math.isfinite(goal["target"]) else ""
    said = f"{goal['delivered']:,.6g}{asked}, price up to {size:.3g}"
    label = html.escape(title, quote=True)
    return (
        f"<figure><svg width='{_WIDTH}' height='{_HEIGHT}' role='img' aria-label='{label}'>{paths}</svg>"
        f"<figcaption>{html.escape(title)}<br>{html.escape(said)}</figcaption></figure>"
    )


def _path(values: Sequence[float]) -> str:
    last = max(len(values) - 1, 1)
    points = [f"{k / last * _WIDTH:.1f},{(1.0 - v) * (_HEIGHT - 4) + 2:.1f}" for k, v in enumerate(values)]
    return "M" + "L".join(points)
