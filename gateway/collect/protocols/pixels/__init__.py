"""Pixels, beacons and clicks: events in addresses, from pages, mails and ads (facts: mediarithmics 4.2 to 4.4).

| address | method | answers |
| --- | --- | --- |
| `/v1/visits/pixel`, `/v1/touches/pixel` | GET | an image (`images`) |
| the same | POST | JSON, for scripts (`beacons`) |
| `/v1/touches/click` | GET | a redirect (`click`) |
| `/v1/user_lists/pixel` | GET | an image: the visitor joins a segment (`user_lists`) |
| `/v1/check_cookie/pixel` | GET | whether the cookie came back (`check_cookie`) |
"""

from functools import partial

from gateway.collect.collect import Collect
from gateway.collect.protocols.pixels import check_cookie, click, user_lists
from gateway.collect.protocols.pixels.beacons import post_beacon
from gateway.collect.protocols.pixels.gif import gif_refusal
from gateway.collect.protocols.pixels.hits import CLICKS, TOUCHES, VISITS, Way
from gateway.collect.protocols.pixels.images import get_image
from gateway.collect.routes import Route


def routes(collect: Collect) -> tuple[Route, ...]:
    """Where pixels, beacons and clicks are sent."""
    return (
        *_twins(collect, "/v1/visits/pixel", VISITS),
        *_twins(collect, "/v1/touches/pixel", TOUCHES),
        Route(
            "GET",
            click.PATTERN,
            partial(click.get_click, collect),
            protocol=CLICKS.protocol,
            refusal=click.click_refusal,
            is_public=True,
        ),
        Route(
            "GET",
            user_lists.PATTERN,
            partial(user_lists.get_user_list, collect),
            protocol=user_lists.USER_LISTS.protocol,
            refusal=gif_refusal,
            is_public=True,
        ),
        Route(
            "GET",
            check_cookie.PATTERN,
            partial(check_cookie.get_check, collect),
            protocol="check_cookie",
            refusal=gif_refusal,
            is_public=True,
        ),
    )


def _twins(collect: Collect, pattern: str, way: Way) -> tuple[Route, ...]:
    image, beacon = partial(get_image, collect, way), partial(post_beacon, collect, way)
    return (
        Route("GET", pattern, image, protocol=way.protocol, refusal=gif_refusal, is_public=True),
        Route("POST", pattern, beacon, protocol=way.protocol, is_public=True),
    )
