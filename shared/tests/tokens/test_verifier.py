import base64
import hashlib
import hmac
import json
import string
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from jwt import api_jws
from jwt.algorithms import RSAAlgorithm

from servicekit.testing import make_token
from servicekit.tokens.keys import Key
from servicekit.tokens.verifier import InvalidToken, Principal, verify, verify_any, verify_at_any_time

NOW = 1_800_000_000
SESSION_ID = "6f1c5b0e-2f4b-4a39-9a3f-5d6f0f4c8f11"
NEW, OLD = settings.JWT_KEYS
INVALID = "The token is invalid."
UNKNOWN_KEY = "The token is not signed by a known key."


@pytest.fixture(autouse=True)
def frozen(time_machine) -> None:
    time_machine.move_to(NOW, tick=False)


def signed(payload: dict[str, Any], *, header: dict[str, Any] | None = None, key: Key = NEW, algorithm="HS256") -> str:
    """Sign any payload; PyJWT's own encode() rejects some of the claims that the verifier must reject."""
    return api_jws.encode(json.dumps(payload).encode(), key.secret, algorithm, {"kid": key.kid, **(header or {})})


def payload(**changes: Any) -> dict[str, Any]:
    """Return the payload of an access token of the auth service; a claim of ... is omitted."""
    claims = {
        "iss": "auth",
        "aud": "task-api",
        "token_type": "access",
        "user_id": "7",
        "sid": SESSION_ID,
        "jti": "a-token",
        "iat": NOW,
        "exp": NOW + 300,
        "is_staff": False,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def refresh_payload(**changes: Any) -> dict[str, Any]:
    return payload(**{"token_type": "refresh", "exp": NOW + 7 * 86_400, "is_staff": ..., **changes})


def encoded(part: object) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decoded(segment: str) -> bytes:
    """Decode like lenient decoders: either alphabet, any padding, other characters skipped."""
    text = segment.rstrip("=\n").replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4))


def test_good_access_token_yields_its_claims():
    claims = verify(signed(payload(is_staff=True)), token_type="access")
    assert claims.principal == Principal(user_id=7, session_id=SESSION_ID, is_staff=True)
    assert (claims.token_type, claims.jti, claims.expires_at) == ("access", "a-token", NOW + 300)


def test_good_refresh_token_is_of_no_staff():
    assert verify(signed(refresh_payload()), token_type="refresh").principal == Principal(7, SESSION_ID, False)


@pytest.mark.parametrize("claims", [payload(), refresh_payload()], ids=["access", "refresh"])
def test_verify_any_takes_either_type(claims):
    assert verify_any(signed(claims)).token_type == claims["token_type"]


def test_key_that_was_rotated_out_still_verifies():
    assert verify(signed(payload(), key=OLD), token_type="access").principal.user_id == 7


def test_the_tests_own_tokens_are_good():
    assert verify(make_token(3, is_staff=True), token_type="access").principal.user_id == 3


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"user_id": "1"}, id="smallest user id"),
        pytest.param({"user_id": str(2**63 - 1)}, id="largest user id"),
        pytest.param({"iat": NOW - 304, "exp": NOW - 4}, id="expired within the leeway"),
        pytest.param({"iat": NOW + 5, "exp": NOW + 305}, id="issued by a clock that is ahead within the leeway"),
        pytest.param({"nbf": NOW + 5}, id="not before a time that is ahead within the leeway"),
        pytest.param({"extra": "claim"}, id="a claim that is not ours"),
    ],
)
def test_boundary_that_is_still_good(changes):
    verify(signed(payload(**changes)), token_type="access")


