/** Rename a task in place if it is unchanged (If-Match); otherwise, show both titles and let the user choose. */

import { insist } from "./connection.js";
import { clone } from "./dom.js";
import { onSubmit } from "./form.js";
import { call } from "./session.js";
import { say } from "./status.js";

export function startRename(item) {
  const { root: form, input, cancel, edit, conflict, theirs, mine, keepTheirs, useMine } = clone("rename");
  // The title that the user edits: a newer one is a conflict.
  let base = item.title;
  // A list has no versions: fetch this task's while the user types.
  const version = item.etag ? Promise.resolve() : refresh(item);
  version.then(adopt, () => {}); // An error is reported when the form is sent.

  function adopt() {
    if (input.value !== base) return;
    base = input.value = item.title;
  }
  async function save() {
    const wanted = input.value.trim();
    try {
      await version;
      if (item.title !== base) return choose(wanted);
      item.update(await patch(item, input.value));
    } catch (problem) {
      if (problem.status === 404) return gone();
      if (problem.status !== 412) throw problem;
      await refresh(item);
      // The wanted title means that an earlier try succeeded and its response was lost.
      if (item.title !== wanted) return choose(wanted);
    }
    close();
    say(`Renamed to “${item.title}”.`);
  }
  function choose(wanted) {
    theirs.textContent = item.title;
    mine.textContent = wanted;
    show({ conflict: true });
    keepTheirs.focus();
  }
  function show({ conflict: isConflict }) {
    edit.hidden = isConflict;
    conflict.hidden = !isConflict;
  }
  function gone() {
    close();
    item.leave();
    say(`“${item.title}” was deleted elsewhere.`);
  }
  function close() {
    form.replaceWith(item.view);
    item.rename.focus();
  }

  onSubmit(form, save);
  cancel.onclick = close;
  keepTheirs.onclick = close;
  useMine.onclick = () => {
    base = item.title;
    show({ conflict: false });
    input.focus();
    form.requestSubmit();
  };
  form.addEventListener("keydown", (event) => event.key === "Escape" && close());
  input.value = base;
  item.view.replaceWith(form);
  input.focus();
  input.select();
}

async function refresh(item) {
  item.update(await insist(() => call("GET", item.path)));
}

function patch({ path, etag }, title) {
  return insist(() => call("PATCH", path, { body: { title }, headers: { "If-Match": etag } }));
}
