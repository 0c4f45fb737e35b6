import pytest
import redis
from redis.sentinel import SentinelConnectionPool

from servicekit.process.redis_url import client_of, sentinels_of


def test_sentinels_with_all_that_a_url_can_say():
    url = "rediss+sentinel://user:p%40ss@one:26380,two,[2001:db8::1]/tasks/3?ssl_ca_certs=/ca.pem&sentinel_password=s"
    client = client_of(url, timeout_seconds=0.5)

    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "tasks"
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in asked] == [("one", 26380), ("two", 26379), ("2001:db8::1", 26379)]
    assert {(each["password"], each["socket_timeout"]) for each in asked} == {("s", 0.5)}
    assert {each["ssl_ca_certs"] for each in asked} == {"/ca.pem"}
    expected = {"db": 3, "username": "user", "password": "p@ss", "ssl_ca_certs": "/ca.pem", "ssl_check_hostname": True}
    assert expected.items() <= pool.connection_kwargs.items()


def test_sentinels_without_tls_and_login():
    found = sentinels_of("redis+sentinel://one/tasks")

    assert found is not None
    assert (found.to_master, found.to_sentinels) == ({"db": 0}, {})


def test_password_is_not_shown():
    assert "s3cret" not in repr(sentinels_of("redis+sentinel://:s3cret@one/tasks?sentinel_password=s3cret"))


@pytest.mark.parametrize("url", ["redis://localhost:6380/2", "unix:///run/redis.sock"])
def test_other_urls_are_those_of_redis_py(url):
    ours, theirs = client_of(url, timeout_seconds=0.5), redis.Redis.from_url(url)

    assert sentinels_of(url) is None
    for name in ("host", "port", "db", "path"):
        kwargs = ours.connection_pool.connection_kwargs
        assert kwargs.get(name) == theirs.connection_pool.connection_kwargs.get(name)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one",
        "redis+sentinel://one/",
        "redis+sentinel:///tasks",
        "redis+sentinel://one,/tasks",
        "redis+sentinel://one:port/tasks",
        "redis+sentinel://one/tasks/x",
        "redis+sentinel://one/tasks?ssl_ca_certs=/ca.pem",
        "redis+sentinel://one/tasks?unknown=1",
        "one/tasks",
    ],
)
def test_malformed_url(url):
    with pytest.raises(ValueError, match=r"malformed|no host|Port could not|scheme"):
        client_of(url, timeout_seconds=0.5)
