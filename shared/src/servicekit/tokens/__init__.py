"""The shared JWT keys, the token verifier, and the revocation of sessions."""
