"""Which lines of a log are left out."""

import pytest

from gateway.replay.access_log import LogLine
from gateway.replay.traffic import LeftOut, Traffic, load_traffic

PERSON = "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.107 Safari/537.36"
TRAFFIC = load_traffic()


def line(target: str = "/", agent: str = PERSON) -> LogLine:
    return LogLine(0, "10.0.0.1", "", "GET", target, "HTTP/1.1", f"GET {target} HTTP/1.1", 200, 0, "", agent)


@pytest.mark.parametrize(
    "target",
    [
        "/style.css",
        "/a/b/logo.PNG",
        "/x.js?v=3",
        "/favicon.ico",
        "/robots.txt",
        "/a.jpg#top",
        "/a.js;jsessionid=1",
        "/.css",
    ],
)
def test_files_that_pages_bring_along_are_static(target):
    assert TRAFFIC.left_out(line(target)) is LeftOut.STATIC


@pytest.mark.parametrize(
    "target", ["/", "", "*", "/css", "/a.png/b", "/page.html", "/a?file=x.css", "/v1.js/", "/a.", "/node.js.html"]
)
def test_pages_are_not(target):
    assert TRAFFIC.left_out(line(target)) is None


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "msnbot-media/1.1 (+http://search.msn.com/msnbot.htm)",
        "Mozilla/5.0 (compatible; archive.org_bot +http://www.archive.org/details/archive.org_bot)",
        "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "Feedfetcher-Google; (+http://www.google.com/feedfetcher.html; 1 subscribers; feed-id=1)",
        "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "curl/7.88.1",
        "python-requests/2.31.0",
        "Go-http-client/1.1",
        "Wget/1.14 (linux-gnu)",
    ],
)
def test_programs_are_crawlers(agent):
    assert TRAFFIC.left_out(line(agent=agent)) is LeftOut.CRAWLER
    assert TRAFFIC.left_out(line(agent=agent.upper())) is LeftOut.CRAWLER


@pytest.mark.parametrize(
    "agent",
    [
        "",
        PERSON,
        "Mozilla/5.0 (Linux; Android 10; CUBOT X30 Build/QP1A) AppleWebKit/537.36 Chrome/96.0 Mobile Safari/537.36",
        "Mozilla/4.0 (compatible; MSIE 7.0; AOL 9.1; AOLBuild 4334.5006; Windows NT 5.1; Trident/4.0)",
        "Mozilla/5.0 (Linux; Android 9; YaBrowser) AppleWebKit/537.36 Chrome/99.0 YaBrowser/22.3 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile Safari/604.1",
    ],
)
def test_browsers_are_not(agent):
    assert TRAFFIC.left_out(line(agent=agent)) is None


def test_a_crawler_that_fetches_a_file_is_a_crawler():
    assert TRAFFIC.left_out(line("/style.css", "Googlebot/2.1")) is LeftOut.CRAWLER


def test_without_patterns_nothing_is_left_out():
    assert Traffic([], [], []).left_out(line("/a.css", "Googlebot/2.1")) is None
