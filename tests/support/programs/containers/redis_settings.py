"""Print Redis' settings for persistence and for full memory."""

import redis

from servicekit.process.env import require

client = redis.Redis.from_url(require("REDIS_URL"), decode_responses=True)
print(sorted(map(str, client.config_get("appendonly", "maxmemory-policy").values())))
