"""Helpers that several suites share, typed: `make check` runs mypy --strict on them."""
