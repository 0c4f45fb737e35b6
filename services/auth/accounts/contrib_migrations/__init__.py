"""Migrations of Django's own apps, each squashed into an initial one (docs/adr/0009-admin.md)."""
