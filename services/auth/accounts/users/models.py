"""The table of users."""

import unicodedata
from typing import Any, ClassVar

from django.contrib.auth import hashers
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models, transaction
from django.db.models.functions import Length
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone

from accounts.fields import ExactCharField
from accounts.users.signals import credentials_changed
from servicekit.database.deadlocks import retries_deadlocks

USERNAME_MAXIMUM_UNITS = 150


class UserManager(BaseUserManager["User"]):
    """Makes users whose names are normalised."""

    def new_user(self, username: str, password: str, *, email: str = "", is_staff: bool = False) -> "User":
        """A user that is not stored yet; hashing the password takes its time."""
        user = self.model(username=self.model.normalize_username(username), email=email, is_staff=is_staff)
        user.set_password(password)
        return user

    def create_user(self, username: str, password: str, **fields: Any) -> "User":
        """Stores a user; raises IntegrityError where the normalised name is taken."""
        user = self.new_user(username, password, **fields)
        user.save(using=self._db, force_insert=True)
        return user

    def create_superuser(self, username: str, password: str, *, email: str = "", **extra: Any) -> "User":
        """What `manage.py createsuperuser` calls: a staff user, since there is no higher rank here."""
        return self.create_user(username, password, email=email, is_staff=True)

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user of this name in any of its spellings; raises User.DoesNotExist."""
        return self.get(username=self.model.normalize_username(username or ""))


class User(AbstractBaseUser):
    """Somebody who can log in."""

    id = models.BigAutoField(primary_key=True)
    username = ExactCharField(max_length=USERNAME_MAXIMUM_UNITS, unique=True)
    email = models.EmailField(max_length=254, blank=True, default="")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=timezone.now)
    # Not wanted: it would be a write at each login, and sessions will say more.
    last_login = None

    objects: ClassVar[UserManager] = UserManager()

    # A session is bound to these; when one of them changes, it ends.
    CREDENTIALS = ("password", "is_active", "is_staff")

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        # By length, since in SQL Server's usual collation names in some scripts equal the empty string.
        constraints = (
            models.CheckConstraint(
                condition=GreaterThanOrEqual(Length("username"), 1), name="accounts_user_username_not_empty"
            ),
        )

    @retries_deadlocks
    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the user and send credentials_changed where the password or the rights differ from the stored ones.

        The admin and the management commands come through here; QuerySet.update(), bulk_update() and SQL do not.
        """
        with transaction.atomic():
            stored = User.objects.filter(pk=self.pk).values(*self.CREDENTIALS).first()
            super().save(*args, **kwargs)
            if stored and stored != User.objects.filter(pk=self.pk).values(*self.CREDENTIALS).get():
                credentials_changed.send(sender=User, user_id=self.pk)

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Staff may do whatever the admin offers; there are no finer rights."""
        return self.is_active and self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        """As has_perm."""
        return self.is_active and self.is_staff

    def set_password(self, raw_password: str | None) -> None:
        """Hashes the password in one spelling: keyboards differ in how they write an é (NIST SP 800-63B, 3.1.1)."""
        super().set_password(_one_spelling(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        """Whether this is the password, in any of its spellings; upgrades an old hash."""

        def upgrade(raw: str) -> None:
            checked = self.password
            self.set_password(raw)
            # The password is the same, so sessions go on; and only in the place of the hash that was looked at.
            stored = User.objects.filter(pk=self.pk, password=checked)
            retries_deadlocks(stored.update)(password=self.password)

        return hashers.check_password(_one_spelling(raw_password), self.password, upgrade)

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """One spelling of a name for all that look or sound the same: NFKC, caseless, trimmed.

        SQL Server's usual collation compares without case and trailing spaces and SQLite's with both, so what is
        stored is what is equal on either. Unicode's own order of steps (chapter 3.13, D146): folding can undo the
        normal form.
        """
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
        return folded.strip()


def _one_spelling(password: str | None) -> str | None:
    return None if password is None else unicodedata.normalize("NFKC", password)
