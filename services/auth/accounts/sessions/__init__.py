"""Sessions: begun by a login, kept alive by refresh tokens, ended for good."""
