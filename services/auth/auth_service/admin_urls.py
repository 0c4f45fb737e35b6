"""The routes of the admin. The gateway exposes none of them."""

from django.urls import path
from django.views.generic import RedirectView

from accounts.admin import site

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", site.urls),
]
