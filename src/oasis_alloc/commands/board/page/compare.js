// Two solutions or policies next to each other.

import { get } from "./api.js";
import { diverging } from "./charts.js";
import { failure, field, h, panel, put, select } from "./dom.js";
import { number, percent, signed } from "./format.js";
import { labelLink } from "./overview.js";
import { hash, inFocus, onFocus, overview } from "./state.js";
import { facts, table } from "./table.js";

export async function show(place, at) {
  const data = await overview();
  if (data.sources.length < 2) {
    put(
      place,
      panel(
        "Nothing to compare with",
        {},
        h("p", { class: "prose" }, "Start the board with a second problem, saved solution or policy: oasis-alloc board problem.toml --compare monday.solution"),
        h("p", { class: "prose soft" }, "With --edit, a change of a limit can be compared with what was read."),
      ),
    );
    return null;
  }
  const after = at.query.after ?? "0";
  const before = at.query.before ?? "1";
  const names = data.sources.map((one, k) => [k, `${one.name} (${one.kind})`]);
  const go = (query) => {
    location.hash = hash("compare", [], { before, after, ...query });
  };
  const form = h(
    "div",
    { class: "panel form" },
    field("Before", select(names, before, (one) => go({ before: one }), "Before")),
    field("After", select(names, after, (one) => go({ after: one }), "After")),
    h("button", { type: "button", class: "quiet", onclick: () => go({ before: after, after: before }) }, "Swap"),
  );
  put(place, form);
  let grid = null;
  try {
    const found = await get("compare", { before, after });
    grid = groups(found, data);
    put(place, form, summary(found), grid.panel, parts(found));
  } catch (error) {
    put(place, form, failure(error));
  }
  return onFocus(() => grid && grid.redraw());
}

function summary(found) {
  const [a, b] = found.value;
  const change = a === null || b === null ? null : b - a;
  return h(
    "section",
    { class: "panel", "aria-label": "Summary" },
    facts([
      [`value of ${found.before}`, a, number(a, 6)],
      [`value of ${found.after}`, b, number(b, 6)],
      ["change", change, signed(change, 4)],
      ...(found.churn === null ? [] : [["slots changed", found.churn, percent(found.churn, 1)]]),
      ...(found.items ? [["items added", found.items.added, number(found.items.added)], ["items removed", found.items.removed, number(found.items.removed)]] : []),
    ]),
  );
}

const minus = (a, b) => (a === null || b === null || a === undefined || b === undefined ? null : b - a);

function groups(found, data) {
  const rows = found.rows.map(([names, label, t0, t1, p0, p1]) => ({ name: names.join(", "), label, t0: t0 ?? null, t1: t1 ?? null, p0: p0 ?? null, p1: p1 ?? null, by: keysOf(data, names) }));
  const totals = found.kind === "solutions";
  const largest = Math.max(...rows.map((row) => Math.abs(totals ? minus(row.t0, row.t1) || 0 : minus(row.p0, row.p1) || 0)), 0);
  const column = (name, head, of, more = {}) => ({ name, head, kind: "number", get: of, ...more });
  const size = (row) => (row.t1 === null && row.t0 !== null ? Infinity : Math.abs(totals ? minus(row.t0, row.t1) ?? Infinity : minus(row.p0, row.p1) ?? Infinity));
  const grid = table(
    rows,
    [
      { name: "label", head: "group", kind: "text", rowhead: true, get: (row) => row.label, show: (row) => labelLink(row.by, row.label) },
      { name: "name", head: "constraint", kind: "text", get: (row) => row.name, minor: true },
      ...(totals
        ? [
            column("t0", "total before", (row) => row.t0, { minor: true }),
            column("t1", "total after", (row) => row.t1),
            column("td", "change", (row) => minus(row.t0, row.t1), { sort: size, show: (row) => signed(minus(row.t0, row.t1)) }),
            { name: "chart", head: "", kind: "drawing", sort: null, show: (row) => diverging(minus(row.t0, row.t1), largest), minor: true },
          ]
        : []),
      column("p0", "price before", (row) => row.p0, { minor: true }),
      column("p1", "price after", (row) => row.p1),
      column("pd", "change", (row) => minus(row.p0, row.p1), { sort: (row) => Math.abs(minus(row.p0, row.p1) || 0), show: (row) => signed(minus(row.p0, row.p1)), minor: totals }),
    ],
    { caption: "Groups of both", by: totals ? "td" : "pd", search: rows.length > 8 ? "groups" : null, count: "group", mark: (row) => inFocus(row.by, row.label) },
  );
  return { panel: panel(totals ? "Totals and prices" : "Prices", { note: found.groups > rows.length ? `The ${number(rows.length)} of ${number(found.groups)} that changed most.` : null }, rows.length ? grid : h("p", { class: "soft" }, "No differences.")), redraw: grid.redraw };
}

function keysOf(data, names) {
  const section = data.sections.find((one) => one.names.some((name) => names.includes(name)));
  return section ? section.by : [];
}

function parts(found) {
  const list = found.parts || [];
  const rules = found.slate || [];
  if (!list.length && !rules.length) return null;
  return panel(
    found.kind === "policies" ? "Weights and rules" : "What adds up to the value",
    {},
    table(
      [...list, ...rules.map((one) => ({ term: one.rule, before: one.before, after: one.after }))],
      [
        { name: "term", head: "term", kind: "text", rowhead: true, get: (row) => row.term },
        { name: "before", head: "before", kind: "number", get: (row) => row.before, show: (row) => (typeof row.before === "number" ? number(row.before, 6) : String(row.before ?? "–")) },
        { name: "after", head: "after", kind: "number", get: (row) => row.after, show: (row) => (typeof row.after === "number" ? number(row.after, 6) : String(row.after ?? "–")) },
        { name: "change", head: "change", kind: "number", get: (row) => (typeof row.before === "number" ? minus(row.before, row.after) : null), show: (row) => (typeof row.before === "number" ? signed(minus(row.before, row.after)) : "") },
      ],
      { caption: "Terms of both", count: "term" },
    ),
  );
}
