from servicekit.testing import bearer


def test_options_says_what_may_be_done(client):
    response = client.options("/echo", headers=bearer())
    assert (response.status_code, response["Allow"], response.content) == (204, "GET, POST, HEAD, OPTIONS", b"")
