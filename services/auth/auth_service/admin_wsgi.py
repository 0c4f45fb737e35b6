"""The WSGI application that the server loads for the admin."""

import os

from servicekit.http.wsgi import service_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auth_service.admin_settings")

application = service_application("admin")

# Imported after Django is set up, since the announcer needs the models.
from accounts.sessions.announcements import announcer  # noqa: E402

announcer.start()
