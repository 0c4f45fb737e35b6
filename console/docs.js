/** The reference: Swagger UI in the system's colour scheme, with the token of the user logged in to the console. */

import { current, onChange, token } from "./session.js";

const SCHEME = "bearer";
// A token that was pasted into the dialog, kept while the tab is open.
const PASTED = "task-api.docs-token";

// The token that this script has entered. Any other is the user's own.
let ours;

function followScheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", apply);
  apply();
}

/** Swagger UI's own storage would keep tokens after the tab is closed. */
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

/** Fill in the dialog for the user who is logged in; a pasted token takes precedence. */
function authorize(session) {
  const pasted = sessionStorage.getItem(PASTED);
  const before = ours;
  ours = pasted ? undefined : session?.access;
  if (pasted ?? ours) ui.preauthorizeApiKey(SCHEME, pasted ?? ours);
  else if (before) ui.authActions.logout([SCHEME]);
}

/** Replace our token in a request with one that is still valid. */
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
// All settings are set here: none is read from the URL, and no other host is contacted.
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
