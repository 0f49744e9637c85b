"""`GET /demo`: a page with the tag on it, which sends real events and shows the answers. A setting turns it on.

The page is self-contained and runs under a policy that allows nothing from elsewhere and nothing inline.
"""

from functools import cache, partial
from html import escape
from importlib.resources import files
from typing import Final

from gateway.collect.collect import Collect
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.errors import RequestError

PROTOCOL: Final = "demo"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# Off, they are routes all the same: another protocol's pattern must not answer in their place.
_FILES: Final = {
    "/demo": ("demo.html", "text/html; charset=utf-8"),
    "/demo.js": ("demo.js", "text/javascript; charset=utf-8"),
    "/demo.css": ("demo.css", "text/css; charset=utf-8"),
}


def routes(collect: Collect) -> tuple[Route, ...]:
    """The page and its two files."""
    return tuple(
        Route("GET", path, partial(get_file, collect, name, kind), protocol=PROTOCOL)
        for path, (name, kind) in _FILES.items()
    )


def get_file(collect: Collect, name: str, kind: str, request: Request) -> Reply:
    """One file of the demo; the page holds the public token of the first site of the first datamart.

    Raises:
        RequestError: 404, the demo is off, or that datamart has no site.
    """
    if not collect.settings.collect.demo:
        raise RequestError(404, "not_found", "Resource Not Found")
    text = _text(name)
    if name == "demo.html":
        text = text.replace("{{site_token}}", escape(_token(collect)))
    headers = (
        ("content-type", kind),
        ("cache-control", "no-store"),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
    )
    return Reply(200, headers, text.encode())


def _token(collect: Collect) -> str:
    datamart = collect.settings.datamarts[0].id
    try:
        return collect.engine.site(datamart).token
    except LookupError:
        raise RequestError(404, "no_site", f"datamart {datamart} has no site to send events to") from None


@cache
def _text(name: str) -> str:
    return (files("gateway.collect") / "tag" / name).read_text(encoding="utf-8")
