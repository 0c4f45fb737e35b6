import pytest
from prometheus_client import REGISTRY

from servicekit.testing import bearer, make_token

CHALLENGE = 'Bearer realm="api"'
CHALLENGE_AFTER_A_TOKEN = 'Bearer realm="api", error="invalid_token"'
SCHEME = "The Authorization header must be: Bearer <access token>."
INVALID = "The token is invalid."


def test_good_token_lets_through_and_names_the_caller(client):
    response = client.get("/echo", headers=bearer(7))
    assert (response.status_code, response.json()["user_id"]) == (200, 7)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_scheme_is_caseless(client, scheme):
    assert client.get("/echo", headers={"Authorization": f"{scheme} {make_token()}"}).status_code == 200


def test_no_header_is_401_without_an_error_code(client):
    response = client.get("/echo")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, CHALLENGE)
    assert response.json()["detail"] == "An access token is required: Authorization: Bearer <access token>."


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        pytest.param("", SCHEME, id="empty"),
        pytest.param("Basic dXNlcjpwYXNz", SCHEME, id="another scheme"),
        pytest.param("{token}", SCHEME, id="no scheme"),
        pytest.param("Bearer", INVALID, id="no token"),
        pytest.param("Bearer {token} {token}", INVALID, id="two tokens"),
        pytest.param("Bearer {token}, Bearer {token}", INVALID, id="two headers joined"),
        pytest.param("Bearer tokén", INVALID, id="not ASCII"),
        pytest.param("Bearer {refresh}", "This is not an access token.", id="refresh token"),
    ],
)
def test_bad_header_is_401_with_an_error_code(client, header, detail):
    tokens = {"token": make_token(), "refresh": make_token(token_type="refresh")}
    response = client.get("/echo", HTTP_AUTHORIZATION=header.format(**tokens))
    assert (response.status_code, response["WWW-Authenticate"]) == (401, CHALLENGE_AFTER_A_TOKEN)
    assert response.json()["detail"] == detail


@pytest.mark.parametrize("method", ["get", "post", "put", "trace"])
def test_every_method_needs_a_token(client, method):
    assert getattr(client, method)("/echo").status_code == 401


def test_staff_may(client):
    assert client.get("/staff", headers=bearer(is_staff=True)).status_code == 200


def test_other_users_may_not_do_what_is_for_staff(client):
    response = client.get("/staff", headers=bearer())
    assert (response.status_code, response.json()["detail"]) == (403, "You may not do this.")


def test_a_view_for_staff_asks_strangers_for_a_token(client):
    assert client.get("/staff").status_code == 401


def test_the_token_of_an_ended_session_is_401(client, monkeypatch):
    ended = "6f1c5b0e-2f4b-4a39-9a3f-5d6f0f4c8f11"
    monkeypatch.setattr("servicekit.tokens.authentication.is_ended", lambda session_id: session_id == ended)
    response = client.get("/echo", headers={"Authorization": f"Bearer {make_token(7, sid=ended)}"})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, CHALLENGE_AFTER_A_TOKEN)
    assert response.json()["detail"] == "The session has ended."


def test_a_key_that_is_not_known_is_logged_with_the_clients_address(client, records):
    stranger = make_token(header={"kid": "stranger"})
    for token in (stranger, "garbage"):
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.9"}
        assert client.get("/echo", headers=headers).status_code == 401
    [line] = [record for record in records() if record["logger"] == "servicekit.tokens.authentication"]
    assert (line["level"], line["message"], line["client"]) == (
        "WARNING", "token with unknown key refused", "203.0.113.9",
    )  # fmt: skip
    assert "stranger" not in str(line)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(lambda: "garbage", "invalid", id="garbage"),
        pytest.param(lambda: make_token(token_type="refresh"), "invalid", id="another type"),
        pytest.param(lambda: make_token(header={"kid": "stranger"}), "unknown key", id="unknown key"),
        pytest.param(lambda: make_token(iat=1, exp=2), "expired", id="expired"),
    ],
)
def test_refused_token_is_counted_by_its_reason(client, token, reason):
    before = _refused(reason)
    client.get("/echo", headers={"Authorization": f"Bearer {token()}"})
    assert _refused(reason) - before == 1


def test_token_of_an_ended_session_is_counted_as_such(client, monkeypatch):
    monkeypatch.setattr("servicekit.tokens.authentication.is_ended", lambda session_id: True)
    before = _refused("session ended")
    client.get("/echo", headers=bearer())
    assert _refused("session ended") - before == 1


def test_request_without_a_token_is_none_that_was_refused(client):
    reasons = ("invalid", "unknown key", "expired", "session ended")
    before = [_refused(reason) for reason in reasons]
    client.get("/echo")
    assert [_refused(reason) for reason in reasons] == before


def _refused(reason):
    return REGISTRY.get_sample_value("tokens_refused_total", {"reason": reason})
