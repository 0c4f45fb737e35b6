"""Print how long a refresh token lives, and how old a process's copy of the keys may be."""

from servicekit import jwt

print(jwt.LIFETIME_SECONDS["refresh"], jwt.KEY_FILE_SECONDS)
