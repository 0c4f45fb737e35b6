"""What every process needs: configuration, logs, the current request's id, Redis."""
