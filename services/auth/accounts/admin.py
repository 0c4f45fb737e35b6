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
    """Say so if the password was not checked."""

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
        return validated_username(self.cleaned_data["username"])


class Logged:
    """Write what staff do to the log as well, which is not deleted with them."""

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
    """A user who loses the password, the staff flag or the account loses the sessions too, by User.save()."""

    # The counts of failures know a user by the name, so it does not change.
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
        """Allow a new user's name; protect one's own rights, or the last of the staff could give them up for good."""
        if obj is None:
            return ()
        return (*self.readonly_fields, "is_active", "is_staff") if obj == request.user else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Forbid staff to delete themselves."""
        return obj != request.user and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        """Save only what was changed here: the rest may have changed since it was read, a password for example."""
        if change:
            obj.save(update_fields=form.changed_data)
        else:
            super().save_model(request, obj, form, change)

    @admin.action(description="Log selected users out everywhere", permissions=["change"])
    def log_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """End all sessions of the users."""
        for user in queryset:
            with transaction.atomic():
                end_sessions(user_id=user.pk, reason="staff", client=admin_client(request))
                self.log_change(request, user, "Logged out everywhere.")
        messages.success(request, "The sessions have ended.")


@admin.register(Session, site=site)
class SessionAdmin(Logged, BaseSessionAdmin):
    """Show sessions, and end them by deleting."""

    list_display = ("user", "created_at", "last_used_at", "expires_at", "address", "user_agent")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    ordering = ("-rotated_at", "-id")

    @admin.display(description="last used", ordering="rotated_at")
    def last_used_at(self, session: Session) -> Any:
        """Return when its tokens were last issued."""
        return session.rotated_at

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave it to logins to begin sessions."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Forbid it: a session records what happened."""
        return False

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        """End the session, including its access token."""
        end_sessions(user_id=obj.user_id, session_id=obj.pk, reason="staff", client=admin_client(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """End each of them."""
        for session in queryset:
            self.delete_model(request, session)
