"""Descriptions of the views for the OpenAPI document. Imported only to generate it."""

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
from accounts.users.names import USERNAME_MAXIMUM_UNITS
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
from servicekit.openapi.operations import UNTRIMMED_PATTERN, IdField, Response, TimeField, describe, operation
from servicekit.tokens.verifier import LIFETIME_SECONDS, MAXIMUM_TOKEN_LENGTH

TAG = {"name": "auth", "description": "Accounts, and the tokens that all other operations require."}

PASSWORD: Schema = {"type": "string", "maxLength": LONGEST_PASSWORD, "pattern": UNTRIMMED_PATTERN}
SCHEMAS: dict[str, Schema] = {
    "NewUsername": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_TYPED_NAME,
        # Restricts only ASCII: no pattern for other scripts' letters and digits works in every implementation.
        "pattern": r"^\s*[^\u0000-*,/:-?\[-^`{-\u009f]+\s*$",
        "description": "After trimming, lower-casing and normalisation (NFKC): 1–150 UTF-16 code units, letters and "
        "digits of any script, and `@ . + - _`.",
    },
    "Password": {**PASSWORD, "minLength": 1},
    "NewPassword": {
        **PASSWORD,
        "minLength": settings.SHORTEST_PASSWORD,
        "description": "Not common, not only digits, and without the username.",
    },
    "Email": {
        "anyOf": [{"type": "string", "format": "email", "maxLength": 254}, {"type": "string", "maxLength": 0}],
        "description": "An e-mail address, or empty for none.",
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
# The schemas' names in the document.
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
    username = serializers.CharField(max_length=USERNAME_MAXIMUM_UNITS, help_text="As stored: in lower case.")
    email = serializers.CharField(max_length=254, help_text="Empty if none was given.")
    is_staff = serializers.BooleanField(help_text="Whether the user may see background jobs.")
    date_joined = TimeField()


class Tokens(serializers.Serializer[Any]):
    """A pair of tokens (RFC 6749, section 5.1)."""

    access = serializers.CharField(help_text="Send it as `Authorization: Bearer …`.")
    refresh = serializers.CharField(help_text="Valid for 7 days and for one use: exchange it for the next pair.")
    token_type = serializers.ChoiceField(choices=["Bearer"])
    expires_in = serializers.IntegerField(
        min_value=1,
        help_text="How long the access token is valid, in seconds.",
    )


class Session(serializers.Serializer[Any]):
    """One login. It lasts as long as its refresh token is exchanged in time."""

    id = serializers.UUIDField()
    current = serializers.BooleanField(help_text="Whether this request's token belongs to the session.")
    created_at = TimeField()
    last_used_at = TimeField(help_text="When its refresh token was last exchanged.")
    expires_at = TimeField()
    user_agent = serializers.CharField(help_text="The client's User-Agent header.")
    address = serializers.CharField(help_text="The IP address from which it was last used.")


VALID = {"type": "object", "maxProperties": 0}
CREDENTIALS = {"username": "ada", "password": "correct horse battery staple"}
USER = {
    "id": 1,
    "username": "ada",
    "email": "",
    "is_staff": False,
    "date_joined": "2026-01-31T09:30:00.123456Z",
}
# Not valid tokens; they only look like ones.
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
# The error for the example tokens above.
UNKNOWN_KEY = "The token is not signed by a known key."

describe(
    RegisterView,
    post=operation(
        name="register",
        summary="Create an account",
        description="The username is trimmed, lower-cased and normalised (NFKC), and may contain letters, digits and "
        "`@ . + - _`. The password has 8–128 characters and must not be common, all digits or similar to the username.",
        request=RegisterSerializer,
        example=CREDENTIALS,
        responses={
            201: Response(
                description="The new account. Registering does not log in.",
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
        description="Starts a session. An unknown user, a wrong password and an inactive account get the same 401. "
        "`last_refresh` is optional: any refresh token issued to this account in the last 30 days, expired or not. "
        "With it, wrong passwords that others send for the account cannot delay you.",
        request=LoginSerializer,
        example=CREDENTIALS,
        responses={200: Response(description="A pair of tokens.", body=Tokens, example=PAIR, headers=LIMITED)},
        problems=[UNAUTHORIZED, TOO_MANY_REQUESTS],
        details={UNAUTHORIZED: "No active account has this username and password."},
    ),
)
describe(
    TokenRefreshView,
    post=operation(
        name="refreshTokens",
        summary="Exchange the refresh token",
        description="A refresh token is valid for one use. If it is sent again within 10 seconds, the response is the "
        "same; later, it is a replay, which ends the session.",
        request=RefreshSerializer,
        example={"refresh": REFRESH},
        responses={200: Response(description="The next pair of tokens.", body=Tokens, example=PAIR, headers=LIMITED)},
        problems=[UNAUTHORIZED, TOO_MANY_REQUESTS],
        details={UNAUTHORIZED: UNKNOWN_KEY},
    ),
)
describe(
    TokenVerifyView,
    post=operation(
        name="verifyToken",
        summary="Verify a token",
        description="Accepts either type of token. 401 if it is not valid or its session has ended.",
        request=VerifySerializer,
        example={"token": ACCESS},
        responses={200: Response(description="The token is valid.", body=VALID, example={})},
        problems=[UNAUTHORIZED],
        details={UNAUTHORIZED: UNKNOWN_KEY},
    ),
)
describe(
    LogoutView,
    post=operation(
        name="logOut",
        summary="Log out",
        description="Ends the session of a refresh token. That token is refused immediately, the access token "
        "everywhere within two seconds. Also 204 if the token is no longer valid.",
        request=RefreshSerializer,
        example={"refresh": REFRESH},
        responses={204: Response(description="The session has ended.")},
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
        responses={204: Response(description="The password is changed.", headers=LIMITED)},
        problems=[TOO_MANY_REQUESTS],
    ),
)
describe(
    SessionListView,
    get=operation(
        name="listSessions",
        summary="List your sessions",
        description="Your sessions, most recently used first.",
        responses={200: Response(description="The sessions.", body=Session(many=True), example=[SESSION])},
    ),
    delete=operation(
        name="endSessions",
        summary="Log out everywhere",
        description="Ends all your sessions, including this one.",
        responses={204: Response(description="You are logged out everywhere.")},
    ),
)
describe(
    SessionDetailView,
    delete=operation(
        name="endSession",
        summary="End a session",
        description="The session must be yours; another user's gets the same 404 as a missing one.",
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
        responses={204: Response(description="The session has ended.")},
    ),
)
describe(
    MeView,
    get=operation(
        name="getMe",
        summary="Read your account",
        description="The user that the token belongs to.",
        responses={200: Response(description="The account.", body=User, example=USER)},
    ),
    patch=operation(
        name="updateMe",
        summary="Change your e-mail address",
        description="Only the e-mail address can be changed; an empty one removes it.",
        request=ProfileSerializer,
        example={"email": "ada@example.org"},
        responses={200: Response(description="The account.", body=User, example={**USER, "email": "ada@example.org"})},
    ),
)
