"""Quoting for T-SQL."""


def quote_identifier(name: str) -> str:
    """Quote an identifier for T-SQL. Unlike the backend's quote_name(), this escapes ``]``."""
    return f"[{name.replace(']', ']]')}]"


def quote_string(text: str) -> str:
    """Quote text as a T-SQL string literal."""
    return "N'" + text.replace("'", "''") + "'"
