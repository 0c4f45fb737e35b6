/**
 * Delete a task, with an undo.
 *
 * The row goes at once and the request a few seconds later, so that taking it back restores the very task, with its id
 * and its time. A page that is left meanwhile sends the request as it goes, and once more should it come back.
 */

import { insist } from "./connection.js";
import { call } from "./session.js";
import { say, settle } from "./status.js";

// Of this tab alone, also over a reload.
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

/** Send the request that an earlier page of this tab could not. */
export async function finishDeletion() {
  const deletion = unsent();
  if (deletion) await remove(deletion);
}

function unsent() {
  return JSON.parse(sessionStorage.getItem(KEY));
}

/** Send the request; return why the task is still there, if it is. */
async function remove({ path, etag }) {
  const headers = etag ? { "If-Match": etag } : {};
  try {
    await insist(() => call("DELETE", path, { headers, keepalive: true }));
  } catch (problem) {
    if (problem.status === 412) return "it was renamed elsewhere.";
    if (problem.status !== 404) return problem.message;
  } finally {
    // It may be that of the next deletion meanwhile.
    if (unsent()?.path === path) sessionStorage.removeItem(KEY);
  }
  return null;
}
