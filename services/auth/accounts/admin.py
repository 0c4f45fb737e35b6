"""Users and sessions in Django's admin, for staff."""

import logging
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import CharField, PasswordInput
from django.http import HttpRequest
from rest_framework.exceptions import ValidationError as InvalidField

from accounts.sessions.models import Session
from accounts.sessions.services import end_sessions
from accounts.users.models import User
from accounts.users.serializers import NewUsernameField
from accounts.users.validators import LONGEST_PASSWORD
from servicekit.http.exceptions import ServiceUnavailable, TooManyRequests

logger = logging.getLogger("accounts.admin")

if TYPE_CHECKING:
    # Generic in the stubs only.
    BaseNewUserForm = AdminUserCreationForm[User]
    BaseSessionAdmin = admin.ModelAdmin[Session]
    BaseUserAdmin = DjangoUserAdmin[User]
else:
    BaseNewUserForm, BaseSessionAdmin, BaseUserAdmin = AdminUserCreationForm, admin.ModelAdmin, DjangoUserAdmin


class LoginForm(AdminAuthenticationForm):
    """Says so where the password was not looked at."""

    password = CharField(
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except TooManyRequests as refusal:
            raise ValidationError(f"Too many attempts. Try again in {refusal.wait} seconds.") from None
        except ServiceUnavailable:
            raise ValidationError("Too many people log in at once. Try again.") from None


class Site(admin.AdminSite):
    """The admin of the auth service."""

    site_title = site_header = "Task API: users and sessions"
    index_title = "Accounts"
    site_url = None
    login_form = LoginForm


site = Site()


class NewUserForm(BaseNewUserForm):
    """The rules of POST /api/auth/register."""

    class Meta:
        model = User
        fields = ("username", "email")

    def clean_username(self) -> str:
        try:
            username: str = NewUsernameField().run_validation(self.cleaned_data["username"])
        except InvalidField as error:
            raise ValidationError([str(message) for message in error.detail]) from None
        return username


class Logged:
    """Writes what staff do to the log as well, which is not deleted with them."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _log(request, "addition", obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _log(request, "change", obj)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            _log(request, "deletion", obj)
        return super().log_deletions(request, queryset)  # type: ignore[misc]


def _log(request: HttpRequest, action: str, obj: Model) -> None:
    target = f"{obj._meta.model_name} {obj.pk}"
    logger.info("admin action", extra={"staff": request.user.pk, "action": action, "target": target})


@admin.register(User, site=site)
class UserAdmin(Logged, BaseUserAdmin):
    """Whoever loses a password, the staff flag or the account loses the sessions too: User.save() sees to it."""

    # Tokens and the counts of failures know a user by what does not change.
    readonly_fields = ("username", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "email", "date_joined")}),
        ("Rights", {"fields": ("is_active", "is_staff")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "email", "usable_password", "password1", "password2")}),
    )
    add_form = NewUserForm
    list_display = ("username", "email", "is_active", "is_staff", "date_joined")
    list_filter = ("is_staff", "is_active")
    search_fields = ("username", "email")
    filter_horizontal = ()
    actions = ("log_out_everywhere",)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """A new user's name can be typed. One's own rights stay, or there might be nobody left to give them back."""
        if obj is None:
            return ()
        return (*self.readonly_fields, "is_active", "is_staff") if obj == request.user else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Not oneself."""
        return obj != request.user and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        """Only what was changed here: the rest may have been changed elsewhere since it was read, a password say."""
        if change:
            obj.save(update_fields=form.changed_data)
        else:
            super().save_model(request, obj, form, change)

    @admin.action(description="Log selected users out everywhere", permissions=["change"])
    def log_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Ends all sessions of the users."""
        for user in queryset:
            with transaction.atomic():
                end_sessions(user_id=user.pk)
                self.log_change(request, user, "Logged out everywhere.")
        messages.success(request, "The sessions have ended.")


@admin.register(Session, site=site)
class SessionAdmin(Logged, BaseSessionAdmin):
    """To look at, and to end by deleting."""

    list_display = ("user", "created_at", "last_used_at", "expires_at", "address", "user_agent")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    ordering = ("-rotated_at", "-id")

    @admin.display(description="last used", ordering="rotated_at")
    def last_used_at(self, session: Session) -> Any:
        """When its tokens were last issued."""
        return session.rotated_at

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Logins make sessions."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """What happened is not to be edited."""
        return False

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        """Ends the session, its access token included."""
        end_sessions(user_id=obj.user_id, session_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """Ends each of them."""
        for session in queryset:
            self.delete_model(request, session)
