"""The one list of the problem types (RFC 9457) that the API answers with, the gateway's own included.

docs/problems.md, the page behind each type's URI and the OpenAPI document are made from it by ``make openapi``; a test
holds the gateway's template against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of error: ``type`` is its URI, ``detail`` what is said of it when there is nothing more precise.

    ``meaning`` and ``advice`` are for people: what has happened, and what to do.
    """

    status: int
    slug: str
    detail: str
    meaning: str
    advice: str

    @property
    def type(self) -> str:
        """A path from the root: where the API is, it leads to the page (RFC 9457, section 3.1.1)."""
        return f"/problems/{self.slug}"

    @property
    def title(self) -> str:
        """Not from http.HTTPStatus, whose words differ between versions of Python."""
        return self.slug.replace("-", " ").title().replace("Uri", "URI").replace("Http", "HTTP")


BAD_REQUEST = Problem(
    status=400,
    slug="bad-request",
    detail="The request is malformed.",
    meaning="The body, the query or a header is not what this call takes. Where fields are at fault, the member "
    "`errors` names each with what is wrong with it; `body` stands for the body as a whole. Nothing was changed.",
    advice="Correct the request; the same one will fail again.",
)
# The detail of a 400 that has errors.
INVALID_FIELDS = "Some fields are not valid."
UNAUTHORIZED = Problem(
    status=401,
    slug="unauthorized",
    detail="An access token is required: Authorization: Bearer <access token>.",
    meaning="No access token was sent, or it is not valid: it has expired (after five minutes), its session was "
    "ended, or it was not issued here. At `POST /api/auth/token`: username or password are wrong, or the account is "
    "not active; which of them is not told.",
    advice="Get new tokens by `POST /api/auth/token/refresh` and repeat the call; where that is a 401 too, log in.",
)
FORBIDDEN = Problem(
    status=403,
    slug="forbidden",
    detail="You may not do this.",
    meaning="The token is valid, and its user may not make this call. Background jobs are for staff.",
    advice="Use an account that may; another token of the same user changes nothing.",
)
NOT_FOUND = Problem(
    status=404,
    slug="not-found",
    detail="There is nothing here, or it is not yours.",
    meaning="Nothing is at this address, or what is there belongs to somebody else; the two answers are the same.",
    advice="Check the address. What was there before may have been deleted.",
)
METHOD_NOT_ALLOWED = Problem(
    status=405,
    slug="method-not-allowed",
    detail="This method is not allowed here; see the Allow header.",
    meaning="The address exists and does not take this method.",
    advice="The `Allow` header lists the methods that it takes.",
)
CONFLICT = Problem(
    status=409,
    slug="conflict",
    detail="The state of what this is about does not allow it now.",
    meaning="The request is right in itself, and the state of what it is about does not allow it now; `detail` says "
    "why. A job, for one, has one run at a time. Nothing was changed.",
    advice="Read the current state, and repeat the call once it allows it.",
)
PRECONDITION_FAILED = Problem(
    status=412,
    slug="precondition-failed",
    detail="It is at another version than the conditions of the request ask for; read it again.",
    meaning="`If-Match` names a version that is no longer the current one: somebody has changed it since it was read, "
    "perhaps you, by an attempt whose answer was lost. Or `If-None-Match` of a change names the current one. Nothing "
    "was changed by this request.",
    advice="Read it again, decide anew, and send the change with the new `ETag`.",
)
PAYLOAD_TOO_LARGE = Problem(
    status=413,
    slug="payload-too-large",
    detail="A body may have 65536 bytes at most.",
    meaning="A body may have 65,536 bytes at most.",
    advice="Send less.",
)
URI_TOO_LONG = Problem(
    status=414,
    slug="uri-too-long",
    detail="The address is too long.",
    meaning="The request line, which holds the address with its query, is larger than the gateway reads (8 KiB).",
    advice="Shorten the query.",
)
UNSUPPORTED_MEDIA_TYPE = Problem(
    status=415,
    slug="unsupported-media-type",
    detail="Send application/json, in UTF-8.",
    meaning="The body is not declared as `application/json`, or has another charset than UTF-8, or is compressed.",
    advice="Send `Content-Type: application/json` and no `Content-Encoding`.",
)
RANGE_NOT_SATISFIABLE = Problem(
    status=416,
    slug="range-not-satisfiable",
    detail="The page has no such range.",
    meaning="A `Range` header asks for a part of a page or file that it does not have.",
    advice="Ask for the whole.",
)
UNPROCESSABLE_CONTENT = Problem(
    status=422,
    slug="unprocessable-content",
    detail="This Idempotency-Key was sent before, with another body.",
    meaning="The `Idempotency-Key` belongs to an earlier request of yours, less than 24 hours ago, whose body was "
    "another one. Nothing was changed by this request.",
    advice="Send a new key with a new body. To repeat the earlier request, send its body unchanged.",
)
TOO_MANY_REQUESTS = Problem(
    status=429,
    slug="too-many-requests",
    detail="Too many attempts; the Retry-After header says when to go on.",
    meaning="This address has called register, token, refresh or password too often in a second; or too many wrong "
    "passwords were tried, on this account or from this address, and even the right one is not looked at for a while.",
    advice="Wait for as many seconds as `Retry-After` says, then repeat the call.",
)
REQUEST_HEADER_FIELDS_TOO_LARGE = Problem(
    status=431,
    slug="request-header-fields-too-large",
    detail="A request header is too large.",
    meaning="One header, or all together, are larger than the gateway reads (8 KiB for one).",
    advice="Send fewer or smaller headers.",
)
INTERNAL_SERVER_ERROR = Problem(
    status=500,
    slug="internal-server-error",
    detail="Something went wrong here; the request id is logged.",
    meaning="A defect of ours. It is logged, with the `request_id` of the answer.",
    advice="Tell the operator the `request_id`. A GET, PUT or DELETE may be repeated; whether a POST or PATCH took "
    "effect has to be looked up first.",
)
NOT_IMPLEMENTED = Problem(
    status=501,
    slug="not-implemented",
    detail="The request uses a part of HTTP that is not supported here.",
    meaning="The request uses a part of HTTP that the gateway does not know, such as an unusual transfer encoding.",
    advice="Use a common HTTP client.",
)
BAD_GATEWAY = Problem(
    status=502,
    slug="bad-gateway",
    detail="The service behind this address cannot be reached.",
    meaning="The gateway could not reach the service, or got no complete answer from it.",
    advice="Try again after `Retry-After` seconds, each time later than before. Whether a POST or PATCH took effect "
    "has to be looked up first.",
)
SERVICE_UNAVAILABLE = Problem(
    status=503,
    slug="service-unavailable",
    detail="A part of the system is away. Try again soon.",
    meaning="A part that the call needs is away, mostly the database. `GET /readyz` names it.",
    advice="Try again after `Retry-After` seconds, each time later than before.",
)
GATEWAY_TIMEOUT = Problem(
    status=504,
    slug="gateway-timeout",
    detail="The service behind this address did not answer in time.",
    meaning="The service did not answer within 15 seconds.",
    advice="As for 502: look up whether a POST or PATCH took effect, then try again after `Retry-After` seconds.",
)
HTTP_VERSION_NOT_SUPPORTED = Problem(
    status=505,
    slug="http-version-not-supported",
    detail="This version of HTTP is not supported.",
    meaning="The request line names a version of HTTP that the gateway does not speak.",
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
    """An error that says no more than its status (RFC 9457, section 4.2.1)."""

    status: int
    detail: str
    type: str = "about:blank"

    @property
    def title(self) -> str:
        """The status in words."""
        return responses.get(self.status, "Error")
