"""Django's SQLite backend for long-running processes.

It creates no file, one writer per process waits long, and all of them notice soon that they can go on.
"""
