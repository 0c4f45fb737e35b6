/** Reload the page if a part of it failed to load: browsers do not retry a module. */

const KEY = "task-api.loaded-again";
const PAUSE = 500;
// If the last reload was more recent, a line on the page tells the user instead.
const NOT_AGAIN_WITHIN = 10_000;

document.querySelector("script[src$='/app.js']").addEventListener("error", () => {
  if (Date.now() - Number(sessionStorage.getItem(KEY)) < NOT_AGAIN_WITHIN) return;
  sessionStorage.setItem(KEY, String(Date.now()));
  setTimeout(() => location.reload(), PAUSE);
});
