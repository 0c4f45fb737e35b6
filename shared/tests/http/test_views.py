import pytest

from servicekit.testing import bearer


@pytest.mark.parametrize(
    "headers",
    [{}, bearer(), {"Authorization": "Bearer expired"}, {"Origin": "https://app.example.org"}],
    ids=["anonymous", "user", "bad token", "preflight"],
)
@pytest.mark.parametrize("path", ["/echo", "/staff"])
def test_options_says_to_everybody_what_may_be_done(client, path, headers):
    response = client.options(path, headers=headers)
    assert (response.status_code, response["Allow"], response.content) == (204, "GET, POST, HEAD, OPTIONS", b"")
