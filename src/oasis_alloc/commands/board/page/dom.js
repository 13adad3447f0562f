// Elements without a framework: text is always set as text, so labels can contain anything.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "exact") node.dataset.exact = value;
    else if (name === "value" && "value" in node) node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

export const h = (tag, props, ...children) => filled(document.createElement(tag), props, children);

export const svg = (tag, props, ...children) => filled(document.createElementNS(SVG, tag), props, children);

export function put(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

let clear = 0;

export function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(clear);
  clear = setTimeout(() => place.classList.remove("shown"), 2400);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // without permission, the way that older browsers had
    const area = h("textarea", { class: "away" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`Copied ${what}`);
}

// A panel with a heading; `tools` stand at the right of it.
// What a short table offers stands there, too, not in a line of its own.
export function panel(title, { note, tools } = {}, ...children) {
  const offered = children.flat().map((child) => child && child.tools).filter(Boolean);
  const all = [tools, offered].flat(Infinity).filter(Boolean);
  return h(
    "section",
    { class: "panel", "aria-label": title },
    h("div", { class: "head" }, h("h2", {}, title), note ? h("p", { class: "soft" }, note) : null, all.length ? h("div", { class: "tools" }, all) : null),
    children,
  );
}

export const field = (label, control) => h("label", { class: "field" }, h("span", {}, label), control);

export const select = (options, chosen, onchange, label) =>
  h(
    "select",
    { onchange: (event) => onchange(event.target.value), "aria-label": label },
    options.map(([value, text]) => h("option", { value, selected: String(value) === String(chosen) }, text)),
  );

export const failure = (error) => h("p", { class: "failure", role: "alert" }, error.message || String(error));
