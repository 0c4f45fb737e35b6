"""Refusals that Django REST framework has no exception for; servicekit.http.errors turns them into answers."""

import math

from rest_framework.exceptions import APIException


class PayloadTooLarge(APIException):
    """413: the body is larger than the service reads."""

    status_code = 413


class Conflict(APIException):
    """409: the state of what is asked for does not allow it now; ``detail`` says why."""

    status_code = 409


class PreconditionFailed(APIException):
    """412: If-Match or If-None-Match does not hold (RFC 9110, section 13.1)."""

    status_code = 412


class UnsupportedContentEncoding(APIException):
    """415: the body is compressed, or encoded otherwise (RFC 9110, section 8.4)."""

    status_code = 415
    default_detail = "The body has a Content-Encoding, which is not supported; send it without."


class UnprocessableContent(APIException):
    """422: the Idempotency-Key belongs to a request with another body."""

    status_code = 422


class TooManyRequests(APIException):
    """429: not before ``wait`` seconds have passed; rounded up to whole ones, which is what Retry-After takes."""

    status_code = 429

    def __init__(self, *, wait: float) -> None:
        super().__init__()
        self.wait = math.ceil(wait)


class ServiceUnavailable(APIException):
    """503: there is too much to do already; the answer's Retry-After says when to try again."""

    status_code = 503
