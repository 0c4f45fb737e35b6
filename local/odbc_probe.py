"""Print the ODBC drivers that pyodbc finds, and the path of the wheel's, as JSON. A service's Python runs this file.

The wheel contains a driver for each family of systems, and mssql-python chooses this machine's.
"""

import json
import os


def find_drivers() -> dict[str, object]:
    """Return the drivers and the path, or the error if pyodbc cannot be loaded."""
    try:
        import pyodbc
    except ImportError as error:
        return {"error": str(error)}
    import mssql_python.ddbc_bindings
    import mssql_python_odbc

    folder = os.path.dirname(mssql_python_odbc.__file__)  # noqa: PTH120
    return {"drivers": pyodbc.drivers(), "wheel": mssql_python.ddbc_bindings.GetDriverPathCpp(folder)}


print(json.dumps(find_drivers()))
