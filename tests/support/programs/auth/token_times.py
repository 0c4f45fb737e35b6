"""Print, in seconds, a refresh token's lifetime and the maximum age of a process's copy of the keys."""

from servicekit.tokens import keyring, verifier

print(verifier.LIFETIME_SECONDS["refresh"], keyring.REREAD_SECONDS)
