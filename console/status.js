/** The line at the foot of the page that reports what an action did and offers to undo it. */

import { byId, h, hasFocus } from "./dom.js";

const SHOWN = 7000;

let timer, pending;

/** Show a message. If `undo` is given, offer it; `commit` is called once it can no longer be undone. */
export function say(text, { undo, commit } = {}) {
  settle();
  const button = undo && h("button", { type: "button", "aria-keyshortcuts": "Control+Z", onclick: takeBack }, "Undo");
  byId("status").replaceChildren(h("span", { dir: "auto" }, text), ...(button ? [button] : []));
  byId("status").classList.add("shown");
  pending = { undo, commit };
  arm();
}

/** Return a handler that does `work` and shows the API's error, if any. */
export function attempt(work) {
  return async () => {
    try {
      await work();
    } catch (problem) {
      if (!("status" in problem)) throw problem;
      say(problem.message);
    }
  };
}

/** Commit what could still be undone, and clear the line. */
export function settle() {
  clearTimeout(timer);
  const { commit } = pending ?? {};
  clear();
  commit?.();
}

function takeBack() {
  clearTimeout(timer);
  const { undo } = pending;
  clear();
  undo();
}

function clear() {
  pending = undefined;
  byId("status").classList.remove("shown");
  byId("status").replaceChildren();
}

function arm() {
  clearTimeout(timer);
  timer = setTimeout(settle, SHOWN);
}

export function startStatus() {
  const line = byId("status");
  // For people who need more time: the line stays while the pointer or the focus is on it.
  line.addEventListener("pointerenter", () => clearTimeout(timer));
  line.addEventListener("focusin", () => clearTimeout(timer));
  line.addEventListener("pointerleave", () => pending && !hasFocus(line) && arm());
  line.addEventListener("focusout", () => pending && arm());
  addEventListener("keydown", (event) => {
    const undoes = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";
    if (!undoes || !pending?.undo || event.target.matches("input, textarea")) return;
    event.preventDefault();
    takeBack();
  });
}
