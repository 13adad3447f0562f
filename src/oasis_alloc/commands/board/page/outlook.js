// What groups will come to by the end of the flight: delivered so far, the projection, and its interval.

import { h, panel, svg } from "./dom.js";
import { number, percent } from "./format.js";
import { labelLink } from "./overview.js";
import { inFocus } from "./state.js";
import { facts, table } from "./table.js";

const KINDS = { "will fall short": "below-floor", "will run out": "above-cap", stopped: "", "on track": "at-floor", "not started": "" };

const day = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");

// Delivered as a bar, the interval of the projection as a line, floor and cap as ticks.
function forecast(row, width = 150) {
  const known = [row.floor, row.cap, row.high, row.projected, row.delivered].filter((one) => one !== null);
  const top = Math.max(...known, 1e-9);
  const at = (value) => Math.min(Math.max((value * 0.95 * width) / top, 0), width);
  const box = (x, y, w, height, kind) => svg("rect", { x: x.toFixed(1), y, width: Math.max(w, 0.5).toFixed(1), height, class: kind });
  return svg(
    "svg",
    { viewBox: `0 0 ${width} 14`, width, height: 14, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
    box(0, 3, width, 8, "track"),
    box(0, 5, at(row.delivered), 4, "bar"),
    row.low === null ? null : box(at(row.low), 6.5, at(row.high) - at(row.low), 1.5, "axis"),
    row.projected === null ? null : svg("circle", { class: "axis", cx: at(row.projected).toFixed(1), cy: 7.2, r: 3 }),
    row.floor === null ? null : box(at(row.floor) - 1, 0.5, 2, 13, "floor"),
    row.cap === null ? null : box(at(row.cap) - 1, 0.5, 2, 13, "cap"),
  );
}

const words = (row) => {
  if (row.status === "will fall short") return `${row.status} by ${number(row.amount)}`;
  if (row.status === "will run out") return `${row.status} ${day(row.amount)}`;
  return row.status;
};

const state = (row) => h("span", { class: `state ${KINDS[row.status] ?? ""}` }, words(row));

const flightWords = (flight) => `${day(flight.start)} to ${day(flight.end)} UTC; ${percent((flight.now - flight.start) / (flight.end - flight.start), 0)} of its time is over.`;

// Of all groups, for the overview.
export function outlookPanel(found) {
  const by = found.flight.by;
  const grid = table(
    found.rows,
    [
      { name: "label", head: by.join(" · "), kind: "text", rowhead: true, get: (row) => row.label, show: (row) => labelLink(by, row.label) },
      { name: "delivered", head: "so far", kind: "number", get: (row) => row.delivered },
      { name: "pace", head: "pace", kind: "number", get: (row) => row.pace, show: (row) => percent(row.pace, 0) },
      { name: "projected", head: "by the end", kind: "number", get: (row) => row.projected, minor: true },
      { name: "chart", head: "against plan", kind: "drawing", sort: null, show: (row) => forecast(row, 110), minor: true },
      { name: "status", head: "outlook", kind: "text", get: words, sort: (row) => `${row.status === "will fall short" ? 0 : row.status === "will run out" ? 1 : 2}${row.status}`, show: state },
    ],
    { caption: "Outlook by the end of the flight", by: "status", direction: 1, search: found.rows.length > 8 ? by.join(" · ") : null, count: "goal", mark: (row) => inFocus(by, row.label) },
  );
  return { node: panel("Outlook", { note: flightWords(found.flight) }, grid), grid };
}

// Of one group, for its page.
export function groupOutlook(found, key, label) {
  if (!found.flight || found.flight.by.length !== 1 || found.flight.by[0] !== key) return null;
  const row = found.rows.find((one) => one.label === label);
  if (!row) return null;
  return panel(
    "Outlook",
    { note: flightWords(found.flight) },
    h("p", {}, state({ ...row }), row.reason ? h("span", { class: "soft" }, ` · ${row.reason}`) : null),
    facts([
      ["delivered so far", row.delivered, number(row.delivered)],
      ["due by now", row.planned, number(row.planned)],
      ["pace", row.pace, percent(row.pace, 0)],
      ["by the end", row.projected, number(row.projected)],
      ["nine in ten times", null, row.low === null ? "–" : `${number(row.low)} to ${number(row.high)}`],
      ["pending", row.pending, number(row.pending)],
    ]),
    forecast(row, 300),
  );
}
