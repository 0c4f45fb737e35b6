"""REDIS_URL has the same meaning for redis-py, which the probe uses, and for kombu, which sends the messages."""

import ssl

import pytest
import redis
from kombu import Connection
from kombu.transport.redis import Channel

from scheduler_service.broker import broker_url, transport_options
from servicekit.process.env import ConfigurationError

SAME = ["host", "port", "path", "username", "password", "db"]


def as_kombu_reads_it(url: str) -> dict[str, object]:
    channel = Channel.__new__(Channel)  # Its constructor would connect.
    channel.connection = type("Transport", (), {"client": Connection(broker_url(url)), "default_port": 6379})()
    return channel._connparams()


@pytest.mark.parametrize(
    "url",
    [
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=3",
        "unix://:p%40ss%2Fword@/run/redis.sock",
        "unix://user:p%40ss@/run/my%20redis.sock?db=15",
        "redis://localhost",
        "redis://user:p%40ss%2Fword@redis:6380/3",
    ],
)
def test_both_connect_alike(url):
    ours = as_kombu_reads_it(url)
    theirs = {"db": 0, **redis.Redis.from_url(url).connection_pool.connection_kwargs}
    if "host" in theirs:
        theirs.setdefault("port", 6379)
    assert {name: ours.get(name) for name in SAME} == {name: theirs.get(name) for name in SAME}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}),
        (
            "?ssl_ca_certs=%2Fsrv%2Fca.pem",
            {"ssl_ca_certs": "/srv/ca.pem", "ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True},
        ),
        (
            "?ssl_cert_reqs=none&ssl_check_hostname=false",
            {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False},
        ),
    ],
)
@pytest.mark.parametrize("start", ["rediss://:p%40ss@redis:6380/3", "rediss+sentinel://:p%40ss@one,two/tasks/3"])
def test_certificate_is_checked_unless_the_url_says_otherwise(start, options, expected):
    """By default, kombu verifies no certificate."""
    connection = Connection(broker_url(start + options))

    assert connection.ssl == expected
    assert (connection.password, connection.virtual_host) == ("p@ss", "3")


def test_kombu_asks_every_sentinel_for_the_master():
    url = "redis+sentinel://user:p%40ss@one:26380,two,[2001:db8::1]/tasks/3?sentinel_username=u&sentinel_password=s%26t"

    connection = Connection(broker_url(url))

    assert connection.alt == [
        "sentinel://user:p%40ss@one:26380/3",
        "sentinel://user:p%40ss@two:26379/3",
        "sentinel://user:p%40ss@[2001:db8::1]:26379/3",
    ]
    options = transport_options(url)
    assert options["master_name"] == "tasks"
    assert options["sentinel_kwargs"] == {
        "socket_timeout": 1,
        "socket_connect_timeout": 1,
        "username": "u",
        "password": "s&t",
    }


def test_one_redis_needs_no_options():
    assert transport_options("redis://localhost") == {}


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://s3cret@localhost",
        "memory://",
        "unix://",
        "unix:///",
        "unix://run/redis.sock",
        "unix:///run/redis.sock?db=s3cret",
        "unix:///run/redis.sock?s3cret=1",
        "unix://:s3cret#1@/run/redis.sock",
        "redis://:s3cret@host:port",
        "redis+sentinel://:s3cret@host/",
        "redis+sentinel://:s3cret@/master",
        "redis+sentinel://:s3cret@host:port/master",
        "redis+sentinel://host/master/s3cret",
        "redis+sentinel://host/master?s3cret=1",
        "redis+sentinel://host/master?ssl_ca_certs=s3cret",
        "redis://[s3cret",
    ],
)
def test_anything_else_stops_the_start_and_shows_no_password(url):
    with pytest.raises(ConfigurationError) as caught:
        broker_url(url)
    assert str(caught.value).startswith("REDIS_URL: ")
    assert "s3cret" not in str(caught.value)
