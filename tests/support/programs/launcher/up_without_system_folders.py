"""Run `make up` on a machine that has no programs where only root's PATH looks."""

import sys

import up

up.SYSTEM_FOLDERS = ()
sys.exit(up.main())
