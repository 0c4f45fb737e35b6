/** A part of the page that its heading opens; it calls the API only while it is open. */

import { insist } from "./connection.js";
import { byId, h } from "./dom.js";

const panels = new Map();

/**
 * Set up the panel with this id: `load()` fetches, `show(result)` renders, `closed()` cleans up.
 *
 * @returns {{reload: () => Promise<void>, isOpen: () => boolean, close: () => void}}
 */
export function panel(id, { load, show, closed = () => {} }) {
  const button = byId(`${id}-toggle`);
  const body = byId(`${id}-body`);
  const isOpen = () => button.ariaExpanded === "true";
  let turn = 0;

  async function reload() {
    const mine = ++turn;
    body.ariaBusy = "true";
    try {
      const result = await insist(load);
      if (mine !== turn || !isOpen()) return;
      recover(body);
      show(result);
    } catch (problem) {
      if (!("status" in problem)) throw problem;
      if (mine === turn && isOpen()) fail(body, problem, reload);
    } finally {
      if (mine === turn) body.ariaBusy = "false";
    }
  }
  function setOpen(open) {
    button.ariaExpanded = String(open);
    body.hidden = !open;
    if (open) return reload();
    turn++;
    closed();
  }
  button.addEventListener("click", () => {
    setOpen(!isOpen());
    history.replaceState(null, "", isOpen() ? `#${id}` : location.pathname);
  });
  const self = { reload, isOpen, close: () => isOpen() && setOpen(false), open: () => isOpen() || setOpen(true) };
  panels.set(id, self);
  return self;
}

/** Open the panel that the URL's fragment names, after a reload or by a link. */
export function openByHash() {
  const id = location.hash.slice(1);
  if (!panels.has(id) || byId(id).hidden) return;
  panels.get(id).open();
  byId(id).scrollIntoView();
}

export function closeAll() {
  for (const { close } of panels.values()) close();
}

/** Show the error in place of the list. */
function fail(body, problem, again) {
  recover(body);
  const list = body.querySelector("[data-list]");
  list.hidden = true;
  list.before(
    h(
      "div",
      { class: "failed" },
      h("p", { role: "alert" }, problem.message),
      h("button", { type: "button", onclick: again }, "Try again"),
    ),
  );
}

function recover(body) {
  body.querySelector(".failed")?.remove();
  body.querySelector("[data-list]").hidden = false;
}
