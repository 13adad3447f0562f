// What the views share: the address, the group in focus, and the numbers of the overview.

import { get } from "./api.js";

export const shared = { about: null, overview: null, focus: null };

const listeners = new Set();

export const onFocus = (listener) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

// #/view/part/part?name=value
export function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  return { view: parts[0] || "overview", parts: parts.slice(1), query: Object.fromEntries(new URLSearchParams(query || "")) };
}

export function hash(view, parts = [], query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return `#/${[view, ...parts].map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export const groupAddress = (key, label) => hash("group", [key, label]);

export function setFocus(key, label) {
  const now = shared.focus;
  if (now ? now.key === key && now.label === label : !key) return;
  shared.focus = key ? { key, label } : null;
  try {
    if (key) sessionStorage.setItem("focus", JSON.stringify(shared.focus));
    else sessionStorage.removeItem("focus");
  } catch {
    // storage is off: the focus lasts as long as the page
  }
  for (const listener of listeners) listener();
}

export function readFocus() {
  try {
    shared.focus = JSON.parse(sessionStorage.getItem("focus"));
  } catch {
    shared.focus = null;
  }
}

// True for a row with these keys and this label (parts of it separated by middle dots) that is in focus.
export function inFocus(by, label) {
  const focus = shared.focus;
  if (!focus || !by.includes(focus.key)) return false;
  const part = by.length === 1 ? label : label.split(" · ")[by.indexOf(focus.key)];
  return part === focus.label;
}

let asked = null;

export async function overview() {
  asked = asked || get("overview");
  try {
    shared.about = shared.overview = await asked;
  } catch (error) {
    asked = null; // the next view asks again
    throw error;
  }
  return shared.overview;
}

export function forget() {
  asked = null;
}
