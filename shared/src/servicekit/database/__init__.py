"""DATABASE_URL, and the errors, locks and recovery of SQL Server and SQLite."""
