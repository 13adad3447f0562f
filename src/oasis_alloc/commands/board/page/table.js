// Sortable tables whose numbers can be copied: one by a click, all by a button. Long ones are drawn in parts.

import { copy, h, put } from "./dom.js";
import { number, plural } from "./format.js";

const PART = 60; // rows drawn at once

// A column: { name, head, kind: "text" | "number" | "drawing", get(row), show(row) -> text or node, sort(row), minor }
// `minor` columns are left out on narrow screens. `get` gives the exact value for copies.

const sortOf = (column, row) => (column.sort ? column.sort(row) : column.get(row));

function compare(a, b) {
  const none = (value) => value === null || value === undefined || Number.isNaN(value);
  if (none(a) || none(b)) return none(a) - none(b); // missing ones last, in both directions
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}

function sorted(rows, column, direction) {
  const missing = (row) => [null, undefined].includes(sortOf(column, row));
  const known = rows.filter((row) => !missing(row)).sort((a, b) => direction * compare(sortOf(column, a), sortOf(column, b)));
  return [...known, ...rows.filter(missing)];
}

function cellOf(column, row) {
  const shown = column.show ? column.show(row) : column.kind === "number" ? number(column.get(row)) : column.get(row);
  const kinds = [column.kind === "number" ? "n" : column.kind === "drawing" ? "d" : "t", column.minor ? "minor" : "", column.class || ""];
  const exact = column.kind === "number" ? column.get(row) : undefined;
  const props = { class: kinds.filter(Boolean).join(" "), exact: exact === null || exact === undefined ? undefined : String(exact) };
  return h(column.rowhead ? "th" : "td", column.rowhead ? { ...props, scope: "row" } : props, shown);
}

export function table(
  rows,
  columns,
  { caption, by = null, direction = -1, search = null, mark = null, onrow = null, count = "row", height = true } = {},
) {
  let order = by;
  let turn = direction;
  let listed = rows;
  let drawing = 0;
  const made = new Map();
  const body = h("tbody");
  const heads = new Map();
  const said = h("span", { class: "soft count" });

  const rowOf = (row) => {
    if (!made.has(row)) {
      const tr = h("tr", onrow ? { class: "pick", onclick: (event) => event.target.closest("a,button") || onrow(row) } : {}, columns.map((column) => cellOf(column, row)));
      made.set(row, tr);
    }
    const tr = made.get(row);
    if (mark) {
      const marked = mark(row);
      tr.classList.toggle("marked", Boolean(marked));
      if (marked) tr.setAttribute("aria-current", "true");
      else tr.removeAttribute("aria-current");
    }
    return tr;
  };

  function draw() {
    drawing += 1;
    const mine = drawing;
    const column = columns.find((one) => one.name === order);
    const wanted = column ? sorted(listed, column, turn) : listed;
    put(body, wanted.slice(0, PART).map(rowOf));
    let at = PART;
    const more = () => {
      if (mine !== drawing || at >= wanted.length) return;
      body.append(...wanted.slice(at, at + PART).map(rowOf));
      at += PART;
      setTimeout(more, 16);
    };
    if (wanted.length > PART) setTimeout(more, 30);
    for (const [name, head] of heads) head.setAttribute("aria-sort", name === order ? (turn < 0 ? "descending" : "ascending") : "none");
    said.textContent = listed.length < rows.length ? `${listed.length.toLocaleString("en-US")} of ${plural(rows.length, count)}` : plural(rows.length, count);
  }

  const headOf = (column) => {
    const kinds = [column.kind === "number" ? "n" : column.kind === "drawing" ? "d" : "t", column.minor ? "minor" : "", column.class || ""].filter(Boolean).join(" ");
    if (column.sort === null) return h("th", { class: kinds, scope: "col" }, column.head);
    const press = () => {
      turn = order === column.name ? -turn : column.kind === "text" ? 1 : -1;
      order = column.name;
      draw();
    };
    const head = h("th", { class: kinds, scope: "col", "aria-sort": "none" }, h("button", { type: "button", class: "sort", onclick: press }, column.head));
    heads.set(column.name, head);
    return head;
  };

  const copyAll = () => {
    const column = columns.find((one) => one.name === order);
    const wanted = column ? sorted(listed, column, turn) : listed;
    const kept = columns.filter((one) => one.get);
    const lines = wanted.map((row) => kept.map((one) => one.get(row) ?? "").join("\t"));
    copy([kept.map((one) => one.head).join("\t"), ...lines].join("\n"), `${plural(wanted.length, count)}, with all digits`);
  };

  const filter = search
    ? h("input", {
        type: "search",
        placeholder: `Filter ${search}`,
        "aria-label": `Filter ${search}`,
        oninput: (event) => {
          const text = event.target.value.trim().toLowerCase();
          listed = text ? rows.filter((row) => columns.some((one) => one.kind === "text" && String(one.get(row)).toLowerCase().includes(text))) : rows;
          draw();
        },
      })
    : null;
  const grid = h("table", {}, h("caption", { class: "away" }, caption), h("thead", {}, h("tr", {}, columns.map(headOf))), body);
  grid.addEventListener("click", (event) => {
    const cell = event.target.closest("td[data-exact]");
    if (cell && !String(getSelection())) copy(cell.dataset.exact, cell.dataset.exact);
  });
  draw();
  const button = h("button", { type: "button", class: "copy", onclick: copyAll, "aria-label": `Copy the table: ${caption}` }, "Copy table");
  const tools = filter ? h("div", { class: "tabletools" }, filter, said, button) : null;
  const node = h("div", { class: "table" }, tools, h("div", { class: height ? "scroll" : "scroll free", tabindex: "0", role: "region", "aria-label": caption }, grid));
  node.redraw = draw;
  node.tools = filter ? null : rows.length > 12 ? [said, button] : [button];
  return node;
}

// A number that a click copies, for places outside of tables.
export const exact = (value, text) =>
  value === null || value === undefined
    ? h("span", { class: "num" }, text)
    : h("button", { type: "button", class: "num", title: `Copy ${value}`, onclick: () => copy(String(value), String(value)) }, text);

// Names and numbers in one line: [[name, value, text], ...]
export const facts = (entries) =>
  h(
    "dl",
    { class: "facts" },
    entries.map(([name, value, text, kind]) => h("div", { class: kind || null }, h("dt", {}, name), h("dd", {}, exact(value, text)))),
  );
