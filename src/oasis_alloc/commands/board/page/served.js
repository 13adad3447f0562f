// Served against planned: what whole slates at the plan's prices deliver, and what closes the difference.

import { get } from "./api.js";
import { bullet } from "./charts.js";
import { failure, h, panel, put } from "./dom.js";
import { number, percent, plural } from "./format.js";
import { labelLink } from "./overview.js";
import { inFocus, shared } from "./state.js";
import { facts, table } from "./table.js";

const NOTE = "Requests get whole slates: the best at the prices of this plan. A limit is missed where the plan mixes slates.";

// Of all limits for the overview, or of one group for its page. What was served before is shown at once.
export function servedPanel(key = null, label = null) {
  const body = h("div", { class: "stacked" });
  const state = { key, label, closed: false, grids: [] };
  const node = panel("Served against planned", { note: NOTE }, body);
  node.close = () => {
    state.closed = true;
  };
  node.redraw = () => state.grids.forEach((one) => one.redraw());
  if (shared.about.served) load(body, state, { known: "1" });
  else put(body, offer(body, state));
  return node;
}

const offer = (body, state) => h("p", {}, h("button", { type: "button", class: "act", onclick: () => load(body, state) }, "Serve the plan's users"));

async function load(body, state, more = {}) {
  put(body, h("p", { class: "soft" }, more.close ? "Trying what closes the difference: this solves several times …" : "Serving …"));
  body.setAttribute("aria-busy", "true");
  try {
    const found = await get("served", { key: state.key, label: state.label, ...more });
    shared.about.served = found.known;
    if (!state.closed) put(body, found.known ? drawn(found, body, state) : offer(body, state));
  } catch (error) {
    if (!state.closed) put(body, failure(error), offer(body, state));
  }
  body.removeAttribute("aria-busy");
}

function drawn(found, body, state) {
  const largest = Math.max(...found.groups.map((row) => row.miss), 0);
  state.grids = [];
  return [
    facts([
      ["value planned", found.planned, number(found.planned, 6)],
      ["value served", found.served, number(found.served, 6)],
      ["users with several slates", found.mixed_users, number(found.mixed_users)],
      ...(state.key ? [] : [["limits missed", found.missed, `${number(found.missed)} of ${number(found.limits)}`, found.missed ? "bad" : "good"]]),
      ["largest miss", largest, largest ? `${number(largest)} (${percent(found.groups.reduce((most, row) => Math.max(most, row.relative), 0))})` : "none", largest ? "bad" : "good"],
    ]),
    found.groups.length ? limits(found, state) : h("p", { class: "soft" }, "It has no limits."),
    found.closers.length ? closers(found.closers) : null,
    found.margins.length ? margins(found.margins) : null,
    found.missed && !found.closed ? h("p", {}, h("button", { type: "button", class: "quiet", onclick: () => load(body, state, { close: "1" }) }, "What closes the difference")) : null,
  ];
}

function limits(found, state) {
  const shown = found.groups.filter((row) => state.key || row.miss > 0);
  if (!shown.length) return h("p", { class: "soft" }, `What is served meets all ${plural(found.limits, "limit")}.`);
  const grid = table(
    shown,
    [
      { name: "label", head: "limit", kind: "text", rowhead: true, get: (row) => (row.by.length ? `${row.name}, ${row.label}` : row.name), show: (row) => (state.key || !row.by.length ? [row.name, row.by.length > 1 ? `, ${row.label}` : ""] : [`${row.name}, `, labelLink(row.by, row.label)]) },
      { name: "lower", head: "floor", kind: "number", get: (row) => row.lower, minor: true },
      { name: "planned", head: "planned", kind: "number", get: (row) => row.planned },
      { name: "served", head: "served", kind: "number", get: (row) => row.served },
      { name: "upper", head: "cap", kind: "number", get: (row) => row.upper, minor: true },
      { name: "chart", head: "served against plan", kind: "drawing", sort: null, show: (row) => bullet(row.served, row.lower, row.upper), minor: true },
      { name: "miss", head: "missed by", kind: "number", get: (row) => row.miss, show: (row) => (row.miss ? h("strong", {}, number(row.miss)) : "–") },
    ],
    { caption: "Served against planned", by: "miss", count: "limit", mark: (row) => inFocus(row.by, row.label) },
  );
  state.grids.push(grid);
  return titled(state.key ? "Its limits" : "Limits that are missed", grid);
}

const titled = (text, grid) => h("div", {}, h("div", { class: "head" }, h("h3", {}, text), h("div", { class: "tools" }, grid.tools)), grid);

const closers = (rows) =>
  titled(
    "What closes the difference",
    table(
      rows,
      [
        { name: "how", head: "way", kind: "text", rowhead: true, get: (row) => row.how },
        { name: "units", head: "largest miss", kind: "number", get: (row) => row.units, show: (row) => (row.units ? number(row.units) : "none") },
        { name: "value", head: "value served", kind: "number", get: (row) => row.value, show: (row) => number(row.value, 6) },
        { name: "sentence", head: "in words", kind: "text", class: "text", get: (row) => row.sentence, minor: true },
      ],
      { caption: "What closes the difference, each tried by serving again", count: "way" },
    ),
  );

const margins = (rows) =>
  titled(
    "Limits to solve with",
    table(
      rows,
      [
        { name: "label", head: "limit", kind: "text", rowhead: true, get: (row) => `${row.name}, ${row.label}` },
        { name: "limit", head: "with margin", kind: "number", get: (row) => row.limit, show: (row) => number(row.limit, 6) },
      ],
      { caption: "Limits with margins, at which all limits are met", count: "limit" },
    ),
  );
