"""Sessions: started by a login, extended by refresh tokens, ended permanently."""
