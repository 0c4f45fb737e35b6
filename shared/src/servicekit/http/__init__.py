"""Everything that the HTTP requests and responses of all services have in common."""
