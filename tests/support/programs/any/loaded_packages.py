"""Import the first argument's modules; print which of the second's packages are then loaded. Both comma-separated."""

import importlib
import sys

for name in sys.argv[1].split(","):
    importlib.import_module(name)
found = sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2].split(",")))
# In one write, since a thread may log.
sys.stdout.write("loaded: " + " ".join(found) + "\n")
