"""Define every problem type (RFC 9457) that the API responds with, the gateway's own included.

``make openapi`` generates docs/problems.md, the page behind each type's URI and the OpenAPI document from this list; a
test compares the gateway's template with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of error: ``type`` is its URI, ``detail`` the text for occurrences without a more precise one.

    ``meaning`` and ``advice`` are for people: what happened, and what to do.
    """

    status: int
    slug: str
    detail: str
    meaning: str
    advice: str

    @property
    def type(self) -> str:
        """Return an absolute path, which leads to the type's page on the API's host (RFC 9457, section 3.1.1)."""
        return f"/problems/{self.slug}"

    @property
    def title(self) -> str:
        """Return the title; not http.HTTPStatus's phrase, which differs between versions of Python."""
        return self.slug.replace("-", " ").title().replace("Uri", "URI").replace("Http", "HTTP")


BAD_REQUEST = Problem(
    status=400,
    slug="bad-request",
    detail="The request is malformed.",
    meaning="The body, the query or a header is not valid for this operation. If fields are at fault, the member "
    "`errors` lists what is wrong with each; `body` stands for the body as a whole. Nothing was changed.",
    advice="Correct the request; repeated unchanged, it will fail again.",
)
# The detail of a 400 that has errors.
INVALID_FIELDS = "Some fields are not valid."
UNAUTHORIZED = Problem(
    status=401,
    slug="unauthorized",
    detail="An access token is required: Authorization: Bearer <access token>.",
    meaning="No access token was sent, or it is not valid: it has expired (after five minutes), its session has "
    "ended, or it was not issued here. At `POST /api/auth/token`: the username or password is wrong, or the account "
    "is not active; the response does not reveal which.",
    advice="Get new tokens with `POST /api/auth/token/refresh` and repeat the request; if that is a 401 too, log in.",
)
FORBIDDEN = Problem(
    status=403,
    slug="forbidden",
    detail="You may not do this.",
    meaning="The token is valid, but its user may not make this request. Background jobs are for staff.",
    advice="Use an account with that permission; another token of the same user changes nothing.",
)
NOT_FOUND = Problem(
    status=404,
    slug="not-found",
    detail="There is nothing here, or it is not yours.",
    meaning="Nothing exists at this path, or it belongs to another user; the two responses are the same.",
    advice="Check the path. The resource may have been deleted.",
)
METHOD_NOT_ALLOWED = Problem(
    status=405,
    slug="method-not-allowed",
    detail="This method is not allowed here; see the Allow header.",
    meaning="The path exists, but does not support this method.",
    advice="Use one of the methods that the `Allow` header lists.",
)
CONFLICT = Problem(
    status=409,
    slug="conflict",
    detail="The resource's current state does not allow this.",
    meaning="The request is valid, but the current state of the resource does not allow it; `detail` says why. A job, "
    "for example, has only one run at a time. Nothing was changed.",
    advice="Read the current state, and repeat the request when the state allows it.",
)
PRECONDITION_FAILED = Problem(
    status=412,
    slug="precondition-failed",
    detail="The current version of the resource does not meet the conditions of the request; read it again.",
    meaning="`If-Match` names a version that is no longer current: the resource has changed since you read it, perhaps "
    "by an earlier attempt of yours whose response was lost. Or the `If-None-Match` of a change names the current "
    "version. This request changed nothing.",
    advice="Read the resource again, and if the change still applies, send it with the new `ETag`.",
)
PAYLOAD_TOO_LARGE = Problem(
    status=413,
    slug="payload-too-large",
    detail="A body must not exceed 65536 bytes.",
    meaning="A body must not exceed 65,536 bytes.",
    advice="Send a smaller body.",
)
URI_TOO_LONG = Problem(
    status=414,
    slug="uri-too-long",
    detail="The URI is too long.",
    meaning="The request line, which contains the path and the query, is longer than the gateway reads (8 KiB).",
    advice="Shorten the query.",
)
UNSUPPORTED_MEDIA_TYPE = Problem(
    status=415,
    slug="unsupported-media-type",
    detail="Send application/json, in UTF-8.",
    meaning="The body is not declared as `application/json`, has a charset other than UTF-8, or is compressed.",
    advice="Send `Content-Type: application/json` and no `Content-Encoding`.",
)
RANGE_NOT_SATISFIABLE = Problem(
    status=416,
    slug="range-not-satisfiable",
    detail="The page has no such range.",
    meaning="A `Range` header requests a part that the page or file does not have.",
    advice="Request the whole of it, without `Range`.",
)
UNPROCESSABLE_CONTENT = Problem(
    status=422,
    slug="unprocessable-content",
    detail="This Idempotency-Key was already used with another body.",
    meaning="You sent this `Idempotency-Key` less than 24 hours ago with another body. This request changed nothing.",
    advice="Use a new key for a new body. To repeat the earlier request, send its body unchanged.",
)
TOO_MANY_REQUESTS = Problem(
    status=429,
    slug="too-many-requests",
    detail="Too many attempts; the Retry-After header says when to try again.",
    meaning="Your IP address has called register, token, refresh or password too often within a second; or your IP "
    "address has too many requests in progress; or there were too many wrong passwords for this account or from this "
    "address, so that no password is checked for a while.",
    advice="Wait for the number of seconds in `Retry-After`, then repeat the request.",
)
REQUEST_HEADER_FIELDS_TOO_LARGE = Problem(
    status=431,
    slug="request-header-fields-too-large",
    detail="A request header is too large.",
    meaning="One header, or all of them together, exceed what the gateway reads (8 KiB for one).",
    advice="Send fewer or smaller headers.",
)
INTERNAL_SERVER_ERROR = Problem(
    status=500,
    slug="internal-server-error",
    detail="An internal error occurred; it is logged under the request id.",
    meaning="A defect of this API. It is logged with the `request_id` of the response.",
    advice="Report the `request_id` to the operator. You may repeat a GET, PUT or DELETE; before you repeat a POST or "
    "PATCH, check whether it took effect.",
)
NOT_IMPLEMENTED = Problem(
    status=501,
    slug="not-implemented",
    detail="The request uses a part of HTTP that is not supported.",
    meaning="The request uses a part of HTTP that the gateway does not support, such as an unusual transfer encoding.",
    advice="Use a common HTTP client.",
)
BAD_GATEWAY = Problem(
    status=502,
    slug="bad-gateway",
    detail="The service behind this path cannot be reached.",
    meaning="The gateway could not reach the service, or got no complete response from it.",
    advice="Try again after `Retry-After` seconds, and wait longer each time. Before you repeat a POST or PATCH, check "
    "whether it took effect.",
)
SERVICE_UNAVAILABLE = Problem(
    status=503,
    slug="service-unavailable",
    detail="A part of the system is unavailable. Try again soon.",
    meaning="A part that the request needs is unavailable, usually the database. `GET /readyz` names it.",
    advice="Try again after `Retry-After` seconds, and wait longer each time.",
)
GATEWAY_TIMEOUT = Problem(
    status=504,
    slug="gateway-timeout",
    detail="The service behind this path did not respond in time.",
    meaning="The service did not respond within 15 seconds.",
    advice="As for 502: check whether a POST or PATCH took effect, then try again after `Retry-After` seconds.",
)
HTTP_VERSION_NOT_SUPPORTED = Problem(
    status=505,
    slug="http-version-not-supported",
    detail="This version of HTTP is not supported.",
    meaning="The request line names a version of HTTP that the gateway does not support.",
    advice="Use HTTP/1.1.",
)

PROBLEMS: Mapping[int, Problem] = {
    problem.status: problem
    for problem in (
        BAD_REQUEST,
        UNAUTHORIZED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        CONFLICT,
        PRECONDITION_FAILED,
        PAYLOAD_TOO_LARGE,
        URI_TOO_LONG,
        UNSUPPORTED_MEDIA_TYPE,
        RANGE_NOT_SATISFIABLE,
        UNPROCESSABLE_CONTENT,
        TOO_MANY_REQUESTS,
        REQUEST_HEADER_FIELDS_TOO_LARGE,
        INTERNAL_SERVER_ERROR,
        NOT_IMPLEMENTED,
        BAD_GATEWAY,
        SERVICE_UNAVAILABLE,
        GATEWAY_TIMEOUT,
        HTTP_VERSION_NOT_SUPPORTED,
    )
}


@dataclass(frozen=True, slots=True)
class Unlisted:
    """An error described by its status alone (RFC 9457, section 4.2.1)."""

    status: int
    detail: str
    type: str = "about:blank"

    @property
    def title(self) -> str:
        """Return the status's reason phrase."""
        return responses.get(self.status, "Error")
