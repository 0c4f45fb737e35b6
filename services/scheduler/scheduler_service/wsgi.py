"""The service's WSGI application."""

import os

from servicekit.http.wsgi import service_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_service.settings")

application = service_application("scheduler")
