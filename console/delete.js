/**
 * Delete a task, with an undo.
 *
 * The row is removed immediately and the request is sent a few seconds later, so that an undo restores the same task,
 * with its id and time. A page that is left in the meantime sends the request then, and again if it is reopened.
 */

import { insist } from "./connection.js";
import { call } from "./session.js";
import { say, settle } from "./status.js";

// In sessionStorage: for this tab only, and across reloads.
const KEY = "task-api.deleting";

addEventListener("pagehide", settle);

export function startDelete(item) {
  const { path, etag, title } = item;
  const putBack = item.leave();
  sessionStorage.setItem(KEY, JSON.stringify({ path, etag }));
  say(`“${title}” deleted.`, {
    undo() {
      sessionStorage.removeItem(KEY);
      putBack();
      item.remove.focus();
    },
    async commit() {
      const failure = await remove({ path, etag });
      if (!failure) return;
      putBack();
      say(`“${title}” was not deleted: ${failure}`);
    },
  });
}

/** Send the request that an earlier page of this tab did not complete. */
export async function finishDeletion() {
  const deletion = unsent();
  if (deletion) await remove(deletion);
}

function unsent() {
  return JSON.parse(sessionStorage.getItem(KEY));
}

/** Send the request; return why the task was not deleted, or null. */
async function remove({ path, etag }) {
  const headers = etag ? { "If-Match": etag } : {};
  try {
    await insist(() => call("DELETE", path, { headers, keepalive: true }));
  } catch (problem) {
    if (problem.status === 412) return "it was renamed elsewhere.";
    if (problem.status !== 404) return problem.message;
  } finally {
    // By now, it may belong to the next deletion.
    if (unsent()?.path === path) sessionStorage.removeItem(KEY);
  }
  return null;
}
