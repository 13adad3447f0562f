// A line chart with axes, drawn at the size of its place, with a point that can be dragged along it.

import { h, put, svg } from "./dom.js";
import { number, ticks } from "./format.js";

const LEFT = 64;
const RIGHT = 18;
const TOP = 12;
const BOTTOM = 40;

function range(values, pad = 0.06) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const extra = (high - low) * pad || Math.abs(high) * 0.05 || 1;
  return [low - extra, high + extra];
}

// `lines`: [{ points: [[x, y], ...], kind, name }]; `band`: [[x, low, high], ...]; `crosses`: [[x, y]];
// `handle`: { at: [x, y], text, min, max, now, label, drag([x, y] of the pointer, done), key(step) }
export function chart({ label, x, y, height = 320 }) {
  const place = h("div", { class: "curve" });
  let state = { lines: [], dots: [], refused: [], handle: null, band: [] };
  let scale = null;
  let drawnWidth = 0;

  function draw() {
    const had = place.contains(document.activeElement);
    drawn();
    if (had) place.querySelector(".handle")?.focus();
  }

  function drawn() {
    drawnWidth = place.clientWidth;
    const width = Math.max(drawnWidth || 600, 240);
    const all = [...state.lines.flatMap((line) => line.points), ...state.band.flatMap(([a, low, high]) => [[a, low], [a, high]])];
    if (!all.length) {
      put(place, h("p", { class: "soft empty" }, "No points yet."));
      return;
    }
    const [x0, x1] = range([...all.map((one) => one[0]), ...state.refused], 0.03);
    const [y0, y1] = range(all.map((one) => one[1]));
    const px = (value) => LEFT + ((value - x0) / (x1 - x0)) * (width - LEFT - RIGHT);
    const py = (value) => TOP + (1 - (value - y0) / (y1 - y0)) * (height - TOP - BOTTOM);
    const back = (pixel) => x0 + ((pixel - LEFT) / (width - LEFT - RIGHT)) * (x1 - x0);
    scale = { px, py, back };
    const parts = [];
    for (const value of ticks(y0, y1, height > 220 ? 5 : 3)) {
      parts.push(svg("line", { class: "gridline", x1: LEFT, x2: width - RIGHT, y1: py(value), y2: py(value) }));
      parts.push(svg("text", { class: "tick", x: LEFT - 8, y: py(value) + 4, "text-anchor": "end" }, number(value, 5)));
    }
    for (const value of ticks(x0, x1, Math.max(2, Math.min(8, Math.floor(width / 110))))) {
      parts.push(svg("line", { class: "tickline", x1: px(value), x2: px(value), y1: height - BOTTOM, y2: height - BOTTOM + 4 }));
      parts.push(svg("text", { class: "tick", x: px(value), y: height - BOTTOM + 18, "text-anchor": "middle" }, number(value, 4)));
    }
    parts.push(svg("line", { class: "axisline", x1: LEFT, x2: width - RIGHT, y1: height - BOTTOM, y2: height - BOTTOM }));
    parts.push(svg("text", { class: "axisname", x: width - RIGHT, y: height - 4, "text-anchor": "end" }, state.x || x));
    if (state.band.length) {
      const up = state.band.map(([a, , high]) => `${px(a).toFixed(1)},${py(high).toFixed(1)}`);
      const down = state.band.map(([a, low]) => `${px(a).toFixed(1)},${py(low).toFixed(1)}`).reverse();
      parts.push(svg("polygon", { class: "band", points: [...up, ...down].join(" ") }));
    }
    for (const line of state.lines) {
      const points = line.points.map(([a, b]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join(" ");
      parts.push(svg("polyline", { class: `line ${line.kind || ""}`, points }));
      if (line.dots !== false) parts.push(line.points.map(([a, b]) => svg("circle", { class: "dot", cx: px(a), cy: py(b), r: 3 })));
    }
    for (const value of state.refused) {
      parts.push(svg("path", { class: "refused", d: `M${px(value) - 4} ${height - BOTTOM - 10}l8 8m0 -8l-8 8` }, svg("title", {}, `${number(value)}: cannot be met`)));
    }
    for (const { at, name } of state.dots) {
      parts.push(svg("circle", { class: "stated", cx: px(at[0]), cy: py(at[1]), r: 5 }), svg("text", { class: "tick", x: px(at[0]) + 9, y: py(at[1]) - 8 }, name));
    }
    const summary = `${label}. ${state.summary || ""}`;
    const image = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": summary }, parts);
    put(place, h("p", { class: "axisname above" }, state.y || y), image);
    if (state.handle) image.append(handleOf(state.handle, image));
  }

  function handleOf(handle, image) {
    const [a, b] = handle.at;
    const node = svg(
      "g",
      {
        class: "handle", tabindex: "0", role: "slider", "aria-label": handle.label, "aria-valuemin": handle.min,
        "aria-valuemax": handle.max, "aria-valuenow": handle.now, "aria-valuetext": handle.text,
        transform: `translate(${scale.px(a).toFixed(1)} ${scale.py(b).toFixed(1)})`,
      },
      svg("circle", { class: "ring", r: 15 }),
      svg("circle", { class: "knob", r: 7 }),
    );
    const where = (event) => {
      const box = image.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    node.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      node.focus();
      const move = (one) => handle.drag(where(one), scale, false);
      const up = (one) => {
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", up);
        handle.drag(where(one), scale, true);
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", up);
    });
    node.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5, Home: -Infinity, End: Infinity };
      if (!(event.key in steps)) return;
      event.preventDefault();
      handle.key(steps[event.key]);
    });
    return node;
  }

  const watch = new ResizeObserver(() => place.clientWidth !== drawnWidth && draw());
  watch.observe(place);
  place.update = (next) => {
    state = { ...state, ...next };
    draw();
  };
  // While a point is dragged only the handle moves.
  place.moveHandle = ([a, b], text, now) => {
    const node = place.querySelector(".handle");
    if (!node || !scale) return;
    node.setAttribute("transform", `translate(${scale.px(a).toFixed(1)} ${scale.py(b).toFixed(1)})`);
    node.setAttribute("aria-valuetext", text);
    node.setAttribute("aria-valuenow", now);
  };
  place.close = () => watch.disconnect();
  return place;
}
