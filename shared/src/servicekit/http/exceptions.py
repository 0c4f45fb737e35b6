"""Exceptions that Django REST framework lacks; servicekit.http.errors turns them into responses."""

import math

from rest_framework.exceptions import APIException


class PayloadTooLarge(APIException):
    """413: the body is larger than the service reads."""

    status_code = 413


class Conflict(APIException):
    """409: the resource's current state does not allow this; ``detail`` says why."""

    status_code = 409


class PreconditionFailed(APIException):
    """412: If-Match or If-None-Match does not hold (RFC 9110, section 13.1)."""

    status_code = 412


class UnsupportedContentEncoding(APIException):
    """415: the body is compressed or otherwise encoded (RFC 9110, section 8.4)."""

    status_code = 415
    default_detail = "The body has a Content-Encoding, which is not supported; send it without."


class UnprocessableContent(APIException):
    """422: the Idempotency-Key belongs to a request with another body."""

    status_code = 422


class TooManyRequests(APIException):
    """429: retry after ``wait`` seconds, rounded up to a whole number for Retry-After."""

    status_code = 429

    def __init__(self, *, wait: float) -> None:
        super().__init__()
        self.wait = math.ceil(wait)


class ServiceUnavailable(APIException):
    """503: the service is busy; the response's Retry-After says when to try again."""

    status_code = 503
