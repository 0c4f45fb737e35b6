"""The app's routes, each with an optional trailing slash."""

from django.urls import re_path

from accounts.credentials.views import PasswordView
from accounts.sessions.views import (
    LogoutView,
    SessionDetailView,
    SessionListView,
    TokenRefreshView,
    TokenVerifyView,
    TokenView,
)
from accounts.users.views import MeView, RegisterView

urlpatterns = [
    re_path(r"^api/auth/register/?$", RegisterView.as_view(), name="register"),
    re_path(r"^api/auth/token/?$", TokenView.as_view(), name="token"),
    re_path(r"^api/auth/token/refresh/?$", TokenRefreshView.as_view(), name="token-refresh"),
    re_path(r"^api/auth/token/verify/?$", TokenVerifyView.as_view(), name="token-verify"),
    re_path(r"^api/auth/logout/?$", LogoutView.as_view(), name="logout"),
    re_path(r"^api/auth/password/?$", PasswordView.as_view(), name="password"),
    re_path(r"^api/auth/sessions/?$", SessionListView.as_view(), name="session-list"),
    re_path(
        r"^api/auth/sessions/(?P<session_id>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})/?$",
        SessionDetailView.as_view(),
        name="session-detail",
    ),
    re_path(r"^api/auth/me/?$", MeView.as_view(), name="me"),
]
