"""Print what Redis keeps, and what it throws away when it is full."""

import redis

from servicekit.env import require

client = redis.Redis.from_url(require("REDIS_URL"), decode_responses=True)
print(sorted(map(str, client.config_get("appendonly", "maxmemory-policy").values())))
