"""What all HTTP requests and responses of the services have in common."""
