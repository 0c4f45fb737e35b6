"""Checks of a password, and what bounds guessing at one."""
