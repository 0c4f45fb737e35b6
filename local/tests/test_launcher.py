from local.launcher import groups


def test_groups_that_were_started_and_have_not_ended() -> None:
    assert groups("+11\n+12\n-11\n+13\n-13\n") == {12}
