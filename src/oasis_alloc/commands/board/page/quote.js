// A quote with a slider: what more impressions cost, who gives way, and what stops the group.

import { get, post } from "./api.js";
import { chart } from "./curve.js";
import { failure, field, h, panel, put, say, select } from "./dom.js";
import { number, percent } from "./format.js";
import { groupAddress, shared } from "./state.js";
import { facts, table } from "./table.js";

export function quotePanel(key, label, slots) {
  const body = h("div", { class: "stacked" }, h("p", { class: "soft" }, "Asking for the curve …"));
  const state = { key, label, where: null, curve: null, units: 0, asking: false, next: null, closed: false };
  const places = slots.flatMap((one) => one.label.map((text, k) => ({ key: one.key, label: text, candidates: one.candidates[k] }))).filter((one) => one.candidates > 0);
  const options = [["", "everywhere"], ...places.map((one, k) => [k, `${one.key} ${one.label}`])];
  const choose = (k) => {
    state.where = k === "" ? null : places[Number(k)];
    load(body, state);
  };
  const node = panel("Quote", { note: "What more impressions would cost, at the prices of this plan.", tools: places.length > 1 ? select(options, "", choose, "Where") : null }, body);
  load(body, state);
  node.close = () => {
    state.closed = true;
    state.view?.close();
  };
  return node;
}

const asked = (state, more = {}) => ({ key: state.key, label: state.label, where_key: state.where?.key, where_label: state.where?.label, ...more });

async function load(body, state) {
  const mine = state.where;
  body.setAttribute("aria-busy", "true");
  try {
    const found = await get("quote", asked(state));
    if (state.closed || state.where !== mine) return;
    state.view?.close();
    state.quote = found;
    state.units = 0;
    draw(body, state);
  } catch (error) {
    if (!state.closed && state.where === mine) put(body, failure(error));
  }
  if (state.where === mine) body.removeAttribute("aria-busy");
}

function draw(body, state) {
  const quote = state.quote;
  const most = Math.floor(quote.max_units.high + 1e-9);
  if (most < 1) {
    put(body, h("p", {}, "No more impressions can be had: ", h("span", { class: "soft" }, "all of its candidates are shown, or limits stop it."), limits(quote)));
    return;
  }
  const start = Math.max(1, Math.round(most / 10));
  const parts = {
    slider: h("input", { type: "range", min: 0, max: most, step: 1, value: start, "aria-label": "More impressions" }),
    input: h("input", { type: "number", min: 0, max: most, step: 1, value: start, "aria-label": "More impressions, as a number" }),
    figures: h("div", { "aria-live": "polite", class: "figures" }),
    effects: h("div", { class: "pair" }),
  };
  state.view = chart({ label: "Cost of more impressions", x: "more impressions", y: "cost, in units of the objective", height: 210 });
  const go = (units, done = false) => {
    if (!Number.isFinite(units)) return;
    state.units = Math.min(Math.max(Math.round(units), 0), most);
    parts.slider.value = parts.input.value = state.units;
    parts.slider.setAttribute("aria-valuetext", `${number(state.units)} more impressions, cost about ${number(at(quote.curve, state.units, "high") ?? at(quote.curve, state.units, "low"))}`);
    estimate(parts, state);
    request(parts, state, done);
  };
  parts.slider.addEventListener("input", () => go(Number(parts.slider.value)));
  parts.input.addEventListener("change", () => go(Number(parts.input.value)));
  state.go = go;
  const prove = h("button", { type: "button", class: "quiet", onclick: () => certify(parts, state, prove) }, "Prove the cost");
  const accept = shared.about.editable ? h("button", { type: "button", class: "act", onclick: () => promise(state, accept) }, "Accept") : null;
  put(body, h("div", { class: "slider" }, parts.slider, field("more", parts.input), prove, accept), parts.figures, state.view, h("p", { class: "key" }, h("span", {}, h("i", { class: "floor" }), "at least, proven"), h("span", {}, h("i", { class: "bar" }), "at most, as far as slates that deliver them are known")), parts.effects);
  go(start);
}

// A number of the curve between its points; null where it is not known.
function at(curve, units, name) {
  const k = curve.units.findIndex((one) => one >= units);
  if (k < 0) return curve[name][curve.units.length - 1];
  if (k === 0 || curve.units[k] === units) return curve[name][k];
  const [a, b] = [curve[name][k - 1], curve[name][k]];
  if (a === null || b === null) return null;
  return a + ((units - curve.units[k - 1]) / (curve.units[k] - curve.units[k - 1])) * (b - a);
}

// From the curve at once; the exact quote follows.
function estimate(parts, state) {
  const { curve } = state.quote;
  const [low, high] = [at(curve, state.units, "low"), at(curve, state.units, "high")];
  figures(parts, state, { units: state.units, floor: state.quote.units_now + state.units, cost: { low, mid: null, high }, price: at(curve, state.units, "price"), relevance: null, feasible: undefined });
  curveOf(state, high ?? low);
}

