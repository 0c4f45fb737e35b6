#!/usr/bin/env python
"""Django's command line for this service."""

import os
import sys

from django.core.management import execute_from_command_line

from servicekit.process.pipes import ends_quietly

if __name__ == "__main__":
    # The admin's settings, so that the admin's tables are migrated too.
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auth_service.admin_settings")
    with ends_quietly():
        execute_from_command_line(sys.argv)
