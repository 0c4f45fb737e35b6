"""The shared JWT keys, the one verifier, and what ends a token early."""
