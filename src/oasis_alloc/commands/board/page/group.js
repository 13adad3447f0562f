// The page of one group, such as a campaign: limits, where it is shown, who has the other slots.

import { get, post } from "./api.js";
import { bullet, stack } from "./charts.js";
import { field, h, panel, put, say, select } from "./dom.js";
import { capital, number, percent, plural } from "./format.js";
import { groupAddress, hash, overview, setFocus, shared } from "./state.js";
import { groupOutlook } from "./outlook.js";
import { quotePanel } from "./quote.js";
import { servedPanel } from "./served.js";
import { facts, table } from "./table.js";

export async function show(place, at) {
  const data = await overview();
  const [key, label] = at.parts.length > 1 ? at.parts : first(data);
  if (!key) {
    put(place, panel("No groups", {}, h("p", { class: "soft" }, "There are no groups here: for this view, start the board with a problem that has limits by a key.")));
    return null;
  }
  if (data.kind === "problem") setFocus(key, label);
  const chosen = chooser(data, key, label);
  if (data.kind !== "problem") {
    put(place, chosen, panel("No candidates", {}, h("p", { class: "soft" }, `A ${data.kind === "policy" ? "policy" : "saved solution"} has no candidates. Start the board with the problem to see where a group is shown: oasis-alloc board problem.toml`)));
    return null;
  }
  const [found, outlook, why] = await Promise.all([get("group", { key, label }), data.flight ? get("outlook") : null, get("reasons", { key, label }).catch(() => null)]);
  const shape = outlook && groupOutlook(outlook, key, label);
  const quote = found.side === "items" ? quoteOf(data, key, label, found) : null;
  const serving = found.limits.length ? servedPanel(key, label) : null;
  put(
    place,
    h("section", { class: "panel", "aria-label": label }, chosen, summary(found), why && h("details", {}, h("summary", {}, "Why it gets what it gets"), h("ul", { class: "sentences" }, why.sentences.map((one) => h("li", {}, h("span", { class: "text" }, one)))))),
    h("div", { class: "columns" }, h("div", {}, limits(found), shape, quote, serving, rivals(found, key)), h("div", {}, slots(found), items(found), examples(found))),
  );
  return () => [quote, shape, serving].forEach((one) => one?.close?.());
}

// A plan that misses limits is no basis for a quote.
function quoteOf(data, key, label, found) {
  if (data.certificate.status !== "RELAXED") return quotePanel(key, label, found.slots);
  return panel("Quote", {}, h("p", { class: "soft" }, "Limits conflict, so this plan is of relaxed limits. A quote needs a plan that keeps its limits. ", h("a", { href: "#/conflicts" }, "Conflicts and remedies")));
}

function first(data) {
  if (shared.focus && data.keys.includes(shared.focus.key)) return [shared.focus.key, shared.focus.label];
  const single = data.sections.filter((one) => one.by.length === 1 && one.label.length);
  const section = single.find((one) => one.by[0] === "campaign") || single[0];
  if (!section) return [];
  const heaviest = section.worth.reduce((best, worth, k) => (worth > section.worth[best] ? k : best), 0);
  return [section.by[0], section.label[heaviest]];
}

function chooser(data, key, label) {
  const keys = [...new Set(data.sections.filter((one) => one.by.length === 1).map((one) => one.by[0]))];
  if (!keys.includes(key)) keys.push(key);
  const labels = data.sections.filter((one) => one.by.length === 1 && one.by[0] === key).flatMap((one) => one.label);
  const known = [...new Set([...labels, label])].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const go = (k, l) => {
    location.hash = groupAddress(k, l);
  };
  const firstOf = (k) => data.sections.find((one) => one.by.length === 1 && one.by[0] === k)?.label[0];
  const place = known.indexOf(label);
  return h(
    "div",
    { class: "form" },
    keys.length > 1 ? field("Key", select(keys.map((one) => [one, one]), key, (one) => go(one, firstOf(one) ?? label), "Key")) : null,
    field(capital(key), select(known.map((one) => [one, one]), label, (one) => go(key, one), capital(key))),
    h("button", { type: "button", class: "quiet", disabled: place <= 0, "aria-label": "Previous", onclick: () => go(key, known[place - 1]) }, "←"),
    h("button", { type: "button", class: "quiet", disabled: place >= known.length - 1, "aria-label": "Next", onclick: () => go(key, known[place + 1]) }, "→"),
  );
}

function summary(found) {
  return facts([
    ["shown", found.shown, number(found.shown, 5)],
    ["could be shown to", found.users, plural(found.users, "user")],
    ["candidates", found.pairs, number(found.pairs)],
    ["of its candidates shown", found.pairs ? found.shown / found.pairs : null, percent(found.pairs ? found.shown / found.pairs : null, 1)],
    ["of its users' slots", found.rivals.slots ? found.rivals.own / found.rivals.slots : null, percent(found.rivals.slots ? found.rivals.own / found.rivals.slots : null, 1)],
  ]);
}

function limits(found) {
  if (!found.limits.length) return panel("Limits", {}, h("p", { class: "soft" }, "It has no limits."));
  const grid = table(
    found.limits,
    [
      { name: "names", head: "constraint", kind: "text", rowhead: true, get: (row) => row.names.join(", ") },
      ...(found.limits.some((row) => row.by.length > 1) ? [{ name: "label", head: "group", kind: "text", get: (row) => row.label, minor: true }] : []),
      { name: "floor", head: "floor", kind: "number", get: (row) => row.floor },
      { name: "delivered", head: "delivered", kind: "number", get: (row) => row.delivered },
      { name: "cap", head: "cap", kind: "number", get: (row) => row.cap },
      { name: "chart", head: "against plan", kind: "drawing", sort: null, show: (row) => bullet(row.delivered, row.floor, row.cap), minor: true },
      { name: "price", head: "price", kind: "number", get: (row) => row.price },
    ],
    { caption: "Limits of this group", height: false, count: "limit" },
  );
  return panel("Limits", { note: "A price below 0 is a bonus that a floor pays; above 0, a charge of a cap." }, grid, shared.about.editable ? editor(found) : null);
}

