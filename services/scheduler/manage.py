#!/usr/bin/env python
"""Django's command-line utility for this service."""

import os
import sys

from django.core.management import execute_from_command_line

from servicekit.process.pipes import ends_quietly

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_service.settings")
    with ends_quietly():
        execute_from_command_line(sys.argv)
