"""Django's SQLite backend for long-running processes.

It can refuse to create a missing file, lets only one writer per process wait for long, retries often, and executes
batches of statements.
"""
