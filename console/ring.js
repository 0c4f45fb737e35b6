/** The ring beside the name: the time left of the access token's five minutes. */

import { byId } from "./dom.js";

let animation;

export function drawRing({ since, until }) {
  animation?.cancel();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const life = until - since;
  // From full to empty along the circle's length, which pathLength makes 1. With reduced motion, in steps of a minute.
  animation = byId("ring").animate([{ strokeDashoffset: 0 }, { strokeDashoffset: 1 }], {
    duration: life,
    easing: still ? "steps(5, jump-start)" : "linear",
    fill: "forwards",
  });
  animation.currentTime = Math.max(0, Date.now() - since);
}
