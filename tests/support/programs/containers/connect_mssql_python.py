"""Print mssql-python's error for a port that nothing listens on."""

import mssql_python

try:
    mssql_python.connect("Server=127.0.0.1,1;UID=a;PWD=b;Encrypt=no", timeout=1)
except mssql_python.Error as error:
    print(error)
