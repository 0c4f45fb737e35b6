"""Print rotate_key's values, in seconds, of a refresh token's lifetime and the maximum age of a copy of the keys."""

from local import rotate_key

print(int(rotate_key.REFRESH_LIFETIME.total_seconds()), rotate_key.KEY_FILE_SECONDS)
