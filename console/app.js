/** Start the page: show the login form, or the desk of the user who is logged in. */

import { startAccount } from "./account.js";
import { request } from "./api.js";
import { insist, startConnection } from "./connection.js";
import { byId, focusOn } from "./dom.js";
import { clearErrors, onSubmit } from "./form.js";
import { startJobs } from "./jobs.js";
import { closeAll, openByHash } from "./panel.js";
import { drawRing } from "./ring.js";
import { current, freshFor, isStaff, logIn, logOut, onChange, token } from "./session.js";
import { say, settle, startStatus } from "./status.js";
import { hideTasks, showTasks, startTasks } from "./tasks.js";
import { startWebhooks } from "./webhooks.js";

// The user whose desk is shown, and the last one whose desk was shown.
let shown, owner;

function start() {
  byId("late").remove();
  startStatus();
  startConnection();
  startTasks();
  startAccount();
  startWebhooks();
  startJobs();
  onSubmit(byId("welcome-form"), enter);
  byId("log-out").onclick = leave;
  onChange(render);
  addEventListener("hashchange", openByHash);
  document.addEventListener("visibilitychange", keepFresh);
  render(current());
}

async function enter({ username, password }, button) {
  if (button?.value === "create") await request("POST", "/api/auth/register", { body: { username, password } });
  await logIn({ username, password });
  if (button?.value === "create") say("Account created.");
}

async function leave() {
  settle();
  try {
    await logOut();
    say("You are logged out.");
  } catch {
    say("You are logged out here. The server did not respond, so the session there will expire by itself.");
  }
}

function render(session, reason = "") {
  const name = session?.username ?? null;
  if (name !== shown) {
    const isFirst = shown === undefined;
    shown = name;
    byId("welcome").hidden = Boolean(session);
    byId("desk").hidden = byId("who").hidden = !session;
    if (session) showDesk(session);
    else showWelcome({ reason, isFirst });
  }
  if (session) drawRing(session);
  keepFresh();
}

async function showDesk({ username }) {
  byId("welcome-form").reset();
  clearErrors(byId("welcome-form"));
  byId("username-shown").textContent = username;
  // Shows password managers whose password changes.
  byId("password-form").elements.username.defaultValue = username;
  byId("jobs").hidden = !isStaff();
  // A draft is not for the next user.
  if (owner !== username) byId("add").reset();
  owner = username;
  await showTasks();
  if (shown === username) openByHash();
}

function showWelcome({ reason, isFirst }) {
  closeAll();
  hideTasks({ keepDraft: Boolean(reason) });
  byId("welcome-form").querySelector(".form-error").textContent = reason;
  // A page that was just opened does not move the focus.
  if (!isFirst) focusOn(byId("welcome-title"));
}

let renewal;

/** Renew the token before it expires while the page is visible; otherwise the next request does. */
function keepFresh() {
  clearTimeout(renewal);
  const session = current();
  if (!session || document.hidden) return;
  // If the session has ended, session.js reports it.
  renewal = setTimeout(() => insist(token).catch(() => {}), Math.max(freshFor(session), 0));
}

start();
