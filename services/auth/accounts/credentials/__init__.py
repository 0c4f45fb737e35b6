"""Credentials: checking and changing passwords, and limiting guesses."""
