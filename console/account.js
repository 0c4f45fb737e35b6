/** The user's sessions, each of which can be ended here, and the password. */

import { insist } from "./connection.js";
import { byId, clone, focusOn, time } from "./dom.js";
import { onSubmit } from "./form.js";
import { panel } from "./panel.js";
import { call, forget } from "./session.js";
import { attempt, say } from "./status.js";

const PATH = "/api/auth/sessions";

let sessions;

export function startAccount() {
  sessions = panel("sessions", { load: () => call("GET", PATH), show: ({ data }) => show(data) });
  onSubmit(byId("end-all"), endAll);
  onSubmit(byId("password-form"), changePassword);
}

function show(list) {
  byId("sessions-list").replaceChildren(...list.map(row));
}

function row({ id, current, user_agent, address, last_used_at, created_at }) {
  const { root, client, here, address: where, used, created, end } = clone("session");
  client.textContent = describe(user_agent);
  client.title = user_agent;
  client.id = `client-${id}`;
  if (!current) here.remove();
  where.textContent = address;
  used.append(time(last_used_at));
  created.append(time(created_at));
  end.setAttribute("aria-describedby", client.id);
  end.onclick = attempt(() => endOne({ id, current, root }));
  return root;
}

async function endOne({ id, current, root }) {
  await insist(() => call("DELETE", `${PATH}/${id}`)).catch((problem) => {
    // It had already ended.
    if (problem.status !== 404) throw problem;
  });
  if (current) return forget("You ended this session.");
  focusOn(root.nextElementSibling ?? root.previousElementSibling ?? byId("sessions-toggle"));
  root.remove();
  say("Session ended.");
}

async function endAll() {
  await insist(() => call("DELETE", PATH));
  forget("You are logged out everywhere.");
}

async function changePassword({ current, new: wanted }) {
  await call("POST", "/api/auth/password", { body: { current, new: wanted } });
  byId("password-form").reset();
  say("Password changed. Your other sessions have ended.");
  await sessions.reload();
}

/** Return "Firefox on Linux", or the first word if it is not a browser. Only a hint: a client may send anything. */
export function describe(agent) {
  const find = (table) => table.find(([pattern]) => pattern.test(agent))?.[1];
  const browser = find([
    [/\bEdg\w*\//, "Edge"],
    [/\bOPR\//, "Opera"],
    [/\bFirefox\//, "Firefox"],
    [/\b(Headless)?Chrome\//, "Chrome"],
    [/\bSafari\//, "Safari"],
  ]);
  const system = find([
    [/Android/, "Android"],
    [/iPhone|iPad/, "iOS"],
    [/Windows/, "Windows"],
    [/Mac OS X/, "macOS"],
    [/CrOS/, "ChromeOS"],
    [/Linux/, "Linux"],
  ]);
  if (browser) return system ? `${browser} on ${system}` : browser;
  return agent.split(/[\s/]/)[0] || "Unknown client";
}
