/**
 * The session that all tabs share: a refresh token, and the access token of five minutes that it was exchanged for.
 *
 * Both are in localStorage; docs/adr/0017-the-console.md says why. Other tabs learn of a change by the `storage`
 * event, and read the newest tokens each time they need one.
 */

import { Problem, request } from "./api.js";

const KEY = "task-api.session";
// The last refresh token of a session that is over. It opens nothing any more, and shows at the next login that this browser
// is one that the person has used: wrong passwords of others then cannot delay this login (ADR 18).
const LAST = "task-api.last-refresh";
// The part of its life after which a token is renewed, so that none expires on its way: 15 s before the end of five minutes.
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

/** Call `listener(session, reason)` at each change, whichever tab has made it. */
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

/** End this session on the server too; without an answer, it ends there by itself. */
export async function logOut() {
  const session = current();
  forget();
  if (session) await request("POST", "/api/auth/logout", { body: { refresh: session.refresh }, keepalive: true });
}

/** Forget the tokens; `reason` is for the person who did not ask for it. */
export function forget(reason) {
  const session = current();
  if (session) localStorage.setItem(LAST, session.refresh);
  localStorage.removeItem(KEY);
  announce(reason);
}

/** Whether the access token says that its user is staff. The API decides; this is for what to show. */
export function isStaff() {
  return claims(current()?.access).is_staff === true;
}

/** Send a request as the person who is logged in; a token that has expired, or is refused, is renewed first. */
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

/** An access token that is good for a while yet. */
export async function token() {
  const session = current();
  if (!session) throw new Problem(401, { detail: "You are not logged in." });
  return freshFor(session) > 0 ? session.access : (await renew(session.access)).access;
}

/** For how many milliseconds the access token need not be renewed. */
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
        forget("Your session has ended. Log in to go on.");
      throw problem;
    }
  });
}

let queue = Promise.resolve();

/** Run `work` in one tab at a time, on pages from HTTPS or localhost: others have no locks between tabs. Without one, and
 * where the browser shows one tab too late what another has stored, the server's answer decides: the same refresh token
 * within 10 s has the same successor. */
function exclusively(work) {
  if (navigator.locks) return navigator.locks.request(KEY, work);
  const result = queue.then(work);
  queue = result.catch(() => {});
  return result;
}

/** Keep the session, unless what it `replaces` has gone meanwhile: by another tab's renewal, or a logout. */
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

/** By this machine's clock: what `exp` says is by the server's. */
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
