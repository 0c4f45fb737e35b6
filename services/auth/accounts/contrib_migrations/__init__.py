"""Migrations of Django's own apps in the form of initial ones (docs/adr/0009-admin.md)."""
