"""Print the ODBC drivers, and the error of Microsoft's driver for a port that nothing listens on."""

import pyodbc  # type: ignore[import-not-found]

print(pyodbc.drivers())
try:
    pyodbc.connect("Driver={ODBC Driver 18 for SQL Server};Server=127.0.0.1,1;UID=a;PWD=b", timeout=1)
except pyodbc.Error as error:
    print(error)
