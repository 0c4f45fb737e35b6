"""Print how long a refresh token lives, and how old a process's copy of the keys may be, as rotate_key has them."""

from local import rotate_key

print(int(rotate_key.REFRESH_LIFETIME.total_seconds()), rotate_key.KEY_FILE_SECONDS)
