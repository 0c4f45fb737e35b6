import pytest

from servicekit.http.renderers import JSONRenderer
from servicekit.testing import bearer


def test_json_is_compact_utf8():
    assert JSONRenderer().render({"a": [1, "ä"], "b": None}) == b'{"a":[1,"\xc3\xa4"],"b":null}'


def test_nothing_is_no_bytes():
    assert JSONRenderer().render(None) == b""


@pytest.mark.parametrize("data", [{1, 2}, object()])
def test_what_is_not_json_is_a_defect(data):
    with pytest.raises(TypeError):
        JSONRenderer().render(data)


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=1, */*;q=0", "nonsense", ""])
def test_answer_is_json_whatever_the_client_accepts(client, accept):
    response = client.get("/echo?format=xml", headers={**bearer(), "Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
