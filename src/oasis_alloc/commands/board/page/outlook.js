// What groups will come to by the end of the flight: delivered so far, the projection, and its interval.

import { get } from "./api.js";
import { chart } from "./curve.js";
import { h, panel, put, svg } from "./dom.js";
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

const brief = (row) => ({ "will fall short": `short by ${number(row.amount, 3)}`, "will run out": `out ${row.amount === null ? "" : day(row.amount).slice(5, 10)}` })[row.status] ?? row.status;

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
      { name: "chart", head: "against plan", kind: "drawing", sort: null, show: (row) => forecast(row, 110), minor: true },
      { name: "status", head: "outlook", kind: "text", get: words, show: (row) => h("span", { class: `state ${KINDS[row.status] ?? ""}`, title: words(row) }, brief(row)), sort: (row) => `${row.status === "will fall short" ? 0 : row.status === "will run out" ? 1 : 2}${row.status}` },
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
  const later = h("div", { class: "stacked" });
  byDay(later, key, label);
  const node = panel(
    "Outlook",
    { note: flightWords(found.flight) },
    h("p", {}, state(row), row.reason ? h("span", { class: "soft" }, ` · ${row.reason}`) : null),
    facts([
      ["delivered so far", row.delivered, number(row.delivered)],
      ["due by now", row.planned, number(row.planned)],
      ["pace", row.pace, percent(row.pace, 0)],
      ["by the end", row.projected, number(row.projected)],
      ["nine in ten times", null, row.low === null ? "–" : `${number(row.low)} to ${number(row.high)}`],
      ["pending", row.pending, number(row.pending)],
    ]),
    later,
  );
  node.close = () => later.view?.close();
  return node;
}

// The forecast by day, which takes longer than the outlook: it serves the plan's users.
async function byDay(place, key, label) {
  put(place, h("p", { class: "soft" }, "Forecasting …"));
  place.setAttribute("aria-busy", "true");
  try {
    draw(place, await get("forecast", { key, label }));
  } catch (error) {
    put(place, h("p", { class: "soft" }, `No forecast by day: ${error.message}`));
  }
  place.removeAttribute("aria-busy");
}

function draw(place, found) {
  const days = (seconds) => (seconds - found.start) / 86400;
  const last = days(found.end);
  const points = [{ end: found.start, low: 0, mid: 0, high: 0 }, ...found.points];
  const end = found.projected_end_state;
  const view = chart({ label: "Delivery by day", x: "days of the flight", y: "impressions delivered", height: 230 });
  const level = (value, kind) => (value === null ? [] : [{ points: [[0, value], [last, value]], dots: false, kind }]);
  place.view = view;
  put(
    place,
    view,
    h(
      "p",
      { class: "key" },
      h("span", {}, h("i", { class: "bar" }), "middle of the scenarios"),
      h("span", {}, h("i", { class: "range" }), "nine in ten of them"),
      found.floor === null ? null : h("span", {}, h("i", { class: "floor" }), "floor"),
      found.cap === null ? null : h("span", {}, h("i", { class: "cap" }), "cap"),
    ),
    facts([
      ["forecast", null, end.status, { "will fall short": "bad", "on track": "good" }[end.status] ?? null],
      ["in the end", end.metrics.impressions.mid, number(end.metrics.impressions.mid)],
      ["nine in ten", null, `${number(end.metrics.impressions.low)} to ${number(end.metrics.impressions.high)}`],
      ...(found.floor === null ? [] : [["risk of missing the floor", found.pacing_risk.probability, percent(found.pacing_risk.probability, 0)]]),
    ]),
    found.reasons.length ? h("ul", { class: "sentences" }, found.reasons.map((one) => h("li", {}, h("span", { class: "text" }, one)))) : null,
    found.remedies.length ? remedies(found.remedies) : null,
  );
  view.update({
    lines: [{ points: points.map((one) => [days(one.end), one.mid]), dots: false }, ...level(found.floor, "second"), ...level(found.cap, "third")],
    band: points.map((one) => [days(one.end), one.low, one.high]),
    dots: [{ at: [days(found.now), found.delivered], name: "now" }],
    summary: `${end.status}; in the end ${number(end.metrics.impressions.mid)}, from ${number(end.metrics.impressions.low)} to ${number(end.metrics.impressions.high)}`,
  });
}

const remedies = (rows) =>
  table(
    rows,
    [
      { name: "kind", head: "remedy", kind: "text", rowhead: true, get: (row) => row.kind },
      { name: "sentence", head: "in words", kind: "text", class: "text", get: (row) => row.sentence },
      { name: "amount", head: "makes up for", kind: "number", get: (row) => row.amount },
      { name: "price", head: "price", kind: "number", get: (row) => row.price, minor: true },
    ],
    { caption: "Remedies, cheapest first", count: "remedy" },
  );
