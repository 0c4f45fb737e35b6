"""What the application server loads for the admin."""

import os

from servicekit.http.wsgi import service_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auth_service.admin_settings")

application = service_application()
