"""Build absolute URLs that clients can reach."""

import re

from django.conf import settings
from rest_framework.request import Request

# The form that the gateway accepts.
_HOST = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?", re.ASCII)


def absolute_url(request: Request, path: str) -> str:
    """Return the URL of the path under PUBLIC_URL, else under the scheme and host that the client used.

    If neither is known, return the path, which is also a valid reference.
    """
    public: str = getattr(settings, "PUBLIC_URL", "")
    host, scheme = request.META.get("HTTP_X_FORWARDED_HOST", ""), request.META.get("HTTP_X_FORWARDED_PROTO", "")
    if not public and _HOST.fullmatch(host) and scheme in ("http", "https"):
        public = f"{scheme}://{host}"
    return public + path