function curveOf(state, cost, proven = null) {
  const { curve } = state.quote;
  const pairs = (name) => curve.units.map((units, k) => [units, curve[name][k]]).filter(([, value]) => value !== null);
  const band = curve.units.map((units, k) => [units, curve.low[k], curve.high[k]]).filter(([, low, high]) => low !== null && high !== null);
  state.view.update({
    lines: [
      { points: pairs("high"), dots: false },
      { points: pairs("low"), dots: false, kind: "second" },
      { points: proven && proven.high !== null ? [[state.units, proven.low], [state.units, proven.high]] : [], dots: false },
    ].filter((line) => line.points.length),
    band,
    handle: {
      at: [state.units, cost ?? 0],
      label: "More impressions, on the curve",
      min: 0,
      max: curve.units[curve.units.length - 1],
      now: state.units,
      text: `${number(state.units)} more impressions, cost ${number(cost)}`,
      drag: ([x], scale) => state.go(scale.back(x)),
      key: (step) => state.go(Number.isFinite(step) ? state.units + step : step < 0 ? 0 : Infinity),
    },
    summary: `from no cost to ${number(Math.max(...[...curve.high, ...curve.low].filter((one) => one !== null)))}`,
  });
}

// One question at a time: while one is answered, the slider's latest place waits.
async function request(parts, state) {
  state.next = state.units;
  if (state.asking) return;
  state.asking = true;
  const mine = state.quote;
  while (state.next !== null && !state.closed && state.quote === mine) {
    const units = state.next;
    state.next = null;
    try {
      const begun = performance.now();
      const found = await get("quote", asked(state, { units }));
      if (state.closed || state.quote !== mine) break;
      if (state.next === null) {
        show(parts, state, found);
        performance.measure("quote", { start: begun });
      }
    } catch (error) {
      put(parts.figures, failure(error));
    }
  }
  state.asking = false;
  if (state.next !== null && !state.closed && state.quote !== mine) request(parts, state);
}

function show(parts, state, found) {
  figures(parts, state, found);
  put(parts.effects, displaced(found, state), limits(found));
  if (found.cost.low !== null) curveOf(state, found.cost.high ?? found.cost.low, found.cost);
}

function figures(parts, state, found) {
  const words = { true: "yes", false: "no", null: "open" };
  const exact = found.feasible !== undefined;
  const about = (value) => (exact ? number(value) : `≈ ${number(value)}`);
  put(
    parts.figures,
    facts([
      ["in all", found.floor, number(found.floor, 6)],
      ["cost, at least", found.cost.low, about(found.cost.low)],
      ["at most", found.cost.high, found.cost.high === null ? "not known" : about(found.cost.high)],
      ["price of the next", found.price, about(found.price)],
      [found.relevance?.column ? `${found.relevance.column} lost` : "lost", exact ? found.relevance.lost : null, exact ? number(found.relevance.lost) : "…"],
      ["can be delivered", null, exact ? words[String(found.feasible)] : "…", found.feasible === false ? "bad" : found.feasible ? "good" : null],
      ["the most", state.quote.max_units.high, number(state.quote.max_units.high)],
    ]),
    found.level === "certified" ? h("p", { class: "soft" }, `Proven on both sides, to ${percent((found.cost.high - found.cost.low) / Math.max(Math.abs(found.cost.high), 1e-12), 1)} of the cost.`) : null,
  );
}

function linked(row, key) {
  if (row.label === null) return h("span", { class: "soft" }, `without a ${key}`);
  return shared.about.keys.includes(row.key) ? h("a", { href: groupAddress(row.key, row.label) }, row.label) : row.label;
}

function displaced(found, state) {
  const keys = Object.keys(found.displaced).filter((key) => found.displaced[key].length);
  if (!keys.length) return null;
  const body = h("div", {});
  const list = (key) => {
    state.by = key;
    const rows = found.displaced[key];
    put(
      body,
      table(
        rows,
        [
          { name: "label", head: key, kind: "text", rowhead: true, get: (row) => row.label ?? `without a ${key}`, show: (row) => linked(row, key) },
          { name: "units", head: "loses", kind: "number", get: (row) => row.units },
        ],
        { caption: `Who gives way, by ${key}`, count: key },
      ),
    );
  };
  list(keys.includes(state.by) ? state.by : keys[0]);
  return h("div", {}, h("div", { class: "head" }, h("h3", {}, "Who gives way"), keys.length > 1 ? select(keys.map((key) => [key, `by ${key}`]), state.by, list, "Key of those who give way") : null), body);
}

function limits(found) {
  if (!found.limits.length) return null;
  return h(
    "div",
    {},
    h("div", { class: "head" }, h("h3", {}, "What raises the price, or stops it")),
    table(
      found.limits,
      [
        { name: "name", head: "limit", kind: "text", rowhead: true, get: (row) => (row.label === "all" ? row.constraint : `${row.constraint}, ${row.label}`) },
        { name: "price", head: "price", kind: "number", get: (row) => row.price },
        ...(found.limits.some((row) => row.units > 0) ? [{ name: "units", head: "stops", kind: "number", get: (row) => row.units, minor: true }] : []),
      ],
      { caption: "Limits in the way", count: "limit" },
    ),
  );
}

async function certify(parts, state, button) {
  button.disabled = true;
  try {
    const units = state.units;
    const found = await get("quote", asked(state, { units, certify: "1" }));
    if (!state.closed && state.units === units) show(parts, state, found);
  } catch (error) {
    say(error.message);
  }
  button.disabled = false;
}

async function promise(state, button) {
  button.disabled = true;
  try {
    await post("accept", asked(state, { units: state.units }));
    say(`${number(state.units)} more impressions are promised`);
    document.dispatchEvent(new Event("board:edited"));
  } catch (error) {
    say(error.message);
    button.disabled = false;
  }
}
