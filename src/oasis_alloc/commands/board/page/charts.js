// Small drawings: bars against limits, shares, signed amounts. Numbers stay in the text next to them.

import { svg } from "./dom.js";

const box = (x, y, width, height, kind, more = {}) =>
  svg("rect", { x: x.toFixed(1), y, width: Math.max(width, 0).toFixed(1), height, class: kind, ...more });

const drawing = (width, height, ...parts) =>
  svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, parts);

// Delivered against floor and cap, on its own scale: the largest limit is at the same place in every row.
export function bullet(delivered, floor, cap) {
  const width = 128;
  const known = [floor, cap].filter((one) => one !== null);
  const top = Math.max(...known.map(Math.abs), Math.abs(delivered || 0)) || 1;
  const at = (value) => Math.min(Math.max((value * 0.9 * width) / top, 0), width);
  const left = floor === null ? 0 : at(Math.max(floor, 0));
  const right = cap === null ? width : at(cap);
  return drawing(
    width,
    14,
    box(0, 3, width, 8, "track", { rx: 1.5 }),
    box(left, 3, right - left, 8, "range"),
    box(0, 5, at(delivered || 0), 4, "bar"),
    floor === null ? null : box(at(floor) - 1, 0.5, 2, 13, "floor"),
    cap === null ? null : box(at(cap) - 1, 0.5, 2, 13, "cap"),
  );
}

export function share(value, low, width = 120) {
  const span = 1 - low || 1;
  const place = 5 + (width - 10) * Math.min(Math.max((value - low) / span, 0), 1);
  const end = width - 5;
  return drawing(
    width,
    14,
    box(5, 6.5, width - 10, 1, "axis"),
    box(end - 0.5, 2, 1, 10, "axis"),
    box(place, 6, Math.max(end - place, 0), 2, "lost"),
    svg("circle", { class: "bar", cx: place.toFixed(1), cy: 7, r: 4 }),
  );
}

export function diverging(value, largest, width = 72) {
  const middle = width / 2;
  const length = largest > 0 ? (0.96 * middle * Math.abs(value || 0)) / largest : 0;
  return drawing(
    width,
    14,
    box(value > 0 ? middle : middle - length, 3.5, length, 7, value > 0 ? "cap" : "floor"),
    box(middle - 0.5, 1, 1, 12, "axis"),
  );
}

// Amounts next to each other on one scale: [[amount, class], ...]
export function stack(parts, top, width = 168) {
  let x = 0;
  const scale = top > 0 ? width / top : 0;
  return drawing(
    width,
    14,
    box(0, 3, width, 8, "track", { rx: 1.5 }),
    parts.map(([amount, kind]) => {
      const one = box(x, 3, amount * scale, 8, kind);
      x += amount * scale;
      return one;
    }),
  );
}

// The parts of a score around zero: what adds to the right, what is paid to the left.
export function balance(parts, largest, width = 180) {
  const zero = width * 0.3;
  const scale = largest > 0 ? (width - zero) / largest : 0;
  let up = zero;
  let down = zero;
  const boxes = parts.map(({ amount, kind }) => {
    const length = Math.abs(amount) * scale;
    if (amount >= 0) {
      up += length;
      return box(up - length, 3, length, 8, kind === "price" ? "floor" : "bar");
    }
    down -= length;
    return box(Math.max(down, 0), 3, Math.min(length, down + length), 8, "cap");
  });
  return drawing(width, 14, boxes, box(zero - 0.5, 1, 1, 12, "axis"));
}
