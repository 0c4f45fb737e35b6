// Its settings are the page's only: nothing is taken from the address, and no other host is asked.
window.ui = SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "/api/openapi.json",
  deepLinking: true,
  queryConfigEnabled: false,
  validatorUrl: null,
  // In memory only: a token in the browser's storage would outlive its use.
  persistAuthorization: false,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
});
