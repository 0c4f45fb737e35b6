"""Pieces of T-SQL text."""


def quote_identifier(name: str) -> str:
    """Quote an identifier for T-SQL. Unlike the backend's quote_name(), this escapes ``]``."""
    return f"[{name.replace(']', ']]')}]"
