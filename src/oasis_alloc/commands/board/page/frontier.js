// A frontier: one weight or limit varied, with a point that can be dragged along the curve and is then solved exactly.

import { get, post } from "./api.js";
import { chart } from "./curve.js";
import { failure, field, h, panel, put, say, select } from "./dom.js";
import { gap, number, plural, signed } from "./format.js";
import { onFocus, shared } from "./state.js";
import { facts, table } from "./table.js";

const kept = { id: null, knob: null, axes: null }; // while the page is open, a frontier is still there on return

export async function show(place) {
  const { knobs } = await get("knobs", { key: shared.focus?.key, label: shared.focus?.label });
  if (!knobs.length) {
    put(place, panel("Nothing to vary", {}, h("p", { class: "soft" }, "The problem has one term and no limit with a number.")));
    return null;
  }
  const state = { data: null, at: null, running: false, ended: false, solving: 0, axes: kept.axes || {} };
  const body = h("div", { class: "columns" });
  const form = h("div", {});
  put(place, form, body);
  const knob = knobs.find((one) => kept.knob && same(one, kept.knob)) || knobs[Math.min(1, knobs.length - 1)];
  controls(form, body, knobs, knob, state);
  if (kept.id !== null) {
    try {
      await refresh(body, state);
      if (state.data.running) follow(body, state).catch((error) => say(error.message));
    } catch {
      kept.id = null; // the board was started again
    }
  }
  if (kept.id === null) put(body, panel("Frontier", {}, h("p", { class: "soft empty" }, "Choose what to vary, then compute.")));
  const off = onFocus(() => state.data && refresh(body, state));
  return () => {
    state.ended = true;
    off();
  };
}

