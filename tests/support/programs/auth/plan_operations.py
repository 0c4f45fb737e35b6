"""What the auth service asks of the database, for any/statement_plans.py."""

import uuid
from collections.abc import Callable

from accounts.sessions.models import Session
from accounts.users.models import User

session_id = uuid.UUID(int=0x42)
operations: dict[str, Callable[[], object]] = {
    "user by name": lambda: User.objects.filter(username="user42").first(),
    "user by id": lambda: User.objects.filter(id=42, is_active=True).first(),
    "session by id": lambda: Session.objects.filter(id=session_id, user_id=43).first(),
    "rotation": lambda: Session.objects.filter(id=session_id, user_id=43, refresh_jti="a").update(refresh_jti="b"),
    "sessions of a user": lambda: list(Session.objects.filter(user_id=43)),
}
