"""Django's SQLite backend for processes that serve: it creates no file, and only one writer of a process waits long."""
