"""Code that at least two services use; no models, URLs, SQL or domain rules (see README.md)."""
