"""Users: who can log in, and the rules for their names and passwords."""
