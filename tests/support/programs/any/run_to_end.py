"""Run batches with many results, like a BACKUP's: print the last write of one, and whether another raised its error."""

import django

django.setup()

from django.db import Error, connection

from servicekit.database.backups.sqlserver import run_to_end

PROGRESS = """
SELECT 10 AS [50 %]; PRINT '10 percent processed.';
SELECT 20 AS [?]; PRINT '20 percent processed.';
SELECT 30 AS [%s]; PRINT '30 percent processed.';
"""

own = connection.copy()
run_to_end(own, f"{PROGRESS} CREATE TABLE written_last (number int); INSERT INTO written_last VALUES (1);")
with connection.cursor() as cursor:
    cursor.execute("SELECT number FROM written_last")
    print(cursor.fetchone()[0])
try:
    run_to_end(own, f"{PROGRESS} RAISERROR('is terminating abnormally', 16, 1);")
except Error as error:
    print("is terminating abnormally" in str(error))
own.close()