function controls(form, body, knobs, knob, state) {
  const inputs = {
    low: h("input", { type: "number", step: "any", value: tidy(kept.knob && same(kept.knob, knob) ? kept.knob.low : knob.low), "aria-label": "From" }),
    high: h("input", { type: "number", step: "any", value: tidy(kept.knob && same(kept.knob, knob) ? kept.knob.high : knob.high), "aria-label": "To" }),
    count: h("input", { type: "number", min: 2, max: 60, step: 1, value: 9, "aria-label": "Points" }),
  };
  const message = h("p", { class: "failure", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    message.textContent = "";
    try {
      const asked = { vary: knob.vary, scale: knob.scale, group: knob.group ?? null, low: Number(inputs.low.value), high: Number(inputs.high.value), count: Number(inputs.count.value) };
      kept.id = (await post("frontier", asked)).id;
      kept.knob = asked;
      kept.axes = null;
      state.axes = {};
      state.at = null;
      await follow(body, state);
    } catch (error) {
      message.textContent = error.message;
    }
  };
  const names = knobs.map((one, k) => [k, `${one.kind} of ${one.vary}${one.group ? `, ${one.group}` : ""}${one.scale ? ", times what is stated" : ""}`]);
  put(
    form,
    h(
      "form",
      { class: "panel form", onsubmit: submit, "aria-label": "What to vary" },
      field("Vary", select(names, knobs.indexOf(knob), (k) => controls(form, body, knobs, knobs[Number(k)], state), "What to vary")),
      field("from", inputs.low),
      field("to", inputs.high),
      field("points", inputs.count),
      h("button", { type: "submit", class: "act" }, "Compute"),
      h("p", { class: "soft" }, `stated: ${number(knob.stated, 6)}${knob.scale ? " times the limits" : ""}`),
      message,
    ),
  );
}

const same = (a, b) => a.vary === b.vary && (a.group ?? null) === (b.group ?? null);

const met = (row) => row.value !== null;

const tidy = (value) => String(Number(value.toPrecision(5)));

async function load() {
  const focus = shared.focus;
  return get("frontier", { id: kept.id, key: focus?.key, label: focus?.label });
}

async function refresh(body, state) {
  state.data = await load();
  if (!state.ended) draw(body, state);
}

async function follow(body, state) {
  const mine = kept.id;
  state.running = true;
  for (;;) {
    state.data = await load();
    if (state.ended || kept.id !== mine) return;
    draw(body, state);
    if (!state.data.running) break;
    await new Promise((done) => setTimeout(done, 250));
  }
  state.running = false;
  if (state.data.error) throw new Error(state.data.error);
}

function columnsOf(data) {
  const parts = Object.keys(data.rows.find(met)?.parts ?? {});
  const of = new Map([
    ["point", { head: `${data.words} of ${data.vary}${data.scale ? ", times" : ""}`, get: (row) => row.point }],
    ["value", { head: "value (the objective)", get: (row) => row.value }],
  ]);
  if (data.rows.some((row) => row.price !== null)) of.set("price", { head: "price: what one more unit adds", get: (row) => row.price });
  for (const name of parts) of.set(`part ${name}`, { head: name, get: (row) => row.parts[name] ?? null });
  if (data.rows.some((row) => row.focus !== undefined)) of.set("focus", { head: `${shared.focus?.label ?? "focus"}, delivered`, get: (row) => row.focus ?? null });
  return of;
}

// Where the stated point is on the curve; null outside of the range.
function between(rows, point, of) {
  const known = rows.filter((row) => met(row) && of(row) !== null);
  const k = known.findIndex((row) => row.point >= point);
  if (k < 0 || (k === 0 && known[0].point > point)) return null;
  const b = known[k];
  if (b.point === point || k === 0) return of(b);
  const a = known[k - 1];
  return of(a) + ((point - a.point) / (b.point - a.point)) * (of(b) - of(a));
}

function draw(body, state) {
  const data = state.data;
  const columns = columnsOf(data);
  const names = [...columns].map(([name, one]) => [name, one.head]);
  if (data.rows.length) state.axes = chosenAxes(state.axes, columns, data);
  const axes = data.rows.length ? state.axes : { x: "point", y: "value" };
  const rows = data.rows.filter(met);
  if (state.at === null && rows.length && !data.running) {
    const far = (row) => Math.abs(row.point - (data.stated ?? row.point));
    state.at = rows.reduce((best, row) => (far(row) < far(best) ? row : best)).point;
  }
  const change = (axis) => (name) => {
    state.axes = kept.axes = { ...state.axes, [axis]: name };
    draw(body, state);
  };
  const view = chart({ label: `Frontier of ${data.vary}`, x: "", y: "", height: 360 });
  const detail = h("div", {});
  const progress = data.running ? `${data.rows.length} of ${plural(data.points, "point")} …` : data.error || (rows.length ? "" : "No point can be met: the limits conflict. ") || `${plural(data.rows.length, "point")}. Drag the point, or use the arrow keys: it is then solved exactly.`;
  const tools = [
    select(names, axes.x, change("x"), "Horizontal axis"),
    select(names, axes.y, change("y"), "Vertical axis"),
    data.running ? h("button", { type: "button", class: "quiet", onclick: () => post("frontier/stop", { id: kept.id }) }, "Stop") : null,
  ];
  const grid = list(data, columns, state, body);
  const focused = document.activeElement?.classList.contains("handle");
  put(body, h("div", {}, panel("Frontier", { note: progress, tools }, data.error ? failure(new Error(data.error)) : null, view), panel("Points", {}, grid)), detail);
  place(view, detail, data, columns, axes, state, body);
  if (focused) view.querySelector(".handle")?.focus();
}

// A weight trades the first two parts against each other; a limit changes the value.
function chosenAxes(axes, columns, data) {
  if (columns.has(axes.x) && columns.has(axes.y)) return axes;
  const parts = [...columns.keys()].filter((one) => one.startsWith("part "));
  return data.words === "weight" && parts.length > 1 ? { x: parts[0], y: parts[1] } : { x: "point", y: "value" };
}

function place(view, detail, data, columns, axes, state, body) {
  const x = columns.get(axes.x);
  const y = columns.get(axes.y);
  const rows = data.rows.filter((row) => met(row) && x.get(row) !== null && y.get(row) !== null);
  const at = (point) => [between(rows, point, x.get), between(rows, point, y.get)];
  const stated = data.stated === null ? null : at(data.stated);
  const words = (point) => `${number(point, 5)}: ${y.head} ${number(between(rows, point, y.get), 5)}`;
  const low = rows.length ? rows[0].point : 0;
  const high = rows.length ? rows[rows.length - 1].point : 0;
  const settle = (point) => {
    state.at = Math.min(Math.max(point, low), high);
    solve(body, state);
  };
  const handle =
    rows.length && state.at !== null && !data.running
      ? {
          at: at(Math.min(Math.max(state.at, low), high)),
          label: `${data.words} of ${data.vary}`,
          text: words(state.at),
          min: low,
          max: high,
          now: state.at,
          drag: (pixel, scale, done) => {
            const point = nearest(rows, x.get, y.get, pixel, scale);
            view.moveHandle(at(point), words(point), point);
            if (done) settle(point);
            else put(detail, preview(data, rows, columns, point));
          },
          key: (step) => settle(Number.isFinite(step) ? state.at + (step * (high - low)) / 40 : step < 0 ? low : high),
        }
      : null;
  view.update({
    x: x.head,
    y: y.head,
    lines: [{ points: rows.map((row) => [x.get(row), y.get(row)]) }],
    dots: stated && stated[0] !== null && stated[1] !== null ? [{ at: stated, name: "stated" }] : [],
    refused: axes.x === "point" ? data.rows.filter((row) => !met(row)).map((row) => row.point) : [],
    handle,
    summary: `${plural(rows.length, "point")}, ${y.head} from ${number(Math.min(...rows.map(y.get)))} to ${number(Math.max(...rows.map(y.get)))}`,
  });
  const row = data.rows.find((one) => one.point === state.at);
  if (row) put(detail, solved(data, rows, columns, row));
}

// The point on the polyline that is nearest to a pixel.
function nearest(rows, fx, fy, [px, py], scale) {
  let best = [Infinity, rows[0].point];
  for (let k = 0; k < rows.length - 1; k += 1) {
    const [ax, ay, bx, by] = [scale.px(fx(rows[k])), scale.py(fy(rows[k])), scale.px(fx(rows[k + 1])), scale.py(fy(rows[k + 1]))];
    const length = (bx - ax) ** 2 + (by - ay) ** 2;
    const t = length ? Math.min(Math.max(((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length, 0), 1) : 0;
    const distance = (ax + t * (bx - ax) - px) ** 2 + (ay + t * (by - ay) - py) ** 2;
    if (distance < best[0]) best = [distance, rows[k].point + t * (rows[k + 1].point - rows[k].point)];
  }
  return best[1];
}

let waiting = 0;

function solve(body, state) {
  draw(body, state);
  clearTimeout(waiting);
  if (state.data.rows.some((row) => row.point === state.at)) return;
  waiting = setTimeout(async () => {
    try {
      await post("frontier/point", { id: kept.id, point: state.at });
      if (!state.ended) await refresh(body, state);
    } catch (error) {
      say(error.message);
    }
  }, 150);
}

function preview(data, rows, columns, point) {
  const entries = [...columns].filter(([name]) => name !== "price").map(([, one]) => [one.head, null, one.get === columns.get("point").get ? number(point, 5) : `≈ ${number(between(rows, point, one.get), 5)}`]);
  return panel("Between computed points", { note: "Release to solve it." }, facts(entries));
}

function solved(data, rows, columns, row) {
  const entries = [...columns].filter(([name]) => name !== "point").map(([name, one]) => {
    const stated = name === "price" ? null : between(rows, data.stated, one.get);
    return { name: one.head, value: one.get(row), change: stated === null || one.get(row) === null ? null : one.get(row) - stated };
  });
  return panel(
    `${data.words} ${number(row.point, 6)}`,
    { note: data.vary },
    met(row) ? facts([["value", row.value, number(row.value, 6)], ["bound", row.bound, number(row.bound, 6)], ["gap", row.gap, gap(row.gap)]]) : h("p", { class: "failure" }, "The limits cannot be met at this point."),
    table(
      entries,
      [
        { name: "name", head: "", kind: "text", rowhead: true, get: (one) => one.name },
        { name: "value", head: "here", kind: "number", get: (one) => one.value, show: (one) => number(one.value, 6) },
        { name: "change", head: "than stated", kind: "number", get: (one) => one.change, show: (one) => signed(one.change) },
      ],
      { caption: "At this point", count: "number", height: false },
    ),
  );
}

function list(data, columns, state, body) {
  const pick = (row) => {
    state.at = row.point;
    draw(body, state);
  };
  return table(
    data.rows,
    [
      { name: "point", head: "point", kind: "number", get: (row) => row.point, show: (row) => h("button", { type: "button", class: "num", "aria-label": `Go to ${number(row.point, 6)}`, onclick: () => pick(row) }, number(row.point, 6)) },
      { name: "value", head: "value", kind: "number", get: (row) => row.value, show: (row) => (met(row) ? number(row.value, 6) : h("span", { class: "failure" }, "cannot be met")) },
      { name: "gap", head: "gap", kind: "number", get: (row) => row.gap, show: (row) => gap(row.gap), minor: true },
      ...[...columns].filter(([name]) => !["point", "value"].includes(name)).map(([name, one]) => ({ name, head: one.head, kind: "number", get: one.get, show: (row) => number(one.get(row), 6), minor: name === "price" })),
    ],
    { caption: "Points of the frontier", by: "point", direction: 1, mark: (row) => row.point === state.at, onrow: pick, count: "point" },
  );
}
