// The frame of the page: which view is shown, the theme, the group in focus, and edits.

import { post } from "./api.js";
import { failure, h, put, say } from "./dom.js";
import { plural } from "./format.js";
import * as overviewView from "./overview.js";
import { address, forget, groupAddress, hash, onFocus, overview, readFocus, setFocus, shared } from "./state.js";

// Every view has `title` and `show(place, address)`, which returns a function that ends it, or nothing.
const VIEWS = {
  overview: { title: "Overview", load: () => Promise.resolve(overviewView) },
  group: { title: "Campaign", load: () => import("./group.js") },
  frontier: { title: "Frontier", load: () => import("./frontier.js") },
  compare: { title: "Compare", load: () => import("./compare.js") },
  explain: { title: "Explain", load: () => import("./explain.js") },
  conflicts: { title: "Conflicts", load: () => import("./conflicts.js") },
};

const main = document.getElementById("main");
let end = null;
let turn = 0;

async function show({ moved = false } = {}) {
  turn += 1;
  const mine = turn;
  const at = address();
  const name = at.view in VIEWS ? at.view : "overview";
  navigation(name);
  try {
    const view = await VIEWS[name].load();
    await overview();
    header();
    navigation(name);
    if (mine !== turn) return;
    if (end) end();
    end = null;
    const shown = h("div", { id: "view", "data-view": name });
    shown.style.display = "contents";
    end = (await view.show(shown, at)) || null;
    if (mine !== turn) return;
    put(main, shown);
  } catch (error) {
    if (mine === turn) put(main, failure(error));
  }
  document.title = `${VIEWS[name].title} · ${shared.about ? shared.about.name : "board"}`;
  document.documentElement.dataset.ready = name;
  performance.mark("shown");
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function groupTitle() {
  const about = shared.about;
  const key = shared.focus ? shared.focus.key : about && about.keys.includes("campaign") ? "campaign" : about && about.keys[0];
  return key ? key[0].toUpperCase() + key.slice(1) : "Group";
}

function navigation(current) {
  const focus = shared.focus;
  put(
    document.getElementById("views"),
    Object.entries(VIEWS).map(([name, view]) =>
      h(
        "a",
        { href: name === "group" && focus ? groupAddress(focus.key, focus.label) : hash(name), "aria-current": name === current ? "page" : null },
        name === "group" ? groupTitle() : view.title,
      ),
    ),
  );
  const chosen = document.querySelector("nav a[aria-current]");
  if (chosen) chosen.parentElement.scrollLeft = chosen.offsetLeft - chosen.parentElement.offsetLeft - 60; // on narrow screens
}

function header() {
  const about = shared.about;
  document.getElementById("name").textContent = about.name;
  document.getElementById("name").title = about.path;
  const focus = shared.focus;
  put(
    document.getElementById("focus"),
    focus
      ? h(
          "span",
          { class: "chip" },
          h("a", { href: groupAddress(focus.key, focus.label), title: `${focus.key}: marked in every view` }, focus.label),
          h("button", { type: "button", "aria-label": `Take ${focus.label} out of focus`, onclick: () => setFocus(null) }, "×"),
        )
      : null,
  );
  put(document.getElementById("edits"), edits(about));
}

function edits(about) {
  if (!about.editable) return null;
  const act = (path, words) => async () => {
    try {
      const answer = await post(path, {});
      say(words(answer));
      await refresh();
    } catch (error) {
      say(error.message);
    }
  };
  return [
    h("span", { class: "soft" }, about.changes ? `${plural(about.changes, "change")} ` : "editing "),
    h("button", { type: "button", class: "quiet", disabled: !about.changes, onclick: act("undo", () => "The last change is taken back") }, "Undo"),
    " ",
    h("button", { type: "button", class: "quiet", onclick: act("save", (answer) => `Saved to ${answer.path}`) }, "Save"),
  ];
}

// After an edit: the numbers are others, the view stays.
async function refresh() {
  forget();
  await show();
}

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  const button = document.getElementById("theme");
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[theme];
  button.setAttribute("aria-label", `Theme: ${theme}`);
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // storage is off: the theme lasts as long as the page
  }
}

function storedTheme() {
  try {
    const theme = localStorage.getItem("theme");
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto";
  }
}

let theme = storedTheme();
setTheme(theme);
document.getElementById("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  setTheme(theme);
});
document.addEventListener("board:edited", refresh);
addEventListener("hashchange", () => show({ moved: true }));
onFocus(() => {
  navigation(address().view);
  if (shared.about) header();
});
readFocus();
overview().catch(() => {}); // asked for while the view is loaded
show();
