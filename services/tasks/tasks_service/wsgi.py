"""The WSGI application that the server loads."""

import os

from servicekit.http.wsgi import service_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tasks_service.settings")

application = service_application("tasks")
