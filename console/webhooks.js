/** Webhooks: URLs that are notified of changes to the user's tasks, signed with a secret that is shown once. */

import { insist } from "./connection.js";
import { startDeliveries } from "./deliveries.js";
import { byId, clone, focusOn } from "./dom.js";
import { clearErrors, onSubmit } from "./form.js";
import { panel } from "./panel.js";
import { call } from "./session.js";
import { attempt, say } from "./status.js";

const PATH = "/api/webhooks";

export function startWebhooks() {
  panel("webhooks", { load: () => call("GET", PATH), show: ({ data }) => show(data), closed });
  onSubmit(byId("webhook-form"), add);
  byId("secret-copy").onclick = copySecret;
  byId("secret-done").onclick = () => {
    hideSecret();
    focusOn(byId("webhooks-toggle"));
  };
}

function show(webhooks) {
  byId("webhooks-list").replaceChildren(...webhooks.map(row));
  showEmpty();
}

function showEmpty() {
  byId("webhooks-empty").hidden = byId("webhooks-list").children.length > 0;
}

function closed() {
  hideSecret();
  clearErrors(byId("webhook-form"));
  // Without the rows, their timers do nothing.
  byId("webhooks-list").replaceChildren();
}

async function add({ url }) {
  const checked = byId("webhook-form").querySelectorAll("[name=events]:checked");
  const events = Array.from(checked, ({ value }) => value);
  // Sent once: the response contains the secret, and a second try would create a second webhook.
  const { data } = await call("POST", PATH, { body: { url, events } });
  byId("webhook-form").reset();
  byId("webhooks-list").prepend(row(data));
  showEmpty();
  showSecret(data);
  say("Webhook added.");
}

function row(webhook) {
  const { root, url, events, off, reason, test, toggle, renew, remove, ...refs } = clone("webhook");
  const path = `${PATH}/${webhook.id}`;
  const deliveries = startDeliveries(refs, path);
  url.id = `webhook-${webhook.id}`;
  for (const button of [test, toggle, renew, remove, refs.summary]) button.setAttribute("aria-describedby", url.id);

  function update(data) {
    webhook = data;
    url.textContent = webhook.url;
    events.textContent = webhook.events.join(", ");
    off.hidden = webhook.enabled;
    reason.textContent = webhook.enabled ? "" : (webhook.disabled_reason ?? "");
    toggle.textContent = webhook.enabled ? "Disable" : "Enable";
  }
  test.onclick = attempt(async () => {
    await call("POST", `${path}/test`);
    say("Test sent.");
    await deliveries.open();
  });
  toggle.onclick = attempt(async () => {
    const { data } = await insist(() => call("PATCH", path, { body: { enabled: !webhook.enabled } }));
    update(data);
    say(webhook.enabled ? "Webhook enabled." : "Webhook disabled.");
  });
  renew.onclick = attempt(async () => {
    showSecret((await call("POST", `${path}/secret`)).data);
    say("Secret renewed. For a day, the previous one signs deliveries as well.");
  });
  remove.onclick = attempt(async () => {
    await insist(() => call("DELETE", path)).catch(unless404);
    focusOn(root.nextElementSibling ?? root.previousElementSibling ?? byId("webhooks-toggle"));
    root.remove();
    showEmpty();
    say("Webhook removed.");
  });
  update(webhook);
  return root;
}

function unless404(problem) {
  if (problem.status !== 404) throw problem;
}

function showSecret({ secret }) {
  byId("secret-value").textContent = secret;
  byId("secret").hidden = false;
  focusOn(byId("secret"));
}

function hideSecret() {
  byId("secret").hidden = true;
  byId("secret-value").textContent = "";
}

/** Copy the secret, or only select it: pages that are not from HTTPS or localhost have no clipboard. */
async function copySecret() {
  getSelection().selectAllChildren(byId("secret-value"));
  await navigator.clipboard?.writeText(byId("secret-value").textContent);
  say(navigator.clipboard ? "Secret copied." : "Secret selected; copy it with your keyboard.");
}
