"""/healthz shows that the process responds; /readyz whether it can do its work, or what is missing."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from django.db import Error as DatabaseLayerError
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path

from servicekit.database.writes import check_writes
from servicekit.http import errors
from servicekit.http.problems import CONTENT_TYPE, SERVICE_UNAVAILABLE
from servicekit.process.redis_client import connect
from servicekit.process.redis_library import redis

logger = logging.getLogger("servicekit.http.health")

# The checks that failed in their last run in this process; changes are logged.
failing: set[str] = set()

_NEXT = re.compile(r"/_readyz/[a-z]+", re.ASCII)


class NotReady(Exception):
    """A check failed; clients see the message, so it contains no host, user name or secret."""


class Degraded(NotReady):
    """A check failed, but the service can do part of its work: it stays ready and reports that it is degraded."""


Check = Callable[[], None]


def check_database(model: type[Model]) -> Check:
    """Return a check that raises NotReady if the table cannot be read or is missing, Degraded if writes fail."""

    def check() -> None:
        try:
            model._default_manager.order_by("pk").values_list("pk").first()
        except DatabaseLayerError as error:
            raise NotReady("does not respond") from error
        try:
            check_writes(connection)
        except DatabaseLayerError as error:
            raise Degraded("accepts no writes") from error

    return check


def check_redis() -> None:
    """Raise NotReady if Redis does not respond to a ping within a second."""
    try:
        _redis().ping()
    except redis.RedisError as error:
        raise NotReady("does not respond") from error


@cache
def _redis() -> "redis.Redis":
    return connect()


def health_urls(
    *,
    service: str,
    checks: Mapping[str, Check],
    useful: Mapping[str, Check] = MappingProxyType({}),
    measures: Callable[[], Mapping[str, float | None]] | None = None,
) -> list[URLPattern]:
    """Return the routes of a service's two probes.

    /readyz runs all of ``checks`` and ``useful`` and lists the results in its response. A service with a failed
    ``useful`` check is degraded: it continues to work, and reports that. A ready service also reports its ``measures``.
    """

    def healthz(request: HttpRequest) -> HttpResponse:
        return JsonResponse({"status": "ok"})

    def readyz(request: HttpRequest) -> HttpResponse:
        reasons = {name: _reason(name, check) for name, check in {**checks, **useful}.items()}
        results = {name: "ok" if reason is None else str(reason) for name, reason in reasons.items()}
        failed = [f"{name} {result}" for name, result in results.items() if result != "ok"]
        if any(reasons[name] is not None and not isinstance(reasons[name], Degraded) for name in checks):
            detail = f"{service}: {'; '.join(failed)}."
            body = errors.problem_body(SERVICE_UNAVAILABLE, path=request.path, detail=detail)
            response = JsonResponse(
                {**body, "service": service, "checks": results}, status=503, content_type=CONTENT_TYPE
            )
            response["Retry-After"] = str(errors.RETRY_AFTER_SECONDS)
            response["X-Readyz"] = _state(status="unavailable", detail=detail, checks=results)
            return response
        status = "degraded" if failed else "ok"
        figures = {} if measures is None else _figures(measures)
        response = JsonResponse({"status": status, "service": service, "checks": results, **figures})
        response["X-Readyz"] = _state(status=status, checks=results, **figures)
        # The gateway queries the services one after another: if this one is ready, nginx continues with the next.
        following = request.META.get("HTTP_X_READYZ_NEXT", "")
        if _NEXT.fullmatch(following):
            response["X-Accel-Redirect"] = following
        return response

    return [path("healthz", healthz), path("readyz", readyz)]


def _figures(measures: Callable[[], Mapping[str, float | None]]) -> dict[str, Any]:
    """Return the measures as a member of the response; {} if the database failed after it was checked."""
    try:
        return {"measures": dict(measures())}
    except DatabaseLayerError:
        return {}


def _state(**members: Any) -> str:
    """Return the service's state as the header from which the gateway builds its own response."""
    return json.dumps(members, separators=(",", ":"))


def _reason(name: str, check: Check) -> NotReady | None:
    """Return why the check fails, or None; log when that changes."""
    try:
        check()
    except NotReady as reason:
        if name not in failing:
            failing.add(name)
            logger.warning("not ready", extra={"check": name, "reason": str(reason)}, exc_info=reason.__cause__)
        return reason
    if name in failing:
        failing.discard(name)
        logger.info("ready again", extra={"check": name})
    return None
