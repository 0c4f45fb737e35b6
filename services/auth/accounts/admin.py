"""Users and sessions in Django's admin, for staff."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.dispatch import receiver
from django.forms import CharField, PasswordInput
from django.http import HttpRequest

from accounts.credentials.backends import admin_client
from accounts.security_log import ADMIN_ACTION, ADMIN_LOGIN_SUCCEEDED, log_event
from accounts.sessions.models import Session
from accounts.sessions.services import end_sessions
from accounts.users.models import User
from accounts.users.names import validated_username
from accounts.users.validators import LONGEST_PASSWORD
from servicekit.http.exceptions import ServiceUnavailable, TooManyRequests

if TYPE_CHECKING:
    # Generic in the stubs only.
    BaseNewUserForm = AdminUserCreationForm[User]
    BaseSessionAdmin = admin.ModelAdmin[Session]
    BaseUserAdmin = DjangoUserAdmin[User]
else:
    BaseNewUserForm, BaseSessionAdmin, BaseUserAdmin = AdminUserCreationForm, admin.ModelAdmin, DjangoUserAdmin


class LoginForm(AdminAuthenticationForm):
    """The login form; shows an error if too many attempts or logins kept the password from being checked."""

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
            raise ValidationError("Too many people are logging in at once. Try again.") from None


class Site(admin.AdminSite):
    """The admin of the auth service."""

    site_title = site_header = "Task API: users and sessions"
    index_title = "Accounts"
    site_url = None
    login_form = LoginForm


site = Site()


class NewUserForm(BaseNewUserForm):
    """The form for a new user, with the rules of POST /api/auth/register."""

    class Meta:
        model = User
        fields = ("username", "email")

    def clean_username(self) -> str:
        return validated_username(self.cleaned_data["username"])


class Logged:
    """Mixin that also writes staff actions to the service's log; Django's entries are deleted with their user."""

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
    log_event(ADMIN_ACTION, user_id=request.user.pk, client=admin_client(request), action=action, target=target)


@receiver(user_logged_in)
def _log_login(request: HttpRequest, user: User, **kwargs: Any) -> None:
    log_event(ADMIN_LOGIN_SUCCEEDED, user_id=user.pk, client=admin_client(request))


@admin.register(User, site=site)
class UserAdmin(Logged, BaseUserAdmin):
    """Users. User.save() ends the sessions of a user whose password or rights change."""

    # Read-only, since failed attempts are counted by username.
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
        """Let only new users be named; protect one's own rights, so that the last staff user cannot give them up."""
        if obj is None:
            return ()
        return (*self.readonly_fields, "is_active", "is_staff") if obj == request.user else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Prevent staff from deleting themselves."""
        return obj != request.user and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        """Save only the changed fields: others, such as the password, may have changed since the form was read."""
        if change:
            obj.save(update_fields=form.changed_data)
        else:
            super().save_model(request, obj, form, change)

    @admin.action(description="Log selected users out everywhere", permissions=["change"])
    def log_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """End all sessions of the selected users."""
        for user in queryset:
            with transaction.atomic():
                end_sessions(user_id=user.pk, reason="staff", client=admin_client(request))
                self.log_change(request, user, "Logged out everywhere.")
        messages.success(request, "The sessions have ended.")


@admin.register(Session, site=site)
class SessionAdmin(Logged, BaseSessionAdmin):
    """Sessions, which staff can view, and end by deleting them."""

    list_display = ("user", "created_at", "last_used_at", "expires_at", "address", "user_agent")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    ordering = ("-rotated_at", "-id")

    @admin.display(description="last used", ordering="rotated_at")
    def last_used_at(self, session: Session) -> Any:
        """Return when the session's tokens were last issued."""
        return session.rotated_at

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only a login starts a session."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Return False: a session is a record of what happened."""
        return False

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        """End the session, including its access token."""
        end_sessions(user_id=obj.user_id, session_id=obj.pk, reason="staff", client=admin_client(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """End the sessions."""
        for session in queryset:
            self.delete_model(request, session)
