"""What at least two of the services use today; no models, URLs, SQL or rules of one domain (see README.md)."""
