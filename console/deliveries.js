/** A webhook's deliveries, shown below it on request; each can be sent again. */

import { insist } from "./connection.js";
import { clone, count, h, seconds, time } from "./dom.js";
import { call } from "./session.js";
import { attempt, say } from "./status.js";

// The first attempt follows within about a second; the list is reloaded for later ones only if they are due soon.
const RELOAD_DELAY = 1500;
const SOON = 60_000;
const TONES = { delivered: "good", dead: "bad" };

export function startDeliveries({ deliveries: details, list, none, older, refresh }, webhookPath) {
  const path = `${webhookPath}/deliveries`;
  // Rows are updated in place: their button may have the focus.
  const rows = new Map();
  let next = null;
  let timer;

  async function showNewest() {
    const page = await insist(() => call("GET", path));
    // No overlap with the rows: this is the first page, or deliveries between them are missing.
    if (!page.data.some(({ id }) => rows.has(id))) {
      rows.clear();
      list.replaceChildren();
      next = page.next;
    }
    for (const delivery of page.data.toReversed()) put(delivery, (root) => list.prepend(root));
    showEnd();
    scheduleReload(page.data);
  }
  async function showOlder() {
    const page = await insist(() => call("GET", next));
    for (const delivery of page.data) put(delivery, (root) => list.append(root));
    next = page.next;
    showEnd();
  }
  function put(delivery, insert) {
    if (!rows.has(delivery.id)) {
      rows.set(delivery.id, row(`${path}/${delivery.id}`, reload));
      insert(rows.get(delivery.id).root);
    }
    rows.get(delivery.id).update(delivery);
  }
  function showEnd() {
    older.hidden = !next;
    none.hidden = rows.size > 0;
  }
  function scheduleReload(deliveries) {
    clearTimeout(timer);
    const due = Math.min(...deliveries.map(({ next_attempt_at: at }) => (at ? Date.parse(at) - Date.now() : Infinity)));
    if (due < SOON) timer = setTimeout(() => list.isConnected && reload(), Math.max(due, 0) + RELOAD_DELAY);
  }

  const reload = attempt(showNewest);
  details.addEventListener("toggle", () => (details.open ? reload() : clearTimeout(timer)));
  older.onclick = attempt(showOlder);
  refresh.onclick = reload;
  return {
    async open() {
      if (details.open) await reload();
      details.open = true;
    },
  };
}

function row(path, reload) {
  const { root, state, event, facts, response, again } = clone("delivery");
  again.onclick = attempt(async () => {
    await call("POST", `${path}/redelivery`);
    say("Sending the delivery again.");
    await reload();
  });
  function update(delivery) {
    state.textContent = delivery.state;
    state.dataset.tone = TONES[delivery.state] ?? "waiting";
    event.textContent = delivery.type;
    event.id = `delivery-${delivery.id}`;
    again.setAttribute("aria-describedby", event.id);
    facts.replaceChildren(...describe(delivery).flatMap((fact, index) => (index ? [" · ", fact] : [fact])));
    response.hidden = !delivery.response;
    response.textContent = delivery.response ?? "";
  }
  return { root, update };
}

function describe({ created_at, attempts, status, error, latency_ms, next_attempt_at }) {
  return [
    time(created_at),
    count(attempts, "attempt"),
    error ?? (status && `status ${status}`),
    latency_ms != null && seconds(latency_ms / 1000),
    next_attempt_at && h("span", {}, "next ", time(next_attempt_at)),
  ].filter(Boolean);
}
