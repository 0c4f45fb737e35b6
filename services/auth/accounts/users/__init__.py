"""Users, and the rules for their names and passwords."""