BAD_CLAIMS = {
    **{
        f"{claim} {problem}": {claim: value}
        for claim in ("iss", "aud", "token_type", "user_id", "sid", "jti", "iat", "exp", "is_staff")
        for problem, value in {
            "missing": ...,
            "null": None,
            "a list": [1],
            "an object": {},
            "a fraction": NOW + 0.5,
        }.items()
    },
    **{f"{claim} true": {claim: True} for claim in ("iss", "aud", "token_type", "user_id", "sid", "jti", "iat")},
    "aud another": {"aud": "other-api"},
    "aud a list with ours": {"aud": ["task-api"]},
    "iss another": {"iss": "elsewhere"},
    "iss a list with ours": {"iss": ["auth"]},
    "token_type another": {"token_type": "id"},
    "user_id a number": {"user_id": 7},
    "user_id 0": {"user_id": "0"},
    "user_id negative": {"user_id": "-1"},
    "user_id with a leading zero": {"user_id": "01"},
    "user_id with a space": {"user_id": "7 "},
    "user_id with a line break": {"user_id": "7\n"},
    "user_id in other digits": {"user_id": "٧"},
    "user_id empty": {"user_id": ""},
    "user_id 2**63": {"user_id": str(2**63)},
    "user_id of 1000 digits": {"user_id": "1" * 1000},
    "sid empty": {"sid": ""},
    "sid no uuid": {"sid": "a-session"},
    "sid in capitals": {"sid": "6F1C5B0E-2F4B-4A39-9A3F-5D6F0F4C8F11"},
    "sid without dashes": {"sid": "6f1c5b0e2f4b4a399a3f5d6f0f4c8f11"},
    "sid with a line break": {"sid": f"{SESSION_ID}\n"},
    "sid too long": {"sid": SESSION_ID + "0"},
    "jti empty": {"jti": ""},
    "jti too long": {"jti": "j" * 65},
    "iat text": {"iat": str(NOW)},
    "iat after exp": {"iat": NOW + 4, "exp": NOW + 3},
    "iat 10**20": {"iat": 10**20},
    "iat negative": {"iat": -1},
    "exp text": {"exp": str(NOW + 300)},
    "exp a float": {"exp": float(NOW + 300)},
    "exp 10**20": {"exp": 10**20},
    "exp 10**400": {"exp": 10**400},
    "exp infinite": {"exp": float("inf")},
    "exp not a number": {"exp": float("nan")},
    "lifetime longer than an access token's": {"exp": NOW + 301},
    "is_staff text": {"is_staff": "true"},
    "is_staff 1": {"is_staff": 1},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_bad_claim_is_refused(changes):
    with pytest.raises(InvalidToken, match=f"^{INVALID}$"):
        verify(signed(payload(**changes)), token_type="access")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": NOW + 7 * 86_400 + 1}, id="lifetime longer than a refresh token's"),
        pytest.param({"is_staff": "no"}, id="is_staff not a bool"),
    ],
)
def test_bad_claim_of_a_refresh_token_is_refused(changes):
    with pytest.raises(InvalidToken, match=f"^{INVALID}$"):
        verify(signed(refresh_payload(**changes)), token_type="refresh")


@pytest.mark.parametrize("changes", [{"iat": NOW + 6, "exp": NOW + 306}, {"nbf": NOW + 6}], ids=["iat", "nbf"])
def test_token_from_a_clock_that_is_ahead_is_not_valid_yet(changes):
    with pytest.raises(InvalidToken, match=r"^The token is not valid yet\.$"):
        verify(signed(payload(**changes)), token_type="access")


def test_token_verified_before_the_clock_was_set_back_is_not_valid_yet(time_machine):
    token = make_token()
    verify(token, token_type="access")
    time_machine.move_to(NOW - 7200, tick=False)
    with pytest.raises(InvalidToken, match=r"^The token is not valid yet\.$"):
        verify(token, token_type="access")


def test_expired_token_is_refused_in_words_of_its_own():
    with pytest.raises(InvalidToken, match=r"^The token has expired\.$"):
        verify(signed(payload(iat=NOW - 305, exp=NOW - 5)), token_type="access")


def test_token_expires_as_time_goes_by(time_machine):
    token = make_token()
    time_machine.move_to(NOW + 304, tick=False)
    verify(token, token_type="access")
    time_machine.move_to(NOW + 305, tick=False)
    with pytest.raises(InvalidToken, match="expired"):
        verify(token, token_type="access")


@pytest.mark.parametrize("now", [NOW - 86_400, NOW + 30 * 86_400], ids=["not valid yet", "expired"])
def test_verify_at_any_time_ignores_the_times_and_nothing_else(time_machine, now):
    token = signed(refresh_payload())
    time_machine.move_to(now, tick=False)
    assert verify_at_any_time(token).principal.session_id == SESSION_ID
    with pytest.raises(InvalidToken, match=f"^{INVALID}$"):
        verify_at_any_time(signed(refresh_payload(), key=Key("new", b"x" * 32)))


def test_key_that_is_taken_away_verifies_no_more(settings):
    """It does not even verify a token that was verified before and is cached."""
    token = signed(payload(), key=OLD)
    verify(token, token_type="access")
    settings.JWT_KEYS = (NEW,)
    with pytest.raises(InvalidToken, match=f"^{UNKNOWN_KEY}$"):
        verify(token, token_type="access")


