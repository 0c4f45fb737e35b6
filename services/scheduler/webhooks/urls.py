"""The app's routes, each with an optional trailing slash."""

from django.urls import re_path

from webhooks.views import (
    DeliveryDetailView,
    DeliveryListView,
    RedeliveryView,
    WebhookDetailView,
    WebhookListView,
    WebhookSecretView,
    WebhookTestView,
)

# Not Django's int converter, whose range is unlimited: only ASCII digits, at most as many as a bigint has.
WEBHOOK = r"^api/webhooks/(?P<webhook_id>[0-9]{1,19})"
DELIVERY = rf"{WEBHOOK}/deliveries/(?P<delivery_id>[0-9]{{1,19}})"

urlpatterns = [
    re_path(r"^api/webhooks/?$", WebhookListView.as_view(), name="webhook-list"),
    re_path(rf"{WEBHOOK}/?$", WebhookDetailView.as_view(), name="webhook-detail"),
    re_path(rf"{WEBHOOK}/secret/?$", WebhookSecretView.as_view(), name="webhook-secret"),
    re_path(rf"{WEBHOOK}/test/?$", WebhookTestView.as_view(), name="webhook-test"),
    re_path(rf"{WEBHOOK}/deliveries/?$", DeliveryListView.as_view(), name="delivery-list"),
    re_path(rf"{DELIVERY}/?$", DeliveryDetailView.as_view(), name="delivery-detail"),
    re_path(rf"{DELIVERY}/redelivery/?$", RedeliveryView.as_view(), name="redelivery"),
]
