/** Helpers for building pages: elements, templates, and readable times. Nothing here parses HTML. */

/** Return the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Copy a <template> of index.html; return its element, and those with data-ref by their names. */
export function clone(id) {
  const root = byId(id).content.firstElementChild.cloneNode(true);
  const refs = { root };
  for (const element of root.querySelectorAll("[data-ref]")) refs[element.dataset.ref] = element;
  return refs;
}

/** Create an element: h("button", {class: "quiet", onclick}, "Text"). Children that are not nodes become text. */
export function h(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** Like h(), for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value;
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** Return whether the element, or one inside it, has the focus. */
export const hasFocus = (element) => element.contains(document.activeElement);

/** Move the focus to an element that is not for input. */
export function focusOn(element) {
  element.tabIndex = -1;
  element.focus({ preventScroll: false });
}

const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const SPAN = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** "14:05". */
export const clock = (iso) => CLOCK.format(new Date(iso));

/** Create a <time>, with the date if it is not today. */
export function time(iso) {
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  const text = today ? `today, ${clock(iso)}` : DAY.format(date);
  return h("time", { datetime: iso, title: date.toString() }, text);
}

/** "1 run", "2 runs". */
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** 90 → "1 h 30 min". */
export function minutes(count) {
  const parts = [
    [Math.floor(count / 1440), "d"],
    [Math.floor((count % 1440) / 60), "h"],
    [count % 60, "min"],
  ];
  return parts
    .filter(([number]) => number)
    .map(([number, unit]) => `${number} ${unit}`)
    .join(" ");
}

/** 0.0123 → "12.3 ms". */
export function seconds(number) {
  return number < 1 ? `${SPAN.format(number * 1000)} ms` : `${SPAN.format(number)} s`;
}
