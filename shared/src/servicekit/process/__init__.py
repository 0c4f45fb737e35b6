"""What a process is given: configuration, logs, the current request's id, Redis."""
