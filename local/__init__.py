"""The commands that `make` runs to install, start, stop and operate the stack on one machine."""
