/**
 * The session that all tabs share: a refresh token, and the five-minute access token that it was exchanged for.
 *
 * Both are in localStorage; docs/adr/0017-the-console.md explains why. Other tabs learn of a change from the `storage`
 * event, and read the newest tokens each time they need one.
 */

import { Problem, request } from "./api.js";

const KEY = "task-api.session";
// The last refresh token of an ended session. It grants nothing, but shows at the next login that the user has used
// this browser before: wrong passwords from elsewhere then cannot delay the login (ADR 18).
const LAST = "task-api.last-refresh";
// The fraction of its life after which a token is renewed, so that none expires in transit: 15 s before its end.
const FRESH = 0.95;

const listeners = new Set();

/** @returns {?{username: string, access: string, refresh: string, since: number, until: number}} */
export function current() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

/** Call `listener(session, reason)` at each change, made by any tab. */
export function onChange(listener) {
  listeners.add(listener);
}

addEventListener("storage", (event) => {
  if (event.key === KEY || event.key === null) announce();
});

export async function logIn({ username, password }) {
  const last = localStorage.getItem(LAST);
  const body = { username, password, ...(last && { last_refresh: last }) };
  const { data } = await request("POST", "/api/auth/token", { body });
  localStorage.removeItem(LAST);
  store({ ...timed(data), username: username.normalize("NFKC").trim().toLowerCase() });
}

/** End this session, on the server too; if that does not respond, the session expires there. */
export async function logOut() {
  const session = current();
  forget();
  if (session) await request("POST", "/api/auth/logout", { body: { refresh: session.refresh }, keepalive: true });
}

/** Forget the tokens; `reason` is shown to a user who did not log out. */
export function forget(reason) {
  const session = current();
  if (session) localStorage.setItem(LAST, session.refresh);
  localStorage.removeItem(KEY);
  announce(reason);
}

/** Return whether the access token's user is staff. The API decides; this is only for what to show. */
export function isStaff() {
  return claims(current()?.access).is_staff === true;
}

/** Send a request as the user who is logged in, renewing a token that has expired or is refused. */
export async function call(method, path, options = {}) {
  const send = (access) =>
    request(method, path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${access}` } });
  const access = await token();
  try {
    return await send(access);
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    return send((await renew(access)).access);
  }
}

/** Return an access token that will not expire soon. */
export async function token() {
  const session = current();
  if (!session) throw new Problem(401, { detail: "You are not logged in." });
  return freshFor(session) > 0 ? session.access : (await renew(session.access)).access;
}

/** Return the number of milliseconds until the access token should be renewed. */
export function freshFor({ since, until }) {
  const age = Date.now() - since;
  // A clock that was set back makes a token look younger than it is.
  return age < 0 ? 0 : (until - since) * FRESH - age;
}

/** Exchange the refresh token, unless another tab has done so since `stale` was read. */
export function renew(stale) {
  return exclusively(async () => {
    const session = current();
    if (!session) throw new Problem(401, { detail: "You are not logged in." });
    if (session.access !== stale) return session;
    try {
      const { data } = await request("POST", "/api/auth/token/refresh", { body: { refresh: session.refresh } });
      return store({ ...session, ...timed(data) }, session.refresh);
    } catch (problem) {
      if (problem.status === 401 && current()?.refresh === session.refresh)
        forget("Your session has ended. Log in to continue.");
      throw problem;
    }
  });
}

let queue = Promise.resolve();

/** Run `work` in one tab at a time, on pages from HTTPS or localhost: only these have locks between tabs. Otherwise, or
 * if a tab sees too late what another has stored, the server decides: within 10 s, the same refresh token gets the same
 * successor. */
function exclusively(work) {
  if (navigator.locks) return navigator.locks.request(KEY, work);
  const result = queue.then(work);
  queue = result.catch(() => {});
  return result;
}

/** Store the session, unless the token that it `replaces` was removed by another tab's renewal, or by a logout. */
function store(session, replaces) {
  const kept = current();
  if (replaces && !kept) throw new Problem(401, { detail: "You are not logged in." });
  if (replaces && kept.refresh !== replaces) return kept;
  localStorage.setItem(KEY, JSON.stringify(session));
  announce();
  return session;
}

function announce(reason) {
  for (const listener of listeners) listener(current(), reason);
}

/** Return the session's times by this machine's clock; `exp` is by the server's. */
function timed({ access, refresh, expires_in }) {
  const since = Date.now();
  return { access, refresh, since, until: since + expires_in * 1000 };
}

function claims(access) {
  try {
    return JSON.parse(atob(access.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return {};
  }
}
