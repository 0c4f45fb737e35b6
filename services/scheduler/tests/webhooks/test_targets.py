"""The URLs and IP addresses that may receive webhooks."""

import ipaddress

import pytest

from webhooks.targets import TargetRefused, check_url, is_allowed, parse_address

PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:830::200e"]
REFUSED = {
    "unspecified": ["0.0.0.0", "::"],
    "this network": ["0.1.2.3"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1"],
    "link-local": ["169.254.0.1", "fe80::1"],
    "site-local": ["fec0::1"],
    "metadata": ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "192.0.0.192"],
    "a cloud's host": ["168.63.129.16"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "broadcast and reserved": ["255.255.255.255", "240.0.0.1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "2001:2::1"],
    "protocol assignments": ["192.0.0.1", "192.0.0.9", "2001:1::1", "2001:20::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:93.184.215.14"],
    "IPv4-compatible": ["::93.184.215.14"],
    "IPv4-translated": ["::ffff:0:127.0.0.1"],
    "6to4": ["2002:7f00:1::1", "2002:5db8:d70e::1", "192.88.99.1"],
    "Teredo": ["2001:0:5ef5:79fd::1", "2001::1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::5db8:d70e", "64:ff9b:1::7f00:1"],
    "discard": ["100::1"],
    "with a zone": ["fe80::1%eth0", "2606:4700:4700::1111%eth0"],
}
OPENED_FOR_DEVELOPMENT = ["127.0.0.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "fc00::1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str):
    assert is_allowed(ipaddress.ip_address(address), allow_private=False)
    assert is_allowed(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize("address", [pytest.param(a, id=f"{k}: {a}") for k, values in REFUSED.items() for a in values])
def test_all_others_are_refused(address: str):
    assert not is_allowed(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize("address", OPENED_FOR_DEVELOPMENT)
def test_development_opens_loopback_and_private_networks(address: str):
    assert is_allowed(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "169.254.169.254", "fe80::1", "::1%lo", "fd00:ec2::254", "224.0.0.1", "::ffff:127.0.0.1", "100.64.0.1"],
)
def test_development_opens_nothing_else(address: str):
    assert not is_allowed(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks",
        "http://example.com",
        "HTTPS://Example.COM:443/?a=b&c=%20",
        "https://example.com:8443/",
        "https://example.com:1024/",
        "http://example.com:443/",
        "https://xn--bcher-kva.example/",
        "https://receiver_1.example.com/",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]:8443/",
        "https://123.example/",
        "https://example.com/@user",
        "https://example.com/" + "x" * 1980,
    ],
)
def test_well_formed_urls_are_allowed(url: str):
    check_url(url, allow_private=False)


MALFORMED = {
    "another scheme": ["ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)"],
    "no scheme": ["example.com", "//example.com/", "https:example.com", "https:/example.com", ""],
    "no host": ["https://", "https:///path", "https://?query", "https://:443/"],
    "user": ["https://user@example.com/", "https://user:password@example.com/", "https://example.com@127.0.0.1/"],
    "fragment": ["https://example.com/#fragment", "https://example.com/#"],
    "port": [
        f"https://example.com:{port}/" for port in ("0", "22", "25", "81", "1023", "65536", "-1", "1e3", "", "٨٠")
    ],
    "decimal": ["http://2130706433/", "http://1/", "http://127.1/"],
    "octal": ["http://0177.0.0.1/", "http://017700000001/", "http://010.0.0.1/"],
    "hexadecimal": ["http://0x7f.0.0.1/", "http://0x7f000001/", "http://0X7F.1/", "http://1.1.1.0x1/"],
    "other forms of an address": [
        "http://127.0.0.1./",
        "http://127.000.000.001/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
    ],
    "look-alikes": [
        "http://ⓛocalhost/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://exаmple.com/",
        "http://localhost\u200b/",
        "http://bücher.example/",
    ],
    "what parsers disagree on": [
        "http://example.com\\@127.0.0.1/",
        "http:\\\\example.com/",
        "http://example.com /",
        " http://example.com/",
        "http://exam\tple.com/",
        "http://example.com/\r\nX: y",
        "http://example.com/\x00",
        "http://[::1/",
        "http://[::1]x/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "http://ex%61mple.com/",
        "http://example..com/",
        "http://-example.com/",
        "http://example.com:80:80/",
    ],
    "too long": ["https://example.com/" + "x" * 1981, f"https://{'a' * 64}.com/", f"https://{'a.' * 130}com/"],
    "an address that is refused": [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.1/",
    ],
}


@pytest.mark.parametrize(
    "url", [pytest.param(u, id=f"{k}: {u!a:.60}") for k, values in MALFORMED.items() for u in values]
)
def test_malformed_urls_are_refused(url: str):
    with pytest.raises(TargetRefused):
        check_url(url, allow_private=False)


def test_reason_names_the_part_at_fault():
    with pytest.raises(TargetRefused, match="four decimal numbers"):
        check_url("http://2130706433/", allow_private=False)
    with pytest.raises(TargetRefused, match="xn--"):
        check_url("http://bücher.example/", allow_private=False)


def test_development_takes_private_hosts_and_no_other_forms():
    check_url("http://127.0.0.1:9000/", allow_private=True)
    check_url("http://localhost:9000/", allow_private=True)
    with pytest.raises(TargetRefused):
        check_url("http://2130706433:9000/", allow_private=True)


@pytest.mark.parametrize("host", ["example.com", "2130706433", "0x7f.1", "127.1", "127.0.0.01", ""])
def test_only_the_canonical_form_is_an_address(host: str):
    assert parse_address(host) is None
