"""Hosts and registrable domains, and whose they are (decision 6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.session.domains import MAX_AUTHORITY_CHARS, foreign_site, host_of, registrable_domain, site_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.google.fr/", "www.google.fr"),
        ("https://www.google.fr", "www.google.fr"),
        ("https://www.google.fr?q=a//b", "www.google.fr"),
        ("https://www.google.fr#x", "www.google.fr"),
        ("//cdn.test/x", "cdn.test"),
        ("  https://shop.test/", "shop.test"),
        ("HTTPS://WWW.Google.FR/", "www.google.fr"),
        ("https://shop.test.:8443/a", "shop.test"),
        ("https://shop.test:/a", "shop.test"),
        ("https://user:pass@word@shop.test/", "shop.test"),
        ("https://evil.test@shop.test/", "shop.test"),
        ("https://127.0.0.1:8080/", "127.0.0.1"),
        ("http://[::1]:8080/", "::1"),
        ("http://[2001:DB8:0:0::1]/", "2001:db8::1"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("https:\\\\shop.test\\a", "shop.test"),
        ("http://bücher.de/", "bücher.de"),
        ("http://under_score.shop.test/", "under_score.shop.test"),
        # No host.
        ("", ""),
        ("-", ""),
        ("/relative/path", ""),
        ("www.google.fr/no/scheme", ""),
        ("mailto:a@b.test", ""),
        ("about:blank", ""),
        ("http://", ""),
        ("http:///path", ""),
        ("http://a..b/", ""),
        ("http://./", ""),
        ("http://:80/", ""),
        ("http://shop.test:port/", ""),
        ("http://a b.test/", ""),
        ("http://a\x00b.test/", ""),
        ("http://a%20b.test/", ""),
        ("http://[::1/", ""),
        ("http://[nonsense]/", ""),
        ("http://[::1]x/", ""),
        ("http://::1/", ""),
        ("http://" + "a" * (MAX_AUTHORITY_CHARS + 1), ""),
        ("http://" + "a" * 254 + "/", ""),
    ],
)
def test_host(url: str, host: str):
    """Decision 6: what a referrer's host is; text without one has none."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.google.fr", "google.fr"),
        ("google.fr", "google.fr"),
        ("a.b.shop.co.uk", "shop.co.uk"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        ("someone.github.io", "someone.github.io"),
        ("x.someone.github.io", "someone.github.io"),
        ("192.168.0.1", "192.168.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("www.bücher.de", "xn--bcher-kva.de"),
        ("www.xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("a." + "ü" * 70 + ".de", "a." + "ü" * 70 + ".de"),
    ],
)
def test_registrable_domain(host: str, domain: str):
    """Decision 6: by the public suffix list; a host without a registrable domain, and an address, compares whole."""
    assert registrable_domain(host) == domain


OWN = ("shop.test", ("www.boutique.example", "https://old.example.org:8080/x", "*.wild.example"))


@pytest.mark.parametrize(
    ("referrer", "foreign"),
    [
        ("https://www.google.fr/search?q=1", "google.fr"),
        ("https://shop.test/a", ""),
        ("https://deep.www.shop.test/a", ""),
        ("https://boutique.example/", ""),
        ("http://other.old.example.org/", ""),
        ("http://x.wild.example/", ""),
        ("https://shop.test.evil.example/", "evil.example"),
        ("", ""),
        ("-", ""),
    ],
)
def test_own_site_by_domain_and_aliases(referrer: str, foreign: str):
    """Decision 6: own is the same registrable domain as the site's domain or an alias; `$url` says nothing then."""
    assert foreign_site(referrer, "https://elsewhere.example/", *OWN) == foreign


@pytest.mark.parametrize(
    ("referrer", "url", "foreign"),
    [
        ("https://www.shop.test/a", "https://shop.test/b", ""),
        ("https://www.google.fr/", "https://shop.test/b", "google.fr"),
        ("https://www.google.fr/", "", "google.fr"),
        ("https://www.google.fr/", "nonsense", "google.fr"),
        ("nonsense", "", ""),
    ],
)
def test_own_site_of_a_channel_without_domain(referrer: str, url: str, foreign: str):
    """Decision 6: for a site without a domain, own is the registrable domain of the event's `$url`."""
    assert foreign_site(referrer, url, "", ()) == foreign


_PAGES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "https://", "http://", "HTTP://", "//", "http:///", "https:/"]),
    st.sampled_from(
        ["", "shop.test", "www.shop.test", "shop.test:80", "user@shop.test", "a\\shop.test", "b.test?", "#"]
    ),
    st.sampled_from(["", "/", "/a", "/a/b/", "?/"]),
)


@given(_PAGES, _PAGES)
def test_a_site_without_domain_is_compared_by_registrable_domains(referrer: str, url: str):
    site = site_of(referrer)
    assert foreign_site(referrer, url, "", ()) == ("" if site == site_of(url) else site)


@pytest.mark.slow
@given(st.text() | st.builds("http://{}/{}".format, st.text(), st.text()))
def test_any_text_has_an_answer(text: str):
    """Strangers send anything, and nothing raises."""
    host = host_of(text)
    assert host == host.lower() or not host.isascii()
    assert site_of(text) == (registrable_domain(host) if host else "")
    foreign_site(text, text, text, (text,))
