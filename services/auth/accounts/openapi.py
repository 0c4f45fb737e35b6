"""What the OpenAPI document says of the views, beyond what they say themselves. Imported only when it is built."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.credentials.serializers import PasswordSerializer
from accounts.credentials.views import PasswordView
from accounts.sessions.serializers import (
    LoginSerializer,
    RefreshSerializer,
    TokenField,
    VerifySerializer,
)
from accounts.sessions.views import (
    LogoutView,
    SessionDetailView,
    SessionListView,
    TokenRefreshView,
    TokenVerifyView,
    TokenView,
)
from accounts.users.models import USERNAME_MAXIMUM_UNITS
from accounts.users.serializers import (
    LONGEST_TYPED_NAME,
    NewPasswordField,
    NewUsernameField,
    PasswordField,
    ProfileSerializer,
    RegisterSerializer,
    StrictEmailField,
)
from accounts.users.validators import LONGEST_PASSWORD
from accounts.users.views import MeView, RegisterView
from servicekit.http.problems import TOO_MANY_REQUESTS, UNAUTHORIZED
from servicekit.openapi.components import Schema, reference
from servicekit.openapi.operations import UNTRIMMED_PATTERN, Answer, IdField, TimeField, describe, operation
from servicekit.tokens.verifier import LIFETIME_SECONDS, MAXIMUM_TOKEN_LENGTH

TAG = {"name": "auth", "description": "Accounts, and the tokens that every other call takes."}

PASSWORD: Schema = {"type": "string", "maxLength": LONGEST_PASSWORD, "pattern": UNTRIMMED_PATTERN}
SCHEMAS: dict[str, Schema] = {
    "NewUsername": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_TYPED_NAME,
        # Of ASCII, what names may hold. Of the rest, letters and digits, for which no pattern is the same everywhere.
        "pattern": r"^\s*[^\u0000-*,/:-?\[-^`{-\u009f]+\s*$",
        "description": "Trimmed, in lower case and normalised (NFKC) it has 1–150 UTF-16 units: letters and digits of "
        "any script, and `@ . + - _`.",
    },
    "Password": {**PASSWORD, "minLength": 1},
    "NewPassword": {
        **PASSWORD,
        "minLength": settings.SHORTEST_PASSWORD,
        "description": "Not common, not only digits, and without the username.",
    },
    "Email": {
        "anyOf": [{"type": "string", "format": "email", "maxLength": 254}, {"type": "string", "maxLength": 0}],
        "description": "An address, or nothing for none.",
    },
    "Token": {"type": "string", "minLength": 1, "maxLength": MAXIMUM_TOKEN_LENGTH, "pattern": UNTRIMMED_PATTERN},
}
for form, schema in {
    NewUsernameField: "NewUsername",
    PasswordField: "Password",
    NewPasswordField: "NewPassword",
    StrictEmailField: "Email",
    TokenField: "Token",
}.items():
    extend_schema_field(reference("schemas", schema))(form)
# What clients call them.
for serializer, name in {
    RegisterSerializer: "Registration",
    LoginSerializer: "Credentials",
    RefreshSerializer: "RefreshToken",
    VerifySerializer: "TokenVerification",
    PasswordSerializer: "PasswordChange",
    ProfileSerializer: "ProfileChange",
}.items():
    extend_schema_serializer(component_name=name)(serializer)


class User(serializers.Serializer[Any]):
    """An account, as its owner sees it."""

    id = IdField()
    username = serializers.CharField(max_length=USERNAME_MAXIMUM_UNITS, help_text="As it is stored: in lower case.")
    email = serializers.CharField(max_length=254, help_text="Empty where none was given.")
    is_staff = serializers.BooleanField(help_text="Whether the user may see background jobs.")
    date_joined = TimeField()


class Tokens(serializers.Serializer[Any]):
    """A pair of tokens (RFC 6749, section 5.1)."""

    access = serializers.CharField(help_text="Send it as `Authorization: Bearer …`.")
    refresh = serializers.CharField(help_text="Good for 7 days and one use: it is exchanged for the next pair.")
    token_type = serializers.ChoiceField(choices=["Bearer"])
    expires_in = serializers.IntegerField(
        min_value=1,
        help_text="Seconds for which the access token is good.",
    )


class Session(serializers.Serializer[Any]):
    """One login: it lives as long as its refresh token is exchanged in time."""

    id = serializers.UUIDField()
    current = serializers.BooleanField(help_text="Whether it is the one of this call's token.")
    created_at = TimeField()
    last_used_at = TimeField(help_text="When its refresh token was last exchanged.")
    expires_at = TimeField()
    user_agent = serializers.CharField(help_text="What the client called itself.")
    address = serializers.CharField(help_text="The address that it was used from.")


VALID = {"type": "object", "maxProperties": 0}
CREDENTIALS = {"username": "ada", "password": "correct horse battery staple"}
USER = {
    "id": 1,
    "username": "ada",
    "email": "",
    "is_staff": False,
    "date_joined": "2026-01-31T09:30:00.123456Z",
}
# No tokens: these are what one looks like, and open nothing.
ACCESS = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl"
REFRESH = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
PAIR = {
    "access": ACCESS,
    "refresh": REFRESH,
    "token_type": "Bearer",
    "expires_in": LIFETIME_SECONDS["access"],
}
SESSION = {
    "id": "0b9a4c6e-6f0c-4f1e-9c55-7d1c7b1f3a52",
    "current": True,
    "created_at": "2026-01-31T09:30:00.123456Z",
    "last_used_at": "2026-01-31T09:34:51.002718Z",
    "expires_at": "2026-02-07T09:34:51.002718Z",
    "user_agent": "curl/8.5.0",
    "address": "192.0.2.17",
}
LIMITED = ("RateLimit-Policy",)
# Of the tokens above.
UNKNOWN_KEY = "The token is not signed by a known key."

describe(
    RegisterView,
    post=operation(
        name="register",
        summary="Make an account",
        description="A username is taken in any spelling: it is trimmed, put into lower case and normalised (NFKC). It "
        "may hold letters, digits and `@ . + - _`. A password of 8–128 characters that is not common, not only digits "
        "and not like the username.",
        request=RegisterSerializer,
        example=CREDENTIALS,
        answers={
            201: Answer(
                description="The new account. Nobody is logged in by that.",
                body=User,
                example=USER,
                headers=("Location", *LIMITED),
            )
        },
        problems=[TOO_MANY_REQUESTS],
    ),
)
describe(
    TokenView,
    post=operation(
        name="logIn",
        summary="Log in",
        description="Begins a session. Unknown user, wrong password and inactive account are the same 401.",
        request=LoginSerializer,
        example=CREDENTIALS,
        answers={200: Answer(description="A pair of tokens.", body=Tokens, example=PAIR, headers=LIMITED)},
        problems=[UNAUTHORIZED, TOO_MANY_REQUESTS],
        details={UNAUTHORIZED: "No active account has this user name and password."},
    ),
)
describe(
    TokenRefreshView,
    post=operation(
        name="refreshTokens",
        summary="Exchange the refresh token",
        description="A refresh token is good once. Sent again within 10 seconds it gets the same answer; later, that "
        "is a replay, which ends the session.",
        request=RefreshSerializer,
        example={"refresh": REFRESH},
        answers={200: Answer(description="The next pair of tokens.", body=Tokens, example=PAIR, headers=LIMITED)},
        problems=[UNAUTHORIZED, TOO_MANY_REQUESTS],
        details={UNAUTHORIZED: UNKNOWN_KEY},
    ),
)
describe(
    TokenVerifyView,
    post=operation(
        name="verifyToken",
        summary="Ask whether a token is valid",
        description="For a token of either type. 401 where it is not valid, or its session has ended.",
        request=VerifySerializer,
        example={"token": ACCESS},
        answers={200: Answer(description="The token is valid.", body=VALID, example={})},
        problems=[UNAUTHORIZED],
        details={UNAUTHORIZED: UNKNOWN_KEY},
    ),
)
describe(
    LogoutView,
    post=operation(
        name="logOut",
        summary="Log out",
        description="Ends the session of a refresh token: that token at once, the access token everywhere within two "
        "seconds. A token that opens nothing any more is 204 as well.",
        request=RefreshSerializer,
        example={"refresh": REFRESH},
        answers={204: Answer(description="There is no such session any more.")},
    ),
)
describe(
    PasswordView,
    post=operation(
        name="changePassword",
        summary="Change the password",
        description="Ends all your other sessions.",
        request=PasswordSerializer,
        example={"current": "correct horse battery staple", "new": "a better one, with more words"},
        answers={204: Answer(description="The password is changed.", headers=LIMITED)},
        problems=[TOO_MANY_REQUESTS],
    ),
)
describe(
    SessionListView,
    get=operation(
        name="listSessions",
        summary="List your sessions",
        description="Where you are logged in, the session used last first.",
        answers={200: Answer(description="The sessions.", body=Session(many=True), example=[SESSION])},
    ),
    delete=operation(
        name="endSessions",
        summary="Log out everywhere",
        description="Ends all your sessions, the one of this call included.",
        answers={204: Answer(description="You are logged out everywhere.")},
    ),
)
describe(
    SessionDetailView,
    delete=operation(
        name="endSession",
        summary="End a session",
        description="One of your own; anybody else's is the same 404 as none.",
        parameters=[
            OpenApiParameter(
                "session_id",
                {
                    "type": "string",
                    "format": "uuid",
                    "pattern": "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$",
                    "examples": [SESSION["id"]],
                },
                OpenApiParameter.PATH,
                description="The session's id.",
            )
        ],
        answers={204: Answer(description="The session has ended.")},
    ),
)
describe(
    MeView,
    get=operation(
        name="getMe",
        summary="Read your account",
        description="The user whose token it is.",
        answers={200: Answer(description="The account.", body=User, example=USER)},
    ),
    patch=operation(
        name="updateMe",
        summary="Change your address",
        description="The email address is all that can change here; an empty one removes it.",
        request=ProfileSerializer,
        example={"email": "ada@example.org"},
        answers={200: Answer(description="The account.", body=User, example={**USER, "email": "ada@example.org"})},
    ),
)