@pytest.mark.parametrize(
    ("claims", "token_type", "message"),
    [
        pytest.param(payload(), "refresh", "This is not a refresh token.", id="access as refresh"),
        pytest.param(refresh_payload(), "access", "This is not an access token.", id="refresh as access"),
    ],
)
def test_token_of_the_other_type_is_refused(claims, token_type, message):
    with pytest.raises(InvalidToken, match=f"^{message}$"):
        verify(signed(claims), token_type=token_type)


def _without_signature(header: dict[str, Any]) -> str:
    return f"{encoded(header)}.{encoded(payload())}."


def _signed_under_another_name(algorithm: str) -> str:
    """Return a token signed by HMAC-SHA256 with our key, whose header names another algorithm."""
    text = f"{encoded({'alg': algorithm, 'kid': 'new'})}.{encoded(payload())}"
    return f"{text}.{encoded(hmac.digest(NEW.secret, text.encode(), hashlib.sha256))}"


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREIGN = Key("new", b"a key of the attacker's own, of 32 bytes and more")
FOREIGN_JWK = {"kty": "oct", "alg": "HS256", "kid": "new", "k": encoded(FOREIGN.secret)}


def _signed_by_rsa() -> str:
    """Return a token signed with the attacker's own key, which the header contains."""
    header = {"kid": "new", "jwk": RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)}
    return api_jws.encode(json.dumps(payload()).encode(), RSA_KEY, "RS256", header)


GOOD = signed(payload())
HEAD, BODY, SIGNATURE = GOOD.split(".")

BAD_FORMS = {
    "alg none": (_without_signature({"alg": "none", "kid": "new"}), INVALID),
    "alg None": (_without_signature({"alg": "None", "kid": "new"}), INVALID),
    "no alg": (_without_signature({"kid": "new"}), INVALID),
    "HS512 with our key": (signed(payload(), algorithm="HS512"), INVALID),
    "our key under the name of RS256": (_signed_under_another_name("RS256"), INVALID),
    "our key under the name of ES256": (_signed_under_another_name("ES256"), INVALID),
    "our key under the name of hs256": (_signed_under_another_name("hs256"), INVALID),
    "RS256 with the key in its header": (_signed_by_rsa(), INVALID),
    "HS256 with the key in its header": (signed(payload(), key=FOREIGN, header={"jwk": FOREIGN_JWK}), INVALID),
    "jku": (signed(payload(), key=FOREIGN, header={"jku": "https://keys.example/set.json"}), INVALID),
    "x5u": (signed(payload(), key=FOREIGN, header={"x5u": "https://keys.example/chain.pem"}), INVALID),
    "no kid": (api_jws.encode(json.dumps(payload()).encode(), NEW.secret, "HS256"), UNKNOWN_KEY),
    "unknown kid": (signed(payload(), header={"kid": "other"}), UNKNOWN_KEY),
    "kid a path": (signed(payload(), header={"kid": "../../../../dev/null"}, key=FOREIGN), UNKNOWN_KEY),
    "kid SQL": (signed(payload(), header={"kid": "x' OR '1'='1"}), UNKNOWN_KEY),
    "kid not ASCII": (signed(payload(), header={"kid": "neẅ"}), UNKNOWN_KEY),
    "kid that NFKC makes ours": (signed(payload(), header={"kid": "ｎew"}), UNKNOWN_KEY),
    "kid of 10 KB": (signed(payload(), header={"kid": "k" * 10_000}), "The token is too long."),
    "empty kid": (signed(payload(), header={"kid": ""}), UNKNOWN_KEY),
    "kid null": (f"{encoded({'alg': 'HS256', 'kid': None})}.{BODY}.{SIGNATURE}", INVALID),
    "kid a number": (f"{encoded({'alg': 'HS256', 'kid': 1})}.{BODY}.{SIGNATURE}", INVALID),
    "kid a list": (f"{encoded({'alg': 'HS256', 'kid': ['new']})}.{BODY}.{SIGNATURE}", INVALID),
    "kid of the other key": (signed(payload(), header={"kid": "old"}), INVALID),
    "another secret": (signed(payload(), key=Key("new", b"x" * 32)), INVALID),
    "changed payload": (f"{HEAD}.{encoded(payload(user_id='8'))}.{SIGNATURE}", INVALID),
    "no signature": (f"{HEAD}.{BODY}.", INVALID),
    "two parts": (f"{HEAD}.{BODY}", INVALID),
    "four parts": (f"{GOOD}.{SIGNATURE}", INVALID),
    "payload an array": (api_jws.encode(b"[]", NEW.secret, "HS256", {"kid": "new"}), INVALID),
    "payload not JSON": (api_jws.encode(b"\xff", NEW.secret, "HS256", {"kid": "new"}), INVALID),
    "payload nested deeply": (api_jws.encode(b"[" * 1500, NEW.secret, "HS256", {"kid": "new"}), INVALID),
    "header an array": (f"{encoded([])}.{BODY}.{SIGNATURE}", INVALID),
    "header nested deeply": (f"{encoded(b'[' * 1500)}.{BODY}.{SIGNATURE}", INVALID),
    "critical extension": (signed(payload(), header={"crit": ["unknown"], "unknown": 1}), INVALID),
    "empty": ("", INVALID),
    "dots": ("..", INVALID),
    "garbage": ("not a token", INVALID),
    "not ASCII": (f"{GOOD}é", INVALID),
    "half of a surrogate pair": (f"{GOOD}\ud800", INVALID),
    "NUL": (f"{GOOD}\0", INVALID),
    "5 KB": (signed(payload(extra="x" * 4000)), "The token is too long."),
    "100 KB": (signed(payload(extra="x" * 100_000)), "The token is too long."),
}


