"""The table of users."""

from typing import Any, ClassVar

from django.contrib.auth import hashers
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models, transaction
from django.db.models.functions import Length
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone

from accounts.fields import ExactCharField
from accounts.security_log import STAFF_CREATED, log_event
from accounts.users.hashers import one_at_a_time
from accounts.users.names import USERNAME_MAXIMUM_UNITS, normalize_username, validated_username
from accounts.users.signals import credentials_changed
from accounts.users.validators import normalize_password, validated_password
from servicekit.database.deadlocks import retries_deadlocks


class UserManager(BaseUserManager["User"]):
    """Create users with normalised names."""

    def new_user(self, username: str, password: str, *, email: str = "", is_staff: bool = False) -> "User":
        """Return an unsaved user; this hashes the password, which takes time."""
        user = self.model(username=self.model.normalize_username(username), email=email, is_staff=is_staff)
        user.set_password(password)
        return user

    def create_user(self, username: str, password: str, **fields: Any) -> "User":
        """Create and save a user; raises IntegrityError if the normalised name is taken."""
        user = self.new_user(username, password, **fields)
        user.save(using=self._db, force_insert=True)
        return user

    def create_superuser(self, username: str, password: str, *, email: str = "", **extra: Any) -> "User":
        """Create and save a staff user, the highest rank here, by the API's rules; raises ValidationError.

        `manage.py createsuperuser` calls this, and does not check the password itself with --noinput or after "Bypass
        password validation".
        """
        username = validated_username(username)
        validated_password(password, user=self.model(username=username, email=email))
        user = self.create_user(username, password, email=email, is_staff=True)
        log_event(STAFF_CREATED, user_id=user.pk, client=None)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this name in any spelling; raises User.DoesNotExist."""
        return self.get(username=self.model.normalize_username(username or ""))


class User(AbstractBaseUser):
    """A person or program that can log in."""

    id = models.BigAutoField(primary_key=True)
    username = ExactCharField(max_length=USERNAME_MAXIMUM_UNITS, unique=True)
    email = models.EmailField(max_length=254, blank=True, default="")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=timezone.now)
    # No such column: it would cost a write at each login, and sessions record more.
    last_login = None

    objects: ClassVar[UserManager] = UserManager()

    # A change to any of these columns ends the user's sessions.
    CREDENTIALS = ("password", "is_active", "is_staff")

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        # Compares the length, since in SQL Server's usual collation names in some scripts equal the empty string.
        constraints = (
            models.CheckConstraint(
                condition=GreaterThanOrEqual(Length("username"), 1), name="accounts_user_username_not_empty"
            ),
        )

    @retries_deadlocks
    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the user, and send credentials_changed if the password or the rights differ from the stored ones.

        The admin and the management commands call this method; QuerySet.update(), bulk_update() and SQL bypass it.
        """
        with transaction.atomic():
            before = User.objects.filter(pk=self.pk).values(*self.CREDENTIALS).first()
            super().save(*args, **kwargs)
            if before is None:
                return
            after = User.objects.filter(pk=self.pk).values(*self.CREDENTIALS).get()
            changed = [name for name in self.CREDENTIALS if before[name] != after[name]]
            if changed:
                credentials_changed.send(sender=User, user_id=self.pk, changed=changed)

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Return whether the user is active staff; there are no finer rights."""
        return self.is_active and self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        """Return whether the user is active staff, as has_perm does."""
        return self.is_active and self.is_staff

    def set_password(self, raw_password: str | None) -> None:
        """Hash the password in its normalised form."""
        one_at_a_time(super().set_password, None if raw_password is None else normalize_password(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether the password is correct, in any of its encodings; replaces an outdated hash."""
        if raw_password is None:
            return False
        checked = self.password
        right, outdated = one_at_a_time(hashers.verify_password, normalize_password(raw_password), checked)
        if right and outdated:
            self.set_password(raw_password)
            # Not save(), since the same password must not end sessions. Replaces only the hash that was checked.
            stored = User.objects.filter(pk=self.pk, password=checked)
            retries_deadlocks(stored.update)(password=self.password)
        return right

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """Return the name in its stored form; Django's own code calls this."""
        return normalize_username(username)
