"""Print how long a refresh token lives, and how old a process's copy of the keys may be."""

from servicekit.tokens import keyring, verifier

print(verifier.LIFETIME_SECONDS["refresh"], keyring.REREAD_SECONDS)
