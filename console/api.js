/** Requests to the API. Every failure is a Problem (RFC 9457), even without a response. */

const TIMEOUT = 20_000;

export class Problem extends Error {
  /** @param {number} status 0 if there was no response */
  constructor(status, body = {}, headers = new Headers()) {
    super(body.detail || body.title || `The server responded with status ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.errors = body.errors ?? {};
    this.requestId = body.request_id ?? headers.get("X-Request-ID");
    this.body = body;
    // The API sends seconds; RFC 9110 also allows a date, which is treated as 0.
    this.retryAfter = Number.parseInt(headers.get("Retry-After"), 10) || 0;
  }

  /** Return whether the same request may succeed later. */
  get passing() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

/**
 * Send a request and read the whole response.
 *
 * @returns {Promise<{status: number, data: any, etag: ?string, next: ?string, headers: Headers}>}
 * @throws {Problem} for every status from 400; with status 0 if there is no response
 */
export async function request(method, path, { body, headers, ...options } = {}) {
  let response, text;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      signal: AbortSignal.timeout(TIMEOUT),
      ...options,
    });
    text = await response.text();
  } catch {
    throw new Problem(0, { detail: "The server cannot be reached." });
  }
  const data = parse(text);
  if (!response.ok) throw new Problem(response.status, data, response.headers);
  return {
    status: response.status,
    data,
    etag: response.headers.get("ETag"),
    next: nextPage(response.headers.get("Link")),
    headers: response.headers,
  };
}

/** Parse JSON. An id above 2^53, which a number would round, is returned as the text that was sent. */
function parse(text) {
  const exact = (_key, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) ? (context?.source ?? value) : value;
  try {
    return JSON.parse(text, exact);
  } catch {
    return undefined; // A 204, or a proxy's page.
  }
}

/** Return the path of rel="next" in a Link header (RFC 8288), without the origin, which a proxy may change. */
function nextPage(link) {
  const target = link?.match(/<([^>]*)>\s*;[^,]*\brel="?next\b/)?.[1];
  if (!target) return null;
  const url = new URL(target, location.href);
  return url.pathname + url.search;
}