@pytest.mark.parametrize(("token", "message"), BAD_FORMS.values(), ids=BAD_FORMS.keys())
def test_token_of_a_bad_form_is_refused(token, message):
    with pytest.raises(InvalidToken) as refusal:
        verify(token, token_type="access")
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"jku": "https://keys.example/set.json"}, id="jku"),
        pytest.param({"x5u": "https://keys.example/chain.pem"}, id="x5u"),
        pytest.param({"jwk": FOREIGN_JWK}, id="jwk"),
        pytest.param({"x5c": [FOREIGN_JWK["k"]]}, id="x5c"),
    ],
)
def test_key_that_the_header_names_is_not_looked_at(header):
    """It is not fetched either: no socket may be opened in these tests."""
    verify(signed(payload(), header=header), token_type="access")


def _token_with_every_form() -> str:
    """Return a good token, each segment of which has a `-` or `_`, and unused bits in its last character."""
    for n in range(1000):
        filling = "?>~" * 2 + "x" * (n % 10)
        token = signed(payload(jti=f"{n}{filling}"), header={"x": f"{n}{filling}"})
        if all(len(segment) % 4 and set(segment) & set("-_") for segment in token.split(".")):
            return token
    raise AssertionError


def _with_stray_bits(segment: str) -> str:
    """Return the segment with another last character that decodes to the same bytes."""
    others = set(string.ascii_letters + string.digits) - {segment[-1]}
    return segment[:-1] + next(c for c in sorted(others) if decoded(segment[:-1] + c) == decoded(segment))


@pytest.mark.parametrize("number", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize(
    "disguise",
    [
        pytest.param(lambda segment: segment + "=" * (-len(segment) % 4), id="padded"),
        pytest.param(lambda segment: segment + "====", id="with stray padding"),
        pytest.param(lambda segment: segment.replace("-", "+").replace("_", "/"), id="in the alphabet of base64"),
        pytest.param(lambda segment: segment + "\n", id="with a line break"),
        pytest.param(_with_stray_bits, id="with stray bits"),
    ],
)
def test_segment_in_another_encoding_is_refused(number, disguise):
    """It is refused although it decodes to the bytes of a good token."""
    token = _token_with_every_form()
    verify(token, token_type="access")
    segments = token.split(".")
    segments[number] = disguise(segments[number])
    assert decoded(segments[number]) == decoded(token.split(".")[number])
    if number < 2:
        # An attacker cannot do this: the signature covers the encoded form of these two segments.
        text = ".".join(segments[:2])
        segments[2] = encoded(hmac.digest(NEW.secret, text.encode(), hashlib.sha256))
    with pytest.raises(InvalidToken, match=f"^{INVALID}$"):
        verify(".".join(segments), token_type="access")


def test_the_form_that_the_bad_ones_are_made_of_is_good():
    verify(GOOD, token_type="access")
    assert time.time() == NOW
