"""The style of the page: system fonts, distinct colors, light and dark."""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --card: #ffffff; --ink: #1d2126; --soft: #5c6570; --line: #e2e4e1;
  --track: #eceeeb; --range: #d5dde6; --bar: #2f5d8c; --cap: #b4531a; --floor: #1b7f63;
  --good: #1b7f63; --bad: #a8321f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1b1f24; --ink: #e8eaed; --soft: #a2abb5; --line: #2e343b;
    --track: #262b31; --range: #37424e; --bar: #7fb0e0; --cap: #ee9a63; --floor: #55c9a5;
    --good: #55c9a5; --bad: #f08a76;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
main { max-width: 1020px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 27px; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 40px 0 4px; }
p { margin: 4px 0 12px; max-width: 72ch; }
.soft, caption, th { color: var(--soft); }
.status { color: var(--good); font-weight: 600; }
.status.bad { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(145px, 1fr)); gap: 10px; }
.tiles { margin: 20px 0 12px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 20px; font-weight: 600; }
.tile b { white-space: nowrap; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); }
.wide { border-radius: 8px; padding: 4px 14px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th { font-weight: 500; font-size: 13px; text-align: left; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; }
td.state { font-size: 13px; color: var(--soft); }
td.at-cap { color: var(--cap); }
td.at-floor { color: var(--floor); }
pre { font: 13px/1.55 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { margin: 0; padding: 10px 0; overflow-x: auto; }
svg { display: block; }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; color: var(--soft); margin: 0 0 8px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; }
.key i { margin-right: 6px; vertical-align: -1px; }
.track { fill: var(--track); } .range { fill: var(--range); } .axis { fill: var(--soft); }
.bar { fill: var(--bar); } .cap { fill: var(--cap); } .floor { fill: var(--floor); }
.lost { fill: var(--cap); }
i.bar { background: var(--bar); } i.range { background: var(--range); }
i.cap { background: var(--cap); } i.floor { background: var(--floor); }
footer { margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--line); }
footer { color: var(--soft); font-size: 13px; }
@media print { body { background: #fff; } .tile, .wide { break-inside: avoid-page; } }
"""
