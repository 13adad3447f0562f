// Why one user is shown what they are shown: the slate, the runners-up, and what would have reversed each decision.

import { get } from "./api.js";
import { balance } from "./charts.js";
import { failure, field, h, panel, put } from "./dom.js";
import { number, signed } from "./format.js";
import { groupAddress, hash, onFocus, shared } from "./state.js";
import { facts, table } from "./table.js";

export async function show(place, at) {
  const { users } = await get("users");
  const user = at.parts[0] || users[0];
  const query = at.query;
  const body = h("div", {});
  body.style.display = "contents";
  put(place, form(user, users, query), body);
  let redraw = () => {};
  try {
    const found = await get("explain", { user, ...query });
    redraw = slate(body, found, query);
  } catch (error) {
    put(body, failure(error));
  }
  return onFocus(() => redraw());
}

function form(user, users, query) {
  const name = h("input", { type: "text", list: "users", value: user, "aria-label": "User", required: true });
  const size = h("input", { type: "number", min: 1, step: 1, value: query.k || "", placeholder: "as solved", "aria-label": "Slots" });
  return h(
    "form",
    {
      class: "panel form",
      onsubmit: (event) => {
        event.preventDefault();
        location.hash = hash("explain", [name.value.trim()], { ...query, k: size.value });
      },
    },
    field("User", name),
    h("datalist", { id: "users" }, users.map((one) => h("option", { value: one }))),
    field("Slots", size),
    h("button", { type: "submit", class: "act" }, "Explain"),
  );
}

function slate(body, found, query) {
  const reasons = found.reasons;
  const shown = reasons.filter((one) => one.rank !== null).sort((a, b) => a.rank - b.rank);
  const keys = Object.keys(found.keys);
  const used = keys.filter((key) => found.keys[key].some(Boolean));
  const main = [shared.focus?.key, "campaign"].find((key) => used.includes(key)) || used[0];
  const ruled = reasons.some((one) => one.rule && one.rule !== "score");
  const largest = Math.max(...reasons.map((one) => one.parts.reduce((sum, part) => sum + Math.max(part.amount, 0), 0)), 1e-12);
  let chosen = shown[0] || reasons[0];
  const focused = (one) => shared.focus && found.keys[shared.focus.key] && found.keys[shared.focus.key][one.position].split(", ").includes(shared.focus.label);
  const near = (one) => (one.rank !== null ? 1000 - one.rank : one.margin === null ? -2e6 : -1e3 + one.margin);
  if (shared.focus) chosen = reasons.filter(focused).sort((a, b) => near(b) - near(a))[0] || chosen;
  const detail = h("div", {});
  const pick = (one) => {
    chosen = one;
    put(detail, reason(one, found, query));
    grid.redraw();
  };
  const grid = table(
    reasons,
    [
      { name: "place", head: "place", kind: "number", get: (one) => (one.rank === null ? null : one.rank + 1), sort: (one) => -near(one), show: (one) => (one.rank === null ? "" : String(one.rank + 1)) },
      { name: "item", head: "item", kind: "text", rowhead: true, get: (one) => one.item, show: (one) => h("button", { type: "button", class: "num", "aria-label": `Explain item ${one.item}`, onclick: () => pick(one) }, one.item) },
      ...(main ? [{ name: "group", head: main, kind: "text", get: (one) => found.keys[main][one.position], show: (one) => (focused(one) ? h("strong", {}, found.keys[main][one.position]) : found.keys[main][one.position]) }] : []),
      { name: "organic", head: found.organic, kind: "number", get: (one) => one.organic, minor: true },
      { name: "score", head: "score", kind: "number", get: (one) => one.score },
      { name: "parts", head: "made of", kind: "drawing", sort: null, show: (one) => balance(one.parts, largest), minor: true },
      { name: "margin", head: "margin", kind: "number", get: (one) => one.margin, show: (one) => (one.margin === null ? "" : signed(one.margin, 3)) },
      ...(ruled ? [{ name: "rule", head: "decided by", kind: "text", get: (one) => (one.rule === "score" ? "" : one.rule), minor: true }] : []),
    ],
    { caption: "Candidates, those shown first", by: "place", direction: 1, mark: (one) => one === chosen, onrow: pick, count: "candidate", search: reasons.length > 12 ? "items" : null },
  );
  put(
    body,
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        {},
        panel(
          `User ${found.user}: ${shown.length} of ${reasons.length} candidates shown`,
          { note: Object.entries(found.labels).map(([key, label]) => `${key} ${label}`).join(" · ") },
          grid,
          h("p", { class: "key" }, h("span", {}, h("i", { class: "bar" }), "columns"), h("span", {}, h("i", { class: "floor" }), "bonus of a floor"), h("span", {}, h("i", { class: "cap" }), "charge of a cap"), h("span", {}, "margin: how far ahead of, or behind, the decision")),
        ),
      ),
      detail,
    ),
  );
  pick(chosen);
  return () => grid.redraw();
}

function reason(one, found, query) {
  const list = (name) => (query[name] || "").split(",").filter(Boolean);
  const change = (name, position) => {
    const now = list(name);
    const text = String(position);
    const next = now.includes(text) ? now.filter((each) => each !== text) : [...now, text];
    const other = name === "pinned" ? "exclude" : "pinned";
    location.hash = hash("explain", [found.user], { ...query, [name]: next.join(","), [other]: list(other).filter((each) => each !== text).join(",") });
  };
  const toggle = (name, word, undo) =>
    h("button", { type: "button", class: "quiet", "aria-pressed": String(list(name).includes(String(one.position))), onclick: () => change(name, one.position) }, list(name).includes(String(one.position)) ? undo : word);
  const labels = Object.entries(found.keys).filter(([, of]) => of[one.position]);
  const sentence = one.sentence[0].toUpperCase() + one.sentence.slice(1);
  return panel(
    `Item ${one.item}`,
    { tools: [toggle("pinned", "Pin", "Unpin"), toggle("exclude", "Exclude", "Include")] },
    h("p", { class: "soft" }, labels.map(([key, of], k) => [k ? " · " : "", `${key} `, h("a", { href: groupAddress(key, of[one.position].split(", ")[0]) }, of[one.position])])),
    h("p", { class: "prose" }, `${sentence}.`),
    facts([
      ["score", one.score, number(one.score)],
      ["shown from", one.threshold, number(one.threshold)],
      ["margin", one.margin, signed(one.margin, 3)],
      ["probability in the plan", one.x, number(one.x, 3)],
    ]),
    h("h3", {}, "What its score is made of"),
    table(
      one.parts,
      [
        { name: "name", head: "part", kind: "text", rowhead: true, get: (part) => (part.group === null ? part.name : `${part.name}, ${[part.group].flat().join(" · ")}`) },
        { name: "price", head: "price", kind: "number", get: (part) => (part.kind === "price" ? part.price : null), minor: true },
        { name: "amount", head: "amount", kind: "number", get: (part) => part.amount, show: (part) => signed(part.amount) },
      ],
      { caption: `Parts of the score of item ${one.item}`, count: "part", height: false },
    ),
    one.changes.length
      ? [
          h("h3", {}, "What would have reversed it"),
          h("ul", { class: "sentences" }, one.changes.map((each) => h("li", {}, h("span", { class: "text" }, each.kind === "column" ? `${each.name} of ${number(each.to)} (now ${number(each.now)})` : `a price of ${each.name}${each.group === null ? "" : `, ${[each.group].flat().join(" · ")},`} of ${number(each.to)} (now ${number(each.now)})`)))),
        ]
      : null,
  );
}
