// The overview: how good the answer is, delivery against plan, relevance kept, prices, and what adds up to the value.

import { get } from "./api.js";
import { bullet, diverging, share } from "./charts.js";
import { h, panel, put, select } from "./dom.js";
import { capital, gap, number, percent, plural } from "./format.js";
import { outlookPanel } from "./outlook.js";
import { servedPanel } from "./served.js";
import { groupAddress, inFocus, onFocus, overview } from "./state.js";
import { facts, table } from "./table.js";

const STATES = { "below floor": 0, "above cap": 1, "at floor": 2, "at cap": 3, "": 4 };

export async function show(place) {
  const data = await overview();
  const tables = [];
  let outlook = null;
  if (data.flight) {
    const made = outlookPanel(await get("outlook"));
    outlook = made.node;
    tables.push(made.grid);
  }
  const serving = data.kind === "problem" && data.sections.length ? servedPanel() : null;
  if (serving) tables.push(serving);
  const left = [...data.sections.map((section) => delivery(section, tables)), serving].filter(Boolean);
  const right = [outlook, data.kept ? kept(data.kept) : null, prices(data, tables), objective(data)].filter(Boolean);
  put(
    place,
    certificate(data),
    data.sections.length
      ? h("div", { class: "columns" }, h("div", {}, left), h("div", {}, right))
      : [panel("Delivery", {}, h("p", { class: "soft" }, "The problem has no limits.")), ...right],
    data.statement ? h("details", { class: "panel" }, h("summary", {}, "The problem as stated"), h("pre", { tabindex: "0" }, data.statement)) : null,
  );
  const end = onFocus(() => tables.forEach((one) => one.redraw()));
  return () => {
    end();
    serving?.close();
  };
}

function certificate(data) {
  const at = data.certificate;
  const good = at.status === "SOLVED";
  const status = { SOLVED: "proven", RELAXED: "limits conflict: relaxed" }[at.status] || String(at.status).toLowerCase().replaceAll("_", " ");
  const entries = [
    ["status", null, status, good ? "good" : "bad"],
    ["value reached", at.value, number(at.value, 6)],
    ["bound on the best", at.bound, number(at.bound, 6)],
    ["gap", at.gap, gap(at.gap)],
    ["worst violation", at.violation, at.violation ? number(at.violation, 2) : "none"],
  ];
  const sizes = data.sizes || {};
  if (sizes.pairs) {
    entries.push(["users", sizes.users, number(sizes.users)], ["candidates", sizes.pairs, number(sizes.pairs)], ["shown", sizes.shown, number(sizes.shown)]);
  }
  if (at.seconds !== null && at.seconds !== undefined) entries.push(["solved in", at.seconds, `${number(at.seconds, 2)} s`]);
  const note = good ? null : at.advice ? `${capital(at.advice)}.` : null;
  return h(
    "section",
    { class: "panel", "aria-label": "Certificate" },
    facts(entries.filter(([name, value]) => name === "status" || (value !== null && value !== undefined))),
    note ? h("p", { class: "soft" }, note, " ", h("a", { href: "#/conflicts" }, "Conflicts and remedies")) : null,
  );
}

function rowsOf(section) {
  return section.label.map((label, k) => ({
    label,
    floor: section.floor[k],
    delivered: section.delivered[k],
    cap: section.cap[k],
    state: section.state[k],
    price: section.price[k],
    worth: section.worth[k],
  }));
}

// A label links to the page of its group: of its first key, where it has several.
export function labelLink(by, label) {
  if (!by.length) return label;
  return h("a", { href: groupAddress(by[0], by.length === 1 ? label : label.split(" · ")[0]) }, label);
}

