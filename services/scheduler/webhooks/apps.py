"""The app's declaration."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """Webhooks: who wants to hear of a user's task events, and the deliveries to them."""

    name = "webhooks"
