"""The app's configuration."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """Webhooks: the endpoints that receive a user's task events, and the deliveries to them."""

    name = "webhooks"
