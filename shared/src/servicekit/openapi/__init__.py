"""Describe a service's views as OpenAPI 3.1; never imported to serve a request."""
