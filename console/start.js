/** Load the page again if a part of it was lost on its way: browsers give a module up at the first failure. */

const KEY = "task-api.loaded-again";
const PAUSE = 500;
// Sooner than that after another time, a line on the page tells the person instead.
const NOT_AGAIN_WITHIN = 10_000;

document.querySelector("script[src$='/app.js']").addEventListener("error", () => {
  if (Date.now() - Number(sessionStorage.getItem(KEY)) < NOT_AGAIN_WITHIN) return;
  sessionStorage.setItem(KEY, String(Date.now()));
  setTimeout(() => location.reload(), PAUSE);
});
