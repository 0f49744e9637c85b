"""`GET /v1/check_cookie/pixel`: does this browser send the visitor's cookie back?

200 with the image when it does, 204 without anything when it does not: the one loads as an image and the other fails,
and a script sees it by the status. It neither sets a cookie nor counts an event. Who objects to being tracked has none.
"""

from typing import Final

from gateway.collect.collect import Collect
from gateway.collect.consent import objection
from gateway.collect.cookies import known_visitor
from gateway.collect.protocols.pixels.gif import UNCACHED, gif
from gateway.collect.reply import Reply
from gateway.collect.request import Request

PATTERN: Final = "/v1/check_cookie/pixel"


def get_check(collect: Collect, request: Request) -> Reply:
    """Answer whether the cookie came back."""
    visitors = collect.settings.visitors
    came_back = not objection(request.headers, visitors) and known_visitor(request.headers, visitors) is not None
    return gif() if came_back else Reply(204, UNCACHED)
