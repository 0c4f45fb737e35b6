"""REDIS_URL means the same to redis-py, which the probe uses, and to kombu, which carries the messages."""

import pytest
import redis
from kombu import Connection
from kombu.transport.redis import Channel

from scheduler_service.broker import broker_url
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
        "redis://[s3cret",
    ],
)
def test_anything_else_stops_the_start_and_shows_no_password(url):
    with pytest.raises(ConfigurationError) as caught:
        broker_url(url)
    assert str(caught.value).startswith("REDIS_URL: ")
    assert "s3cret" not in str(caught.value)
