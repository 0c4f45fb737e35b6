"""Load the modules of the first argument, and print which packages of the second are loaded then; both with commas."""

import importlib
import sys

for name in sys.argv[1].split(","):
    importlib.import_module(name)
print(*sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2].split(","))))
