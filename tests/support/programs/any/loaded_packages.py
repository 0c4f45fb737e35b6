"""Load the modules of the first argument, and print which packages of the second are loaded then; both with commas."""

import importlib
import sys

for name in sys.argv[1].split(","):
    importlib.import_module(name)
found = sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2].split(",")))
# At once, since a thread may log.
sys.stdout.write("loaded: " + " ".join(found) + "\n")
