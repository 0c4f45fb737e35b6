"""Refusals that Django REST framework has no exception for; servicekit.errors turns them into answers."""

from rest_framework.exceptions import APIException


class PayloadTooLarge(APIException):
    """413: the body is larger than the service reads."""

    status_code = 413


class PreconditionFailed(APIException):
    """412: If-Match names a version that is no longer current (RFC 9110, section 13.1.1)."""

    status_code = 412