function delivery(section, tables) {
  const rows = rowsOf(section);
  const largest = Math.max(...rows.map((row) => Math.abs(row.price || 0)), 0);
  const count = (state) => rows.filter((row) => row.state === state).length;
  const missed = count("below floor") + count("above cap");
  const note = [
    `${number(count("at floor"))} at their floor, ${number(count("at cap"))} at their cap`,
    missed ? `, ${number(missed)} miss a limit` : "",
    section.groups > rows.length ? `; the ${number(rows.length)} of ${number(section.groups)} groups that weigh most` : "",
    section.unit === "units" ? "." : `. In ${section.unit}.`,
  ].join("");
  const columns = [
    { name: "label", head: section.by.join(" · ") || "group", kind: "text", rowhead: true, get: (row) => row.label, show: (row) => labelLink(section.by, row.label) },
    { name: "floor", head: "floor", kind: "number", get: (row) => row.floor, minor: true },
    { name: "delivered", head: "delivered", kind: "number", get: (row) => row.delivered },
    { name: "cap", head: "cap", kind: "number", get: (row) => row.cap, minor: true },
    { name: "chart", head: "against plan", kind: "drawing", sort: (row) => fill(row), show: (row) => (row.delivered === null ? "" : bullet(row.delivered, row.floor, row.cap)) },
    { name: "state", head: "state", kind: "text", get: (row) => row.state, sort: (row) => STATES[row.state], show: (row) => h("span", { class: `state ${row.state.replace(" ", "-")}` }, row.state), minor: true },
    { name: "price", head: "price", kind: "number", get: (row) => row.price },
    { name: "paid", head: "", kind: "drawing", sort: null, show: (row) => diverging(row.price, largest), minor: true },
    { name: "worth", head: "worth", kind: "number", get: (row) => row.worth, minor: true },
  ];
  const names = section.names.join(", ");
  const grid = table(rows, columns, {
    caption: `Delivery against plan: ${names}`,
    by: "worth",
    search: rows.length > 8 ? section.by.join(" · ") || "groups" : null,
    mark: (row) => inFocus(section.by, row.label),
    count: "group",
  });
  tables.push(grid);
  return panel(
    capital(names),
    { note },
    grid,
    h(
      "p",
      { class: "key" },
      h("span", {}, h("i", { class: "bar" }), "delivered"),
      h("span", {}, h("i", { class: "range" }), "allowed"),
      h("span", {}, h("i", { class: "floor" }), "floor: price below 0, a bonus"),
      h("span", {}, h("i", { class: "cap" }), "cap: price above 0, a charge"),
      h("span", {}, "worth: price times limit"),
    ),
  );
}

function fill(row) {
  const limit = row.floor === null ? row.cap : row.floor;
  return limit ? row.delivered / limit : row.delivered;
}

function kept(data) {
  const total = data.alone > 0 ? data.kept / data.alone : 1;
  const body = h("div", {});
  const draw = (key) => {
    const chosen = data.by.find((one) => one.key === key);
    if (!chosen) return;
    const rows = chosen.label.map((label, k) => ({ label, alone: chosen.alone[k], kept: chosen.kept[k], share: chosen.alone[k] > 0 ? chosen.kept[k] / chosen.alone[k] : 1 }));
    const low = Math.max(0, Math.floor(100 * Math.min(...rows.map((row) => row.share)) - 1e-9) / 100 - 0.01);
    put(
      body,
      table(
        rows,
        [
          { name: "label", head: key, kind: "text", rowhead: true, get: (row) => row.label, show: (row) => labelLink([key], row.label) },
          { name: "alone", head: "alone", kind: "number", get: (row) => row.alone, minor: true },
          { name: "kept", head: "now", kind: "number", get: (row) => row.kept, minor: true },
          { name: "share", head: "kept", kind: "number", get: (row) => row.share, show: (row) => percent(row.share) },
          { name: "chart", head: `${(100 * low).toFixed(0)} % to 100 %`, kind: "drawing", sort: null, show: (row) => share(row.share, low) },
        ],
        { caption: `${capital(data.column)} kept by ${key}`, by: "share", direction: 1, count: key.length > 12 ? "group" : key },
      ),
    );
  };
  const tools = data.by.length > 1 ? select(data.by.map((one) => [one.key, `by ${one.key}`]), data.by[0].key, draw, "Key of the users") : null;
  if (data.by.length) draw(data.by[0].key);
  return panel(
    `${capital(data.column)} kept: ${percent(total)}`,
    { tools },
    h("p", { class: "soft" }, `${number(data.kept)} of the ${number(data.alone)} that showing everybody's best by ${data.column} alone would give.`),
    body,
  );
}

function prices(data, tables) {
  if (!data.prices || !data.prices.length) return null;
  const grid = table(
    data.prices,
    [
      { name: "sentence", head: "one more unit", kind: "text", class: "text", get: (row) => row.sentence, show: (row) => (row.by.length ? h("a", { class: "plain", href: groupAddress(row.by[0], row.by.length === 1 ? row.label : row.label.split(" · ")[0]) }, row.sentence) : row.sentence) },
      { name: "price", head: "price", kind: "number", get: (row) => row.price, sort: (row) => Math.abs(row.price) },
    ],
    { caption: "Prices, heaviest first", mark: (row) => inFocus(row.by, row.label), count: "price", by: null },
  );
  tables.push(grid);
  return panel("What the limits cost", { note: "heaviest first" }, grid);
}

function objective(data) {
  if (!data.parts || !data.parts.length) return null;
  const rows = [...data.parts];
  return panel(
    "What adds up to the value",
    {},
    table(
      rows,
      [
        { name: "term", head: "term", kind: "text", rowhead: true, get: (row) => row.term },
        { name: "amount", head: "amount", kind: "number", get: (row) => row.amount, show: (row) => number(row.amount, 6) },
      ],
      { caption: "What adds up to the value", count: "term" },
    ),
    h("p", { class: "soft" }, `${plural(rows.length, "term")}, together ${number(data.certificate.value, 7)}.`),
  );
}
