"""The commands of a laptop: what `make` runs to install, start, stop and operate the stack on one machine."""
