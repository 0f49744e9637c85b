"""URL_MATCH: every row of 5.3 and every clause of decision 23; the index is no more than matching one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallerError
from engine.pipeline.event_rules.address import address_of
from engine.pipeline.event_rules.pattern import MAX_SEGMENTS, parse_pattern
from engine.pipeline.event_rules.pattern_index import PatternIndex
from tests.pipeline.rules import activity as activity_of
from tests.pipeline.rules import (
    counts,
    defined,
    event,
    fault_of,
    names,
    notes_of,
    page,
    run,
    told,
    url_match,
    verdict_on,
)


def extracted(pattern, url):
    """What the pattern takes from an address, by itself and by way of the index; None where it does not match."""
    parsed, address = parse_pattern(pattern, "here"), address_of(url)
    alone = parsed.match(address) if address is not None else None
    indexed = PatternIndex([parsed]).match(address) if address is not None else []
    assert indexed == ([] if alone is None else [(0, alone)])
    return alone


ARTICLE = "https://foo.bar/category/0001/article/super-awesome-article"


def test_5_3_sample_of_the_platform():
    rules = defined(
        url_match(
            "https://foo.bar/category/:category/article/:article_id",
            "article_view",
            category=":category",
            article_id=":article_id",
            source="web",
        )
    )
    after = run(rules, page(ARTICLE, ts=7, referrer="https://www.google.fr/"))
    copied = {"$url": ARTICLE, "$referrer": "https://www.google.fr/"}
    said = {"category": "0001", "article_id": "super-awesome-article", "source": "web"}
    assert told(after)[1] == ("article_view", copied | said)
    assert names(after) == ["$page_view", "article_view"]
    assert [one.ts_ms for one in after.events] == [7, 7]
    assert b'"$ts":7' in after.events[1].body


@pytest.mark.parametrize(
    ("pattern", "url", "found"),
    [
        ("https://foo.bar/category/:category/article/:article_id", ARTICLE,
         {"category": "0001", "article_id": "super-awesome-article"}),
        ("https://foo.bar/*/article/:id", "https://foo.bar/news/article/7", {"id": "7"}),
        ("https://foo.bar/search?q=:terms", "https://foo.bar/search?q=shoes", {"terms": "shoes"}),
        ("https://foo.bar/category/:c", "https://foo.bar/category/1/x", None),
    ],
)  # fmt: skip
def test_5_3_rows(pattern, url, found):
    assert extracted(pattern, url) == found


@pytest.mark.parametrize(
    ("clause", "pattern", "url", "found"),
    [
        ("scheme ignored", "https://a.b/x", "http://a.b/x", {}),
        ("scheme ignored", "a.b/x", "app://a.b/x", {}),
        ("scheme ignored", "//a.b/x", "a.b/x", {}),
        ("the port that a scheme implies, too", "a.b:443/x", "http://a.b:80/x", {}),
        ("another port counts", "a.b/x", "https://a.b:8443/x", None),
        ("another port counts", "a.b:8443/x", "https://a.b:8443/x", {}),
        ("host ignores case", "https://Foo.BAR/x", "https://fOO.bar/x", {}),
        ("host as browsers send it", "https://münchen.test/x", "https://xn--mnchen-3ya.test/x", {}),
        ("www. counts", "https://foo.bar/x", "https://www.foo.bar/x", None),
        ("www. counts", "https://www.foo.bar/x", "https://foo.bar/x", None),
        ("user info is no host", "https://a.b/x", "https://me:pw@a.b/x", {}),
        ("path keeps case", "https://a.b/X", "https://a.b/x", None),
        ("path keeps case", "https://a.b/:v", "https://a.b/Xy", {"v": "Xy"}),
        ("trailing slash ignored", "https://a.b/x/", "https://a.b/x", {}),
        ("trailing slash ignored", "https://a.b/x", "https://a.b/x/", {}),
        ("trailing slash ignored", "https://a.b", "https://a.b/", {}),
        ("trailing slash ignored", "https://a.b/", "https://a.b?x=1", {}),
        ("only one of them", "https://a.b/x", "https://a.b/x//", None),
        (":name is one segment", "https://a.b/:v", "https://a.b/", None),
        (":name is one segment", "https://a.b/:v/c", "https://a.b//c", None),
        ("percent-decoded", "https://a.b/:v", "https://a.b/caf%C3%A9%20noir", {"v": "café noir"}),
        ("percent-decoded after parting", "https://a.b/:v", "https://a.b/a%2Fb", {"v": "a/b"}),
        ("percent-decoded on both sides", "https://a.b/caf%c3%a9", "https://a.b/café", {}),
        ("+ is no space in a path", "https://a.b/:v", "https://a.b/a+b", {"v": "a+b"}),
        ("a bad escape stays", "https://a.b/:v", "https://a.b/100%", {"v": "100%"}),
        ("* is one segment", "https://a.b/*/c", "https://a.b/x/y/c", None),
        ("* is one segment", "https://a.b/*/c", "https://a.b/c", None),
        ("** is the rest", "https://a.b/x/**", "https://a.b/x/y/z", {}),
        ("** is the rest, also none", "https://a.b/x/**", "https://a.b/x", {}),
        ("** begins where it stands", "https://a.b/x/**", "https://a.b/y/x", None),
        ("** behind a variable", "https://a.b/:v/**", "https://a.b/1/2/3", {"v": "1"}),
        ("** alone", "https://a.b/**", "https://a.b/", {}),
        ("q=:terms captures", "https://a.b/s?q=:t", "https://a.b/s?x=1&q=shoes", {"t": "shoes"}),
        ("q=:terms must be there", "https://a.b/s?q=:t", "https://a.b/s?x=1", None),
        ("form-decoded", "https://a.b/s?q=:t", "https://a.b/s?q=red+shoes%21", {"t": "red shoes!"}),
        ("form-decoded on both sides", "https://a.b/s?q=a+b", "https://a.b/s?q=a%20b", {}),
        ("the first of several", "https://a.b/s?q=:t", "https://a.b/s?q=1&q=2", {"t": "1"}),
        ("q=x must equal", "https://a.b/s?q=x", "https://a.b/s?q=x", {}),
        ("q=x must equal", "https://a.b/s?q=x", "https://a.b/s?q=y", None),
        ("q=x must equal, one of several", "https://a.b/s?q=x", "https://a.b/s?q=y&q=x", {}),
        ("values keep case", "https://a.b/s?q=x", "https://a.b/s?q=X", None),
        ("q is there with any value", "https://a.b/s?q", "https://a.b/s?q=7", {}),
        ("q=* likewise", "https://a.b/s?q=*", "https://a.b/s?q", {}),
        ("q=* must be there", "https://a.b/s?q=*", "https://a.b/s", None),
        ("each must be there", "https://a.b/s?q=:t&l=fr", "https://a.b/s?q=1", None),
        ("each must be there", "https://a.b/s?q=:t&l=fr", "https://a.b/s?l=fr&q=1", {"t": "1"}),
        ("others are ignored", "https://a.b/s", "https://a.b/s?utm_source=x", {}),
        ("the fragment is ignored", "https://a.b/s", "https://a.b/s#top?q=1", {}),
        ("a star and a colon as they are", "https://a.b/%2A/%3Ax", "https://a.b/*/:x", {}),
        ("a colon inside a segment", "https://a.b/wiki/Talk:Foo", "https://a.b/wiki/Talk:Foo", {}),
        ("no host, no match", "https://a.b/s", "/s", None),
        ("no host, no match", "https://a.b/s", "about:blank", None),
        ("an IPv6 host", "http://[::1]:8080/:v", "http://[0:0::1]:8080/x", {"v": "x"}),
    ],
)  # fmt: skip
def test_decision_23(clause, pattern, url, found):
    assert extracted(pattern, url) == found, clause


def test_5_3_only_page_views_and_only_their_url():
    rules = defined(url_match("https://a.b/x"))
    events = (
        event("page_view", url="https://a.b/x"),
        event("$item_view", url="https://a.b/x"),
        event("$page_view", referrer="https://a.b/x"),
        event("$page_view", url=["https://a.b/x"]),
        event("$page_view"),
    )
    assert len(run(rules, *events).events) == len(events)


def test_decision_23_all_matching_rules_fire_in_order_behind_their_source():
    rules = defined(url_match("a.b/:v", "first", v=":v"), url_match("a.b/*", "second"), url_match("a.b/**", "third"))
    after = run(rules, page("https://a.b/1", ts=1), event("other", 2), page("https://a.b/2", ts=3))
    assert names(after) == ["$page_view", "first", "second", "third", "other", "$page_view", "first", "second", "third"]
    assert [one.ts_ms for one in after.events] == [1, 1, 1, 1, 2, 3, 3, 3, 3]


def test_decision_23_the_template_sets_url_and_referrer_if_it_likes():
    rules = defined(url_match("a.b/x", "m", **{"$url": "mine", "$referrer": None}))
    assert told(run(rules, page("https://a.b/x", referrer="r")))[1] == ("m", {"$url": "mine", "$referrer": None})


def test_decision_23_in_a_template_name_alone_is_replaced():
    template = {
        "alone": ":v",
        "within": "x:v",
        "spaced": ": v",
        "smile": ":)",
        "number": 7,
        "$items": [{"$id": ":v", "$qty": 1}, ":v"],
    }
    _, said = told(run(defined(url_match("a.b/:v", "m", **template)), page("https://a.b/%22q%22")))[1]
    assert said.pop("$url") == "https://a.b/%22q%22"
    items = [{"$id": '"q"', "$qty": 1}, '"q"']
    assert said == template | {"alone": '"q"', "$items": items}


@pytest.mark.parametrize(
    "pattern",
    [
        "/category/:c", "https:///x", "*.foo.bar/x", "https://*/x", "foo.bar:port/x", "?q=:t", "a b.c/x",
        "a.b/x y", "a.b/x#top", "a.b/:", "a.b/:1a", "a.b/:a.html", "a.b/x*", "a.b/**/x", "a.b/***", "a.b/:v/:v",
        "a.b/:v?q=:v", "a.b/?q=:", "a.b/?q=x*", "a.b/?=x", "a.b/?:q=x", "a.b/?a&&b", "a.b\\x", "a.b/" + "x/" * 65,
        "a.b/:größe",
    ],
)  # fmt: skip
def test_a_pattern_that_is_none_is_refused_with_its_place(pattern):
    assert fault_of(copy_of_good := url_match("a.b/x")) is None
    assert fault_of(copy_of_good, url_match(pattern)) == ("bad_definition", "event_rules[1].pattern")


def test_a_template_that_names_what_is_not_extracted_is_refused_with_its_place():
    at = "event_rules[0].event_template.$properties"
    assert fault_of(url_match("a.b/:v", a=":v", b=":w")) == ("bad_definition", f"{at}.b")
    assert fault_of(url_match("a.b/:v", **{"$items": [1, {"$id": ":id"}]})) == ("bad_definition", f"{at}.$items[1].$id")


def test_a_rule_of_a_channel_runs_behind_those_of_the_datamart_and_nowhere_else():
    rules = defined(
        url_match("a.b/x", "site 1", channel="site:1"),
        url_match("a.b/x", "all"),
        url_match("a.b/x", "app", channel="app:1"),
    )
    assert names(run(rules, page("a.b/x"))) == ["$page_view", "all", "site 1"]
    assert names(run(rules, page("a.b/x"), channel=None)) == ["$page_view", "all"]


def test_notes_say_which_matched_and_why_the_others_did_not():
    rules = defined(
        url_match("a.b/:v", "m"),
        url_match("b.b/x"),
        url_match("a.b/x/y"),
        url_match("a.b/z"),
        url_match("a.b/x?q=1"),
        url_match("a.b/x?q=:q"),
    )
    assert notes_of(rules, page("https://a.b/x")) == [
        ("0", "matched", "m made of a.b: v='x'"),
        ("1", "skipped", "the host is a.b, not b.b"),
        ("2", "skipped", "the path has 1 segments, not 2"),
        ("3", "skipped", "segment 1 is 'x', not 'z'"),
        ("4", "skipped", "no parameter q=1"),
        ("5", "skipped", "no parameter q"),
    ]
    assert notes_of(rules, event("other"))[0] == ("0", "skipped", "no $page_view")


def test_events_are_counted_once_and_matches_by_type():
    rules = defined(url_match("a.b/x"), url_match("a.b/*"))
    verdict = verdict_on(rules, activity_of(page("a.b/x"), page("a.b/y"), page("a.b/y/z")))
    assert counts(verdict) == {"events_step.EVENT_RULES": 2, "event_rules_matched.URL_MATCH": 3}


HOSTS = st.sampled_from(["a.b", "www.a.b", "c.d"])
WORDS = st.sampled_from(["x", "y", "%41", "A", ""])
PATTERN_PARTS = st.sampled_from(["x", "y", "A", "*", ":v", ":w"])
VALUES = st.sampled_from(["", "1", "2", "a+b"])


@st.composite
def patterns(draw):
    segments = draw(st.lists(PATTERN_PARTS, max_size=3).filter(lambda parts: not {":v", ":w"} & set(parts[:-1]) or
                                                              len(set(parts)) == len(parts)))  # fmt: skip
    tail = draw(st.sampled_from(["", "/", "/**"]))
    query = draw(st.lists(st.sampled_from(["q=1", "q=:t", "q", "p=*", "p=a+b"]), max_size=2, unique=True))
    return "/".join([draw(HOSTS), *segments]) + tail + ("?" + "&".join(query) if query else "")


URLS = st.builds(
    lambda scheme, host, path, query: f"{scheme}{host}/{'/'.join(path)}" + ("?" + "&".join(query) if query else ""),
    st.sampled_from(["https://", "http://", ""]),
    HOSTS,
    st.lists(WORDS, max_size=4),
    st.lists(st.builds("{}={}".format, st.sampled_from("pq"), VALUES), max_size=3),
)


@given(st.lists(patterns(), max_size=12), URLS)
def test_the_index_finds_what_matching_one_by_one_finds(texts, url):
    parsed = []
    for text in texts:
        try:
            parsed.append(parse_pattern(text, ""))
        except CallerError:
            continue
    address = address_of(url)
    naive = [(number, found) for number, one in enumerate(parsed) if (found := one.match(address)) is not None]
    assert PatternIndex(parsed).match(address) == naive


ADDRESSES = st.text("ab.:/?#&=%*@[]\\ \x00é+2F", max_size=30) | st.text(max_size=40)


@given(ADDRESSES)
def test_any_address_is_read_and_matched_without_a_fault(url):
    rules = defined(url_match("a.b/**"), url_match("a/:v?a=:w"))
    after = run(rules, page(url))
    assert after.events[0].name == "$page_view"
    address = address_of(url)
    assert address is None or (address.host and "\n" not in address.host)


@given(ADDRESSES | st.text("ab./:*?=&v", max_size=20))
def test_any_text_is_a_pattern_or_a_refusal(text):
    refusal = fault_of(url_match(text)) if text else None
    if not text or refusal is not None:
        assert refusal in (None, ("bad_definition", "event_rules[0].pattern"))
    else:
        pattern = parse_pattern(text, "there")
        assert len(pattern.segments) <= MAX_SEGMENTS
        if not pattern.names and "*" not in text:
            assert pattern.match(address_of(text)) == {}, "without variables it is an address that it matches"
