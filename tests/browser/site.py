"""Sites with the tag on them, and the collect plane they send to, under names that only the test's browser knows."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tests.e2e.server import Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOP_TOKEN: Final = "token-of-the-shop"
NEWS_TOKEN: Final = "token-of-the-news"

# The collect plane is below the shop's own domain, as a site's custom domain is: its cookie is the shop's.
COLLECT_HOST: Final = "collect.shop.test"
RESOLVER: Final = "MAP *.test 127.0.0.1"

SETTINGS: Final = f"""
[collect]
demo = true
[[datamart]]
id = 1
[[datamart.channel]]
id = "shop"
domain = "shop.test"
token = "{SHOP_TOKEN}"
live_window_ms = 300
[[datamart.channel]]
id = "news"
domain = "news.test"
token = "{NEWS_TOKEN}"
"""

PAGE: Final = """<!doctype html><html lang="en"><title>{path}</title>
<script>{before}
{snippet}
{calls}</script>
<p><a id="next" href="/next">next</a></p></html>
"""

INIT: Final = f"mics.init('{SHOP_TOKEN}');"
VISIT: Final = f"{INIT} mics.pushDefault();"


def snippet(address: str, name: str = "mics") -> str:
    """The snippet as the demo page has it, with the tag at this address."""
    source = (files("gateway.collect") / "tag" / "demo.js").read_text(encoding="utf-8")
    end = '})(window, document, "mics", "/tag.js");'
    start = source.index("(function (window, document")
    return source[start : source.index(end)] + f'}})(window, document, "{name}", "{address}");'


class _Web(ThreadingHTTPServer):
    """A web server; `scripts` holds by path what a page does before and behind the snippet."""

    daemon_threads = True

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.scripts: dict[str, tuple[str, str]] = {}
        super().__init__(("127.0.0.1", 0), _Site)


class _Site(BaseHTTPRequestHandler):
    """Any path is a page with the tag."""

    server: _Web

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        before, calls = self.server.scripts.get(path, ("", VISIT))
        body = PAGE.format(path=path, before=before, snippet=snippet(self.server.tag), calls=calls).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


class World:
    """A collect plane and a web server, whose pages are reached by any name below `.test`.

    Attributes:
        server: the running sojourn.
        collect: address of its collect plane, as pages know it.
    """

    def __init__(self, server: Server, web: _Web) -> None:
        self.server = server
        self.collect = _collect_of(server)
        self._web = web
        self._pages = 0

    def page(self, calls: str = VISIT, *, before: str = "", host: str = "www.shop.test", path: str = "") -> str:
        """The address of a page whose script does this, behind the snippet and before it."""
        self._pages += 1
        path = path or f"/page-{self._pages}"
        self._web.scripts[path] = (before, calls)
        return f"http://{host}:{self._web.server_port}{path}"

    def activities(self, selector: str) -> list[dict[str, Any]]:
        """What is stored and open of a user, newest first."""
        found = self.server.get(f"user_timelines/{selector}/user_activities", live="true")
        return [] if found.status_code == 404 else found.json()["data"]


class Visitor:
    """A browser of its own, looking at one page."""

    def __init__(self, world: World, page: "Page") -> None:
        self.world = world
        self.page = page

    @property
    def cookie(self) -> dict[str, Any] | None:
        """The collect plane's cookie."""
        return next((one for one in self.page.context.cookies() if one["name"] == "sojourn_vid"), None)

    def activities(self, selector: str = "") -> list[dict[str, Any]]:
        """By a selector, or by the cookie."""
        if not selector:
            if self.cookie is None:
                return []
            selector = f"user_agent_id=vec:{self.cookie['value']}"
        return self.world.activities(selector)

    def events(self, selector: str = "") -> list[dict[str, Any]]:
        """All events, in order of time."""
        found = [event for one in self.activities(selector) for event in one["$events"]]
        return sorted(found, key=lambda event: event["$ts"])

    def names(self, selector: str = "") -> list[str]:
        """Of all events, in order of time."""
        return [event["$event_name"] for event in self.events(selector)]

    def wait_for(self, names: list[str], selector: str = "") -> list[dict[str, Any]]:
        """The events, once these and no others are there."""
        found: list[str] = []
        for _ in range(400):
            found = self.names(selector)
            if found == names:
                return self.events(selector)
            self.page.wait_for_timeout(25)
        raise AssertionError(f"{found} instead of {names}")

    def do(self, calls: str) -> Any:
        """Run a script in the page."""
        return self.page.evaluate(f"() => {{ {calls} }}")

    def wait_until(self, condition: str) -> None:
        """Until a JavaScript expression is true in the page."""
        self.page.wait_for_function(condition, timeout=10_000)

    def wait_sent(self) -> None:
        """Until the tag has an answer to everything."""
        self.wait_until("() => !Object.keys(localStorage).some((key) => key.startsWith('mics|'))")

    def queued(self) -> list[str]:
        """Names of the events in localStorage."""
        values = self.do("return Object.keys(localStorage).sort().map((key) => localStorage[key])")
        return [entry["event"]["$ev"] for value in values for entry in json.loads(value)["queue"]]


def _collect_of(server: Server) -> str:
    return f"http://{COLLECT_HOST}:{urlsplit(server.collect).port}"


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Both servers, until the block ends."""
    config = folder / "sojourn.toml"
    config.write_text(SETTINGS, encoding="utf-8")
    with serving(folder / "data", "--config", str(config), env={"SOJOURN_SITE_TOKEN": SHOP_TOKEN}) as server:
        web = _Web(f"{_collect_of(server)}/tag.js")
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, name="sites")
        thread.start()
        try:
            yield World(server, web)
        finally:
            web.shutdown()
            thread.join()
            web.server_close()
