"""DATABASE_URL, and how SQL Server and SQLite fail, lock and recover."""
