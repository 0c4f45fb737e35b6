"""Acquire the database file's write lock, print "locked", and hold it until standard input is closed."""

import sqlite3
import sys

connection = sqlite3.connect("/data/db.sqlite3", isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
