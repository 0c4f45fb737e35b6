import pytest
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from servicekit.http.queries import MOST_NAMED, check_query
from servicekit.testing import bearer

UNKNOWN, REPEATED = ["This parameter is unknown."], ["Must be sent once."]


@pytest.mark.parametrize("query", ["", "limit=1", "limit=1&name=x", "limit="])
def test_known_parameters_are_taken(query):
    check_query(QueryDict(query), known=("limit", "name"))


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("page=2", {"page": UNKNOWN}),
        ("limt=100&limit=4", {"limt": UNKNOWN}),
        ("LIMIT=4", {"LIMIT": UNKNOWN}),
        ("limit=1&limit=1", {"limit": REPEATED}),
        ("=", {"": UNKNOWN}),
        ("page", {"page": UNKNOWN}),
        ("page=1&page=2&limit=1&limit=2", {"page": UNKNOWN, "limit": REPEATED}),
    ],
)
def test_unknown_and_repeated_ones_are_each_named(query, errors):
    with pytest.raises(ValidationError) as refused:
        check_query(QueryDict(query, mutable=False) if query != "page" else QueryDict("page="), known=("limit",))
    assert refused.value.detail == errors


def test_the_response_does_not_name_a_thousand_of_them():
    with pytest.raises(ValidationError) as refused:
        check_query(QueryDict("&".join(f"p{number}=1" for number in range(900))), known=())
    assert len(refused.value.detail) == MOST_NAMED


def test_view_refuses_them_after_it_knows_who_calls(client):
    assert client.get("/echo?page=2").status_code == 401
    response = client.get("/echo?page=2", headers=bearer())
    assert (response.status_code, response.json()["errors"]) == (400, {"page": UNKNOWN})
    assert client.options("/echo?page=2").status_code == 204