function editor(found) {
  const choices = found.limits.flatMap((row) => row.names.map((name) => [name, row.label]));
  let at = 0;
  const input = h("input", { type: "number", step: "any", "aria-label": "New limit", required: true });
  const submit = async (event) => {
    event.preventDefault();
    const [constraint, label] = choices[at];
    const button = event.target.querySelector("button");
    button.disabled = true;
    try {
      await post("limit", { constraint, label, limit: Number(input.value) });
      say(`Solved again with a limit of ${input.value}`);
      document.dispatchEvent(new Event("board:edited"));
    } catch (error) {
      say(error.message);
      button.disabled = false;
    }
  };
  return h(
    "form",
    { class: "form", onsubmit: submit },
    field("Change", select(choices.map(([name, label], k) => [k, choices.length > 2 ? `${name} · ${label}` : name]), 0, (k) => { at = Number(k); }, "Constraint")),
    field("to", input),
    h("button", { type: "submit", class: "act" }, "Solve again"),
  );
}

function slots(found) {
  if (!found.slots.length) return null;
  const body = h("div", {});
  const draw = (key) => {
    const chosen = found.slots.find((one) => one.key === key);
    const rows = chosen.label.map((label, k) => ({ label, candidates: chosen.candidates[k], shown: chosen.shown[k], slots: chosen.slots[k] }));
    const top = Math.max(...rows.map((row) => row.candidates), 1e-9);
    put(
      body,
      table(
        rows,
        [
          { name: "label", head: key, kind: "text", rowhead: true, get: (row) => row.label },
          { name: "shown", head: "shown", kind: "number", get: (row) => row.shown },
          { name: "candidates", head: "candidates", kind: "number", get: (row) => row.candidates, minor: true },
          { name: "chart", head: "shown of candidates", kind: "drawing", sort: null, show: (row) => stack([[row.shown, "bar"], [Math.max(row.candidates - row.shown, 0), "rest"]], top, 90) },
          { name: "share", head: "of all slots", kind: "number", get: (row) => (row.slots > 0 ? row.shown / row.slots : null), show: (row) => percent(row.slots > 0 ? row.shown / row.slots : null, 2) },
        ],
        { caption: `Where it is shown, by ${key}`, by: "shown", count: "group" },
      ),
    );
  };
  draw(found.slots[0].key);
  const tools = found.slots.length > 1 ? select(found.slots.map((one) => [one.key, `by ${one.key}`]), found.slots[0].key, draw, "Key of the users") : null;
  return panel("Slots", { note: "Where it is shown.", tools }, body);
}

function rivals(found, key) {
  const at = found.rivals;
  const rows = at.label.map((label, k) => ({ label, shown: at.shown[k], link: true }));
  if (at.without > 0) rows.push({ label: `without a ${key}`, shown: at.without });
  if (at.others > 0) rows.push({ label: "others", shown: at.others });
  rows.push({ label: "itself", shown: at.own });
  const top = Math.max(...rows.filter((row) => row.link || row.label === "itself").map((row) => row.shown), 1e-9);
  return panel(
    "Who competes for the same slots",
    { note: `The ${number(at.slots)} slots of the ${plural(found.users, "user")} to whom it could be shown.` },
    table(
      rows,
      [
        { name: "label", head: key, kind: "text", rowhead: true, get: (row) => row.label, show: (row) => (row.link ? h("a", { href: groupAddress(key, row.label) }, row.label) : h("span", { class: "soft" }, row.label)) },
        { name: "shown", head: "slots", kind: "number", get: (row) => row.shown },
        { name: "share", head: "share", kind: "number", get: (row) => row.shown / at.slots, show: (row) => percent(row.shown / at.slots, 1) },
        { name: "chart", head: "", kind: "drawing", sort: null, show: (row) => stack([[Math.min(row.shown, top), row.label === "itself" ? "floor" : row.link ? "bar" : "rest"]], top, 150) },
      ],
      { caption: "Who competes for the same slots", by: "shown", count: "rival" },
    ),
  );
}

function items(found) {
  const at = found.items;
  const rows = at.item.map((item, k) => ({ item, candidates: at.candidates[k], shown: at.shown[k], mean: at.mean[k] }));
  return panel(
    "Items",
    { note: at.total > rows.length ? `The ${number(rows.length)} of ${number(at.total)} that are shown most.` : null },
    table(
      rows,
      [
        { name: "item", head: "item", kind: "text", rowhead: true, get: (row) => row.item },
        { name: "shown", head: "shown", kind: "number", get: (row) => row.shown },
        { name: "candidates", head: "candidates", kind: "number", get: (row) => row.candidates },
        { name: "mean", head: at.column ? `mean ${at.column}` : "mean", kind: "number", get: (row) => row.mean, minor: true },
      ],
      { caption: "Items", by: "shown", count: "item" },
    ),
  );
}

function examples(found) {
  if (!found.examples.length) return null;
  const of = (shown) => found.examples.filter((one) => one.shown === shown);
  const links = (list) => list.map((one, k) => [k ? ", " : "", h("a", { href: hash("explain", [one.user]) }, one.user)]);
  return panel(
    "Decisions to look at",
    {},
    of(true).length ? h("p", {}, h("span", { class: "soft" }, "Shown to users "), links(of(true))) : null,
    of(false).length ? h("p", {}, h("span", { class: "soft" }, "Not shown to users "), links(of(false))) : null,
  );
}
