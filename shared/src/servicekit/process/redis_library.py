"""Import redis-py for every module that needs it: ``from servicekit.process.redis_library import redis``.

redis-py imports OpenTelemetry if it is installed, for metrics that no part uses: 26 ms and 2.4 MB per process. A
module that is None in sys.modules is not found (https://docs.python.org/3/reference/import.html#the-module-cache).
"""

import sys

__all__ = ["NoBackoff", "Retry", "redis"]

_NAME = "opentelemetry"
_hidden = _NAME not in sys.modules
if _hidden:
    sys.modules[_NAME] = None  # type: ignore[assignment]
import redis  # noqa: E402
from redis.backoff import NoBackoff  # noqa: E402
from redis.retry import Retry  # noqa: E402

if _hidden:
    del sys.modules[_NAME]
