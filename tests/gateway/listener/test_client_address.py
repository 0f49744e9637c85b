"""Who sent a request: what trusted proxies say counts, what stands before it in a list was written by strangers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.listener.client_address import FORWARDED, X_FORWARDED_FOR, Proxies, plain_address

TRUSTED = ("10.0.0.0/8", "192.0.2.1", "fd00::/8")
PEER = "10.0.0.1"


def client(text: str | None, *, header: str = X_FORWARDED_FOR, proto: str | None = None, **more: str) -> str:
    """Whom a trusted proxy means; `+tls` where the client came over TLS."""
    headers = {name: value for name, value in {header: text, "x-forwarded-proto": proto, **more}.items() if value}
    address, secure = Proxies(TRUSTED, header).client_of(PEER, headers, secure=False)
    return f"{address}+tls" if secure else address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, PEER),
        ("", PEER),
        ("203.0.113.5", "203.0.113.5"),
        (" 203.0.113.5 ", "203.0.113.5"),
        ("203.0.113.5, 10.1.1.1", "203.0.113.5"),
        ("203.0.113.5,192.0.2.1,10.1.1.1", "203.0.113.5"),
        ("198.51.100.9, 203.0.113.5", "203.0.113.5"),
        ("10.9.9.9, 203.0.113.5", "203.0.113.5"),
        ("198.51.100.9, 203.0.113.5, 10.1.1.1", "203.0.113.5"),
        ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("203.0.113.5:4711", "203.0.113.5"),
        ("[2001:db8::5]:4711", "2001:db8::5"),
        ("[2001:db8::5]", "2001:db8::5"),
        ("2001:db8::5", "2001:db8::5"),
        ("2001:DB8:0::5", "2001:db8::5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("203.0.113.5, ::ffff:10.1.1.1", "203.0.113.5"),
        ("203.0.113.5, fd00::1", "203.0.113.5"),
        ("unknown", PEER),
        ("203.0.113.5, unknown", PEER),
        ("203.0.113.5, unknown, 10.1.1.1", "10.1.1.1"),
        ("203.0.113.5, _hidden", PEER),
        ("203.0.113.5,", PEER),
        ("203.0.113.5, 1.2.3", PEER),
        ("203.0.113.5, 010.1.1.1", PEER),
        ("example.org", PEER),
        ('", 203.0.113.5', "203.0.113.5"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_x_forwarded_for(text: str | None, expected: str):
    assert client(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for=203.0.113.5", "203.0.113.5"),
        ("For=203.0.113.5;Proto=HTTPS", "203.0.113.5+tls"),
        ('for="203.0.113.5:4711"; proto="https"', "203.0.113.5+tls"),
        ('for="[2001:db8::5]:4711"', "2001:db8::5"),
        ('by=10.0.0.1;for="[2001:db8::5]";host=x', "2001:db8::5"),
        ("for=203.0.113.5, for=10.1.1.1", "203.0.113.5"),
        ("for=198.51.100.9, for=203.0.113.5", "203.0.113.5"),
        ("for=203.0.113.5;proto=https, for=10.1.1.1;proto=http", "203.0.113.5+tls"),
        ("for=203.0.113.5;proto=http, for=10.1.1.1;proto=https", "203.0.113.5"),
        ("for=198.51.100.9;proto=https, for=203.0.113.5;proto=http", "203.0.113.5"),
        ("for=unknown", PEER),
        ("for=_hidden", PEER),
        ("for=203.0.113.5, for=unknown", PEER),
        ("proto=https", PEER),
        ("xfor=203.0.113.5", PEER),
        ('host="for=198.51.100.9";for=203.0.113.5', "203.0.113.5"),
        # What a stranger leaves open does not swallow what a proxy has appended.
        ('for="198.51.100.9, for=203.0.113.5', "203.0.113.5"),
        ('for=198.51.100.9;x=", for="[2001:db8::5]"', "2001:db8::5"),
        ('for=198.51.100.9;x="a, for="203.0.113.5:80", for=10.1.1.1', "203.0.113.5"),
        ("", PEER),
        (None, PEER),
    ],
)
def test_forwarded(text: str | None, expected: str):
    assert client(text, header=FORWARDED) == expected


@pytest.mark.parametrize(
    ("text", "proto", "expected"),
    [
        ("203.0.113.5", "https", "203.0.113.5+tls"),
        ("203.0.113.5", "HTTPS", "203.0.113.5+tls"),
        ("203.0.113.5", "http", "203.0.113.5"),
        ("203.0.113.5", "ftp", "203.0.113.5"),
        ("203.0.113.5, 10.1.1.1", "https", "203.0.113.5+tls"),
        ("203.0.113.5, 10.1.1.1", "https, http", "203.0.113.5+tls"),
        ("203.0.113.5, 10.1.1.1", "http, https", "203.0.113.5"),
        ("203.0.113.5", "https, http", "203.0.113.5"),
        (None, "https", PEER),
    ],
)
def test_x_forwarded_proto(text: str | None, proto: str, expected: str):
    assert client(text, proto=proto) == expected


def test_the_header_that_the_proxies_do_not_keep_is_a_strangers():
    assert client("203.0.113.5", forwarded="for=198.51.100.9;proto=https") == "203.0.113.5"
    stranger = {X_FORWARDED_FOR: "198.51.100.9", "x-forwarded-proto": "https"}
    assert client("for=203.0.113.5", header=FORWARDED, **stranger) == "203.0.113.5"


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.255.0.1", True),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("fd12::1", True),
        ("2001:db8::1", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_who_is_trusted(address: str, trusted: bool):
    assert Proxies(TRUSTED).trusts(address) is trusted
    assert not Proxies(()).trusts(address)


def test_a_stranger_decides_nothing_but_what_stands_before_the_proxys_word():
    spoofed = "198.51.100.9"
    for before in (f"{spoofed}, ", f'"{spoofed}', f"{spoofed};for={spoofed}, ", "x" * 10_000 + ", "):
        assert client(f"{before}, 203.0.113.5, 10.1.1.1") == "203.0.113.5"


@given(st.text(st.sampled_from('0123456789.:[]",;= for'), max_size=60), st.sampled_from([FORWARDED, X_FORWARDED_FOR]))
def test_whatever_a_stranger_writes_the_proxys_word_counts(before: str, header: str):
    written = "203.0.113.5" if header == X_FORWARDED_FOR else 'for="203.0.113.5:80"'
    assert client(f"{before}, {written}", header=header) == "203.0.113.5"


@given(st.text(max_size=80), st.sampled_from([FORWARDED, X_FORWARDED_FOR]))
def test_nothing_is_an_error(text: str, header: str):
    assert client(text, header=header, proto=text)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
    ],
)
def test_an_address_as_people_write_it(address: str, expected: str):
    assert plain_address(address) == expected
