"""What every HTTP request and response of the services has in common."""
