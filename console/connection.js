/** Report that the server does not respond, and continue when it does. */

import { byId } from "./dom.js";

const LONGEST = 30;

const waiting = new Set();
let ticking, remaining;

/**
 * Repeat `send` until the server responds. It must be safe to repeat: a read, a change with If-Match, a POST with an
 * Idempotency-Key.
 */
export async function insist(send) {
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST)) {
    try {
      const result = await send();
      recovered();
      return result;
    } catch (problem) {
      if (!problem.passing) {
        recovered();
        throw problem;
      }
      await next(problem, Math.max(pause, problem.retryAfter));
    }
  }
}

/** Wait for the next try, which all waiting requests share. */
function next(problem, pause) {
  return new Promise((resolve) => {
    waiting.add(resolve);
    byId("connection-text").textContent = reason(problem);
    byId("connection").hidden = false;
    if (ticking) return;
    remaining = pause;
    tick();
    ticking = setInterval(tick, 1000);
  });
}

function tick() {
  byId("connection-countdown").textContent = navigator.onLine ? `Trying again in ${remaining} s.` : "";
  if (remaining-- <= 0 && navigator.onLine) tryNow();
}

function tryNow() {
  clearInterval(ticking);
  ticking = undefined;
  byId("connection-countdown").textContent = waiting.size ? "Trying…" : "";
  for (const resolve of waiting) resolve();
  waiting.clear();
}

function recovered() {
  if (!waiting.size) byId("connection").hidden = true;
}

function reason(problem) {
  if (!navigator.onLine) return "You are offline.";
  if (problem.status === 0) return "The server cannot be reached.";
  return `${problem.message} (${problem.status})`;
}

export function startConnection() {
  byId("connection-retry").onclick = tryNow;
  addEventListener("online", tryNow);
}
