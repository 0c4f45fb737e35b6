/** Forms that submit to the API and show its errors beside their fields. */

import { h } from "./dom.js";

/**
 * Submit the form with `send(values, button)`, one submission at a time.
 *
 * Each field is in an element of class "field", beside one of class "error" for its messages; other messages go to the
 * element of class "form-error".
 */
export function onSubmit(form, send) {
  form.noValidate = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    clearErrors(form);
    form.ariaBusy = "true";
    try {
      await send(Object.fromEntries(new FormData(form)), event.submitter);
    } catch (problem) {
      showProblem(form, problem);
    } finally {
      form.ariaBusy = "false";
    }
  });
  form.addEventListener("input", ({ target }) => clearError(target));
}

export function clearErrors(form) {
  clearInterval(form.countdown);
  formError(form).replaceChildren();
  for (const field of form.elements) clearError(field);
}

export function showProblem(form, problem) {
  if (!("status" in problem)) throw problem;
  const about = Object.entries(problem.errors).map(([name, messages]) => [fieldOf(form, name), messages]);
  const fields = about.filter(([field]) => errorOf(field));
  for (const [field, messages] of fields) showError(field, messages.join(" "));
  if (fields.length) fields[0][0].focus();
  else if (problem.status === 429) countDown(form, problem);
  else formError(form).textContent = [problem.message, ...Object.values(problem.errors).flat()].join(" ");
}

/** Count down visually only; otherwise screen readers would announce each second. */
function countDown(form, problem) {
  const until = Date.now() + Math.max(1, problem.retryAfter) * 1000;
  const seconds = h("span", { role: "timer", "aria-live": "off" });
  formError(form).replaceChildren("Too many attempts. Try again in ", seconds, ".");
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    seconds.textContent = `${left} s`;
    if (left <= 0) clearErrors(form);
  };
  form.countdown = setInterval(tick, 250);
  tick();
}

function showError(field, text) {
  const error = errorOf(field);
  error.textContent = text;
  error.id ||= `error-${++errors}`;
  field.ariaInvalid = "true";
  field.setAttribute("aria-describedby", error.id);
}

let errors = 0;

/** Return the field of this name; of several check boxes, the first. */
function fieldOf(form, name) {
  const field = form.elements[name];
  return field instanceof RadioNodeList ? field[0] : field;
}

const formError = (form) => form.querySelector(".form-error");
const errorOf = (field) => field?.closest?.(".field")?.querySelector(".error");

function clearError(field) {
  const error = errorOf(field);
  if (!error) return;
  error.textContent = "";
  field.ariaInvalid = null;
  field.removeAttribute("aria-describedby");
}
