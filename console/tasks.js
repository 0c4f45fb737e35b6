/** The tasks: create one, list them page by page. Renaming and deleting are separate modules. */

import { insist } from "./connection.js";
import { startDelete, finishDeletion } from "./delete.js";
import { byId, clone, focusOn, minutes, time } from "./dom.js";
import { clearErrors, onSubmit } from "./form.js";
import { startRename } from "./rename.js";
import { call } from "./session.js";
import { say } from "./status.js";

const FIRST_PAGE = "/api/tasks";

let nextPage = null;
// Showing the list cancels earlier ones: another user may have logged in meanwhile.
let turn = 0;
// The idempotency key: a POST sent twice creates one task. It changes with the content of the form.
let key;

export function startTasks() {
  onSubmit(byId("add"), add);
  byId("add").addEventListener("input", () => (key = undefined));
  byId("more").onclick = loadMore;
  byId("tasks-retry").onclick = showTasks;
}

/** Load the newest tasks; grey placeholders are shown until then. */
export async function showTasks() {
  const mine = ++turn;
  setState("loading");
  try {
    await finishDeletion();
    const page = await insist(() => call("GET", FIRST_PAGE));
    if (mine !== turn) return;
    byId("tasks-list").replaceChildren();
    append(page);
  } catch (problem) {
    if (mine === turn && problem.status !== 401) fail(problem);
  }
}

/** Remove the tasks from the page: the user has logged out. */
export function hideTasks({ keepDraft }) {
  turn++;
  byId("tasks-list").replaceChildren();
  clearErrors(byId("add"));
  if (!keepDraft) byId("add").reset();
}

async function add({ title, duration }) {
  key ??= randomKey();
  // A number if it is one; the API reports what is wrong with anything else.
  const body = { title, duration: /^[0-9]{1,15}$/.test(duration.trim()) ? Number(duration) : duration };
  const headers = { "Idempotency-Key": key };
  const mine = turn;
  const { data, etag } = await insist(() => call("POST", FIRST_PAGE, { body, headers }));
  if (mine !== turn) return;
  key = undefined;
  byId("add").reset();
  byId("add").elements.title.focus();
  byId("tasks-list").prepend(row(data, etag));
  setState("loaded");
  say(`“${data.title}” added.`);
}

async function loadMore() {
  const mine = turn;
  byId("more").ariaBusy = "true";
  try {
    const page = await insist(() => call("GET", nextPage));
    if (mine !== turn) return;
    const first = append(page);
    // The button may have disappeared; the new rows are above it.
    if (first) focusOn(first);
    say(page.next ? "Older tasks loaded." : "Older tasks loaded. There are no more.");
  } catch (problem) {
    if (mine === turn) say(problem.message);
  } finally {
    byId("more").ariaBusy = "false";
  }
}

/** Append a page's tasks, without those that are listed already; return the first new row. */
function append({ data, next }) {
  const list = byId("tasks-list");
  const rows = data.filter(({ id }) => !list.querySelector(`[data-id="${id}"]`)).map((task) => row(task, null));
  list.append(...rows);
  nextPage = next;
  setState("loaded");
  return rows[0];
}

/** Return a row of the list. `etag` is null if the API has not sent one: a list has none. */
function row(task, etag) {
  const { root, view, title, duration, created, rename, remove } = clone("task");
  const item = { root, view, rename, remove, path: `${FIRST_PAGE}/${task.id}`, update, leave };
  function update({ data, etag }) {
    Object.assign(item, { title: data.title, etag });
    title.textContent = data.title;
  }
  /** Remove the row, and return a function that puts it back. */
  function leave() {
    const after = root.nextElementSibling;
    focusOn(after ?? root.previousElementSibling ?? byId("tasks-title"));
    root.remove();
    setState("loaded");
    return () => {
      if (after?.isConnected) after.before(root);
      else byId("tasks-list").append(root);
      setState("loaded");
    };
  }
  root.dataset.id = task.id;
  title.id = `title-${task.id}`;
  for (const button of [rename, remove]) button.setAttribute("aria-describedby", title.id);
  duration.textContent = minutes(task.duration);
  created.replaceChildren(time(task.created_at));
  update({ data: task, etag });
  rename.onclick = () => startRename(item);
  remove.onclick = () => startDelete(item);
  return root;
}

function setState(state) {
  const rows = byId("tasks-list").children.length;
  byId("tasks-skeleton").hidden = state !== "loading";
  byId("tasks-failed").hidden = state !== "failed";
  byId("tasks-list").hidden = state !== "loaded" || !rows;
  byId("tasks-empty").hidden = state !== "loaded" || rows > 0;
  byId("more").hidden = state !== "loaded" || !nextPage;
  // The sections below the tasks are shown after them; otherwise they would move when the tasks appear.
  byId("rest").hidden = state === "loading";
}

function fail(problem) {
  if (!("status" in problem)) throw problem;
  byId("tasks-failed-text").textContent = problem.message;
  setState("failed");
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
