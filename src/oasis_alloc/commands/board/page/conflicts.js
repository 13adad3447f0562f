// What conflicts, what resolves it, and which limits bind.

import { get, post } from "./api.js";
import { h, panel, put, say } from "./dom.js";
import { capital, number, plural } from "./format.js";
import { labelLink } from "./overview.js";
import { inFocus, onFocus, overview, shared } from "./state.js";
import { facts, table } from "./table.js";

export async function show(place) {
  const data = await overview();
  const found = await get("conflicts");
  const tables = [];
  const parts = found.conflicts.length ? [conflicting(found, tables), remedies(found)] : [none(found, data)];
  put(place, ...parts, binding(data, tables));
  return onFocus(() => tables.forEach((one) => one.redraw()));
}

function none(found, data) {
  const words = data.kind === "policy" ? "A policy has prices only; whether limits conflict is known from its problem." : "All limits can be met at once.";
  return panel("No conflict", {}, h("p", {}, words));
}

function conflicting(found, tables) {
  const grid = table(
    found.conflicts,
    [
      { name: "constraint", head: "constraint", kind: "text", rowhead: true, get: (row) => row.constraint },
      { name: "label", head: "group", kind: "text", get: (row) => row.label, show: (row) => labelLink(row.by, row.label) },
      { name: "limit", head: "requires", kind: "number", get: (row) => row.limit, show: (row) => `${{ "<=": "≤", ">=": "≥", "==": "=" }[row.sense]} ${number(row.limit)}` },
      { name: "reached", head: "can reach", kind: "number", get: (row) => row.reached, minor: true },
      { name: "give", head: "relax by", kind: "number", get: (row) => row.give, show: (row) => (row.give > 0 ? h("strong", {}, number(row.give)) : h("span", { class: "soft" }, "in the way")) },
    ],
    { caption: "Limits that conflict", by: "give", count: "limit", mark: (row) => inFocus(row.by, row.label) },
  );
  tables.push(grid);
  const missed = found.conflicts.filter((one) => one.give > 0).length;
  return panel(
    "What conflicts",
    { note: `No allocation meets all of these limits at once. ${plural(missed, "limit")} would have to give way; the others are met, but leave no room.` },
    grid,
  );
}

function remedies(found) {
  if (!found.remedies.length) return null;
  const apply = (one) => async (event) => {
    event.target.disabled = true;
    try {
      await post("limit", { constraint: one.constraint, label: one.label, limit: one.to });
      say("Solved again");
      document.dispatchEvent(new Event("board:edited"));
    } catch (error) {
      say(error.message);
      event.target.disabled = false;
    }
  };
  return panel(
    "The smallest remedy",
    { note: "All of these changes together make the problem feasible, with the smallest sum of changes." },
    found.relaxed ? facts([["value with them", found.relaxed.value, number(found.relaxed.value, 6)], ["limits changed", found.relaxed.missed, number(found.relaxed.missed)]]) : null,
    h(
      "ul",
      { class: "sentences" },
      found.remedies.map((one) =>
        h("li", {}, h("span", { class: "text" }, one.sentence), shared.about.editable ? h("button", { type: "button", class: "quiet", onclick: apply(one), "aria-label": `Apply: ${one.sentence}` }, "Apply") : null),
      ),
    ),
  );
}

function binding(data, tables) {
  if (!data.prices || !data.prices.length) return null;
  const grid = table(
    data.prices,
    [
      { name: "name", head: "constraint", kind: "text", rowhead: true, get: (row) => row.name },
      { name: "label", head: "group", kind: "text", get: (row) => row.label, show: (row) => labelLink(row.by, row.label) },
      { name: "limit", head: "limit", kind: "number", get: (row) => row.limit, minor: true },
      { name: "total", head: "total", kind: "number", get: (row) => row.total, minor: true },
      { name: "price", head: "price", kind: "number", get: (row) => row.price, sort: (row) => Math.abs(row.price) },
      { name: "sentence", head: "in words", kind: "text", class: "text", get: (row) => capital(row.sentence), minor: true },
    ],
    { caption: "Limits that bind", count: "price", search: data.prices.length > 8 ? "limits" : null, mark: (row) => inFocus(row.by, row.label) },
  );
  tables.push(grid);
  return panel("Which limits bind", { note: "What one more unit of each would add to, or cost, the objective; heaviest first." }, grid);
}
