"""Django's SQLite backend for long-running processes: it creates no file, and one writer per process waits long."""
