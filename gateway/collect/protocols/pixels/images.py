"""`GET /v1/visits/pixel` and `GET /v1/touches/pixel`: one event in the address of an image.

Everybody gets the image, with 200, also for what is refused or dropped: `X-Sojourn-Dropped` says why. Only who should
come back later hears so (429, 503). A HEAD takes no event. A hit that a browser sends ahead of a page it may show
(`Sec-Purpose: prefetch;prerender`) counts: it is not sent again when the page is shown.
"""

from gateway.collect.collect import Collect
from gateway.collect.consent import objection
from gateway.collect.protocols.pixels.asked import Taken, asked_of_query, tokens_in
from gateway.collect.protocols.pixels.gif import gif
from gateway.collect.protocols.pixels.hits import Way
from gateway.collect.protocols.pixels.taking import refuse_known, sender_of, take
from gateway.collect.reply import Answer, Pending, Reply
from gateway.collect.request import Request
from gateway.errors import RequestError


def get_image(collect: Collect, way: Way, request: Request) -> Answer:
    """Take the event of an address.

    Args:
        collect: who takes it.
        way: which of the two addresses.
        request: what was asked.

    Raises:
        RequestError: the token is not known or used too often, or there are too many parameters.
        SojournError: the engine cannot take it now.
    """
    if request.method == "HEAD":
        return gif()
    if reason := objection(request.headers, collect.settings.visitors):
        collect.dropped(way.protocol, reason)
        return gif(reason=reason)
    try:
        query = request.query
    except RequestError as error:
        return refuse_known(collect, way, request, error)
    sender = sender_of(collect, way, tokens_in(query))
    taken = take(collect, way, request, sender, [asked_of_query(query, request.raw_query.encode())])
    if taken.receipt is None:
        return image_of(taken)
    return Pending(taken.receipt, lambda _: image_of(taken), taken.datamart)


def image_of(taken: Taken) -> Reply:
    """The image that says what became of one event."""
    return gif(reason=taken.results()[0].code, headers=taken.headers())
