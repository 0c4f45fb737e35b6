"""The WSGI application that the server loads."""

import os

from servicekit.http.wsgi import service_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auth_service.settings")

application = service_application("auth")

# Imported after Django is set up, since the announcer needs the models.
from accounts.sessions.announcements import announcer  # noqa: E402

announcer.start()
