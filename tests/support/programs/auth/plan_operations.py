"""The auth service's queries for any/statement_plans.py."""

import uuid
from collections.abc import Callable

from accounts.sessions.models import Session
from accounts.sessions.selectors import get_caller
from accounts.users.models import User
from servicekit.tokens.verifier import Principal

session_id = uuid.UUID(int=0x42)
operations: dict[str, Callable[[], object]] = {
    "user by name": lambda: User.objects.filter(username="user42").first(),
    "caller": lambda: get_caller(principal=Principal(user_id=42, session_id=str(session_id), is_staff=False)),
    "session by id": lambda: Session.objects.filter(id=session_id, user_id=43).first(),
    "rotation": lambda: Session.objects.filter(id=session_id, user_id=43, refresh_jti="a").update(refresh_jti="b"),
    "sessions of a user": lambda: list(Session.objects.filter(user_id=43)),
}
