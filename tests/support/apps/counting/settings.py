"""The scheduler's settings plus a job that counts."""

from scheduler_service.settings import *  # noqa: F403
from scheduler_service.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "counting"]
