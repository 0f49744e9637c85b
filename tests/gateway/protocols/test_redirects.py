"""Targets of clicks: what browsers read in other ways than we do never passes."""

from contextlib import suppress
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.protocols.pixels.redirects import is_allowed, parse_target, split_redirect
from gateway.errors import RequestError

ALLOWED = frozenset({"shop.test"})


def location(address: str) -> str:
    return parse_target(quote(address, safe="")).location


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://shop.test", "https://shop.test"),
        ("http://shop.test/", "http://shop.test/"),
        ("HTTPS://Shop.TEST:443/A?b#C", "https://shop.test:443/A?b#C"),
        ("https://shop.test.", "https://shop.test"),
        ("https://shop.test:", "https://shop.test"),
        ("https://shop.test?x=1", "https://shop.test?x=1"),
        ("https://shop.test#@evil.test", "https://shop.test#@evil.test"),
        ("https://shop.test/@evil.test", "https://shop.test/@evil.test"),
        ("https://shop.test//evil.test", "https://shop.test//evil.test"),
        ('https://shop.test/a b"<>é%20', "https://shop.test/a%20b%22%3C%3E%C3%A9%20"),
        ("https://BÜCHER.test/", "https://xn--bcher-kva.test/"),
        ("https://ｓｈｏｐ.test/", "https://shop.test/"),
        ("https://shop。test/", "https://shop.test/"),
        ("https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443/"),
        ("https://localhost:3000/", "https://localhost:3000/"),
        ("https://a_b.shop.test/", "https://a_b.shop.test/"),
    ],
)
def test_an_address_leaves_in_the_form_that_was_looked_at(address, found):
    assert location(address) == found


@pytest.mark.parametrize(
    "address",
    [
        "",
        "shop.test",
        "/path",
        "//shop.test/",
        "https:shop.test",
        "https:/shop.test",
        "https:///shop.test",
        "https://",
        "https:///",
        "https://?",
        "ftp://shop.test/",
        "javascript:alert(1)",
        "data:text/html,x",
        "javascript://shop.test/%0aalert(1)",
        "https://user@shop.test/",
        "https://user:secret@shop.test/",
        "https://shop.test@evil.test/",
        "https://shop.test:443@evil.test/",
        "https://shop.test\\@evil.test/",
        "https://evil.test\\.shop.test/",
        "https:\\\\evil.test",
        "https://evil.test/\\..",
        "https://shop.test/\r\nSet-Cookie: a=b",
        "https://shop.test/\x00",
        "https://sh\top.test/",
        " https://shop.test/",
        "\thttps://shop.test/",
        "https://shop.test%2eevil.test/",
        "https://shop test/",
        "https://shop..test/",
        "https://.shop.test/",
        "https://-/ ".replace("-", "a" * 300),
        "https://" + ".".join(["abcdefgh"] * 40) + "/",
        "https://evil.test／.shop.test/",
        "https://evil℀.test/",
        "https://shop.test:99999/",
        "https://shop.test:x/",
        "https://shop.test:-1/",
        "https://shop.test:٣/",
        "https://shop.test:1:2/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[fe80::1%25eth0]/",
        "https://[shop.test]/",
        "https://shop.test/" + "a" * 9000,
    ],
)
def test_an_address_that_may_be_read_in_two_ways_is_refused(address):
    with pytest.raises(RequestError) as refused:
        location(address)
    assert (refused.value.status, refused.value.code, refused.value.path) == (400, "bad_redirect", "$redirect")


def test_who_is_refused_for_user_info_is_told_so():
    with pytest.raises(RequestError, match="user info"):
        location("https://user@shop.test/")


def test_it_is_decoded_once():
    with pytest.raises(RequestError):
        parse_target(quote(quote("https://shop.test/", safe=""), safe=""))
    assert parse_target("https%3A%2F%2Fshop.test%2F%3Fq%3Da%2Bb+c").address == "https://shop.test/?q=a+b+c"
    with pytest.raises(RequestError, match="UTF-8"):
        parse_target("https%3A%2F%2Fshop.test%2F%FF")


@pytest.mark.parametrize(
    ("query", "before", "value"),
    [
        ("a=1&$redirect=x&b=2", "a=1", "x"),
        ("a=1&%24redirect=x%26y", "a=1", "x%26y"),
        ("$redirect=x=y", "", "x=y"),
        ("$redirect", "", ""),
        ("a=$redirect=x", "a=$redirect=x", None),
        ("redirect=x", "redirect=x", None),
        ("", "", None),
    ],
)
def test_the_query_ends_at_redirect(query, before, value):
    assert split_redirect(query) == (before, value)


@pytest.mark.parametrize(
    ("host", "allowed", "expected"),
    [
        ("shop.test", {"shop.test"}, True),
        ("www.shop.test", {"shop.test"}, True),
        ("shop.test", {"www.shop.test"}, False),
        ("xshop.test", {"shop.test"}, False),
        ("shop.test", set(), False),
        ("shop.test", {""}, False),
        ("xn--bcher-kva.test", {"bücher.test"}, True),
        ("192.0.2.1", {"192.0.2.1"}, True),
        ("9.192.0.2.1", {"192.0.2.1"}, False),
        ("[2001:db8::1]", {"test"}, False),
    ],
)
def test_a_host_is_allowed_with_all_below_it(host, allowed, expected):
    assert is_allowed(host, allowed) is expected


HOSTS = st.sampled_from(["shop.test", "evil.test", "EVIL.test", "shop.test.evil.test"])
PIECES = st.lists(
    st.sampled_from(
        ["https://", "http:", "//", "/", "\\", "@", ":", "#", "?", "\t", " ", "%2f", "%40", "。", "／", "a"]
    )
    | HOSTS,
    max_size=7,
)


@given(PIECES.map("".join))
def test_what_passes_leads_to_the_host_that_was_looked_at(address):
    try:
        target = parse_target(quote(address, safe=""))
    except RequestError:
        return
    found = urlsplit(target.location)
    assert found.hostname == target.host.strip("[]")
    assert found.username is None
    assert target.location.isascii()
    assert not set(target.location) & set("\\\t\r\n ")
    # A second look finds the same: the answer is a fixed point.
    assert parse_target(quote(target.location, safe="")).location == target.location


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.binary().map(quote))
def test_any_text_passes_or_is_refused(text):
    with suppress(RequestError):
        assert parse_target(text).location.startswith(("http://", "https://"))
