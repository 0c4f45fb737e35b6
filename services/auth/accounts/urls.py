"""The routes, each with or without a slash at its end."""

from django.urls import re_path

from accounts.views import MeView, RegisterView, TokenRefreshView, TokenVerifyView, TokenView

urlpatterns = [
    re_path(r"^api/auth/register/?$", RegisterView.as_view(), name="register"),
    re_path(r"^api/auth/token/?$", TokenView.as_view(), name="token"),
    re_path(r"^api/auth/token/refresh/?$", TokenRefreshView.as_view(), name="token-refresh"),
    re_path(r"^api/auth/token/verify/?$", TokenVerifyView.as_view(), name="token-verify"),
    re_path(r"^api/auth/me/?$", MeView.as_view(), name="me"),
]
