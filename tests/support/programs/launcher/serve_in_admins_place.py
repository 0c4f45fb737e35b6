"""Let `make admin` serve the program of the argument in granian's place."""

import os
import sys

import admin

admin.serve([sys.executable, "-c", sys.argv[1]], dict(os.environ))
