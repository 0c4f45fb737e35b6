/** The reference, by Swagger UI: in the system's color scheme, with the token of the person logged in to the console. */

import { current, onChange, token } from "./session.js";

const SCHEME = "bearer";
// A token that was pasted into the dialog, for as long as the tab is open.
const PASTED = "task-api.docs-token";

// The token that we have put in ourselves. Any other is the person's own.
let ours;

function followScheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", apply);
  apply();
}

/** Swagger UI's own storage would keep tokens beyond the life of the tab. */
const keepPasted = {
  statePlugins: {
    auth: {
      wrapActions: {
        authorize: (original) => (payload) => {
          const value = payload[SCHEME]?.value;
          if (value && value !== ours) sessionStorage.setItem(PASTED, value);
          return original(payload);
        },
        logout: (original) => (payload) => {
          sessionStorage.removeItem(PASTED);
          return original(payload);
        },
      },
    },
  },
};

function showPerson(session) {
  document.getElementById("person").textContent = session ? `Logged in as ${session.username}` : "";
}

/** Fill the dialog in as the person who is logged in; a token that was pasted takes precedence. */
function authorize(session) {
  const pasted = sessionStorage.getItem(PASTED);
  const before = ours;
  ours = pasted ? undefined : session?.access;
  if (pasted ?? ours) ui.preauthorizeApiKey(SCHEME, pasted ?? ours);
  else if (before) ui.authActions.logout([SCHEME]);
}

/** Replace our token in a request by one that is still valid. */
async function renewed(request) {
  if (ours && request.headers.Authorization === `Bearer ${ours}`) {
    const fresh = await token().catch(() => ours);
    request.headers.Authorization = `Bearer ${fresh}`;
  }
  return request;
}

followScheme();
showPerson(current());
onChange(showPerson);
// Its settings are the page's only: nothing is taken from the address, and no other host is asked.
const ui = SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "/api/openapi.json",
  deepLinking: true,
  queryConfigEnabled: false,
  validatorUrl: null,
  persistAuthorization: false,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  plugins: [keepPasted],
  requestInterceptor: renewed,
  onComplete() {
    authorize(current());
    onChange(authorize);
  },
});
