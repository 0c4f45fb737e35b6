"""Print Redis's settings for persistence and eviction."""

import redis

from servicekit.process.env import require

client = redis.Redis.from_url(require("REDIS_URL"), decode_responses=True)
print(sorted(map(str, client.config_get("appendonly", "maxmemory-policy").values())))
