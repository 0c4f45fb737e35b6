"""Let `make admin` run the program given as the argument in granian's place."""

import os
import sys
from pathlib import Path

from local import admin

sys.exit(admin.serve([sys.executable, "-c", sys.argv[1]], os.environ, Path.cwd()))
